// Asking this gateway. The keys live in this tab's session storage, and nowhere else.

import { sentence } from "./figures.js";

const ADMIN = "fusionfactory.key";
const CLIENT = "fusionfactory.client-key";

const stored = (name) => ({
  get: () => sessionStorage.getItem(name) ?? "",
  set: (value) => (value ? sessionStorage.setItem(name, value) : sessionStorage.removeItem(name)),
});
export const adminKey = stored(ADMIN);
export const clientKey = stored(CLIENT);

/** A refusal of the gateway, or no answer at all (status 0). */
export class Refused extends Error {
  constructor(status, message, code = null) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const bearer = (key) => (key ? { authorization: `Bearer ${key}` } : {});

/** The error that an answer stands for. */
export const refusal = async (answer) => {
  const body = await answer.json().catch(() => null);
  const told = body?.error ?? {};
  return new Refused(answer.status, sentence(told.message ?? `the gateway answered ${answer.status}`), told.code);
};

const send = async (path, options) => {
  let answer;
  try {
    answer = await fetch(path, { credentials: "same-origin", cache: "no-store", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "No answer from the gateway.");
  }
  if (!answer.ok) throw await refusal(answer);
  return answer;
};

/** JSON of the dashboard's own API. */
export const read = async (path, signal) =>
  (await send(`/dashboard/api/${path}`, { headers: bearer(adminKey.get()), signal })).json();

/** Changes something; the header tells the gateway that no other site's form did. */
export const change = async (path, body = {}) =>
  (await send(`/dashboard/api/${path}`, {
    method: "POST",
    headers: { ...bearer(adminKey.get()), "content-type": "application/json", "x-fusionfactory-dashboard": "1" },
    body: JSON.stringify(body),
  })).json();

/** The API that clients use, with the client's key where one was given. */
export const client = (path, options = {}) =>
  send(path, {
    ...options,
    headers: { ...bearer(clientKey.get() || adminKey.get()), ...options.headers },
  });
