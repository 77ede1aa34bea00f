// The dashboard: which panel is open, what it reads and when, and what is said about the contact.

import { adminKey, clientKey, read } from "./api.js";
import { Clock } from "./clock.js";
import { Decisions } from "./decisions.js";
import { clock as time } from "./figures.js";
import { Overview } from "./overview.js";
import { Playground } from "./playground.js";
import { Routers } from "./routers.js";
import { tabs } from "./tabs.js";
import { Upstreams } from "./upstreams.js";

const at = (id) => document.getElementById(id);
const state = { panels: null, name: "overview" };

const say = (words, kind) => {
  at("pulse").className = `pulse ${kind}`;
  if (at("contact").textContent !== words) at("contact").textContent = words;
};

const told = (error) => {
  if (!error) say("Live", "on");
  else if (error.status === 401 || error.status === 403) gate(error);
  else say(`${error.message} Trying again since ${time(state.lost ??= Date.now() / 1000)}.`, "off");
  if (!error) state.lost = null;
};

const beat = new Clock(async (signal) => {
  const panel = state.panels[state.name];
  if (state.name === "playground") await read("session", signal);
  else await panel.refresh(signal);
}, told);

const start = () => {
  at("gate").hidden = true;
  at("app").hidden = false;
  at("leave").hidden = !adminKey.get();
  if (state.panels) {
    beat.now();
    return;
  }
  const again = () => beat.now();
  state.panels = {
    overview: new Overview(at("overview"), again),
    decisions: new Decisions(at("decisions"), again),
    routers: new Routers(at("routers"), again),
    upstreams: new Upstreams(at("upstreams")),
    playground: new Playground(at("playground")),
  };
  tabs(document.querySelector("[role=tablist]"), (name, detail) => {
    const moved = state.name !== name || !beat.timer;
    state.name = name;
    state.panels.decisions.explain(name === "decisions" ? detail : null);
    if (name === "playground") state.panels.playground.refresh();
    if (moved) beat.now();
  });
};

const gate = (error) => {
  beat.pause();
  at("app").hidden = true;
  const open = error.code !== "not_local";
  at("gate").hidden = false;
  at("gate-why").textContent = error.message;
  at("gate").querySelector(".line").hidden = !open;
  say(open ? "A key is needed" : "Refused", "off");
  if (open) at("gate-key").focus();
};

const enter = async () => {
  try {
    await read("session");
    start();
  } catch (error) {
    if (error.status === 401 || error.status === 403) gate(error);
    else {
      say(error.message, "off");
      setTimeout(enter, 2000);
    }
  }
};

at("gate").addEventListener("submit", (event) => {
  event.preventDefault();
  adminKey.set(at("gate-key").value.trim());
  at("gate-key").value = "";
  enter();
});
at("leave").addEventListener("click", () => {
  adminKey.set("");
  clientKey.set("");
  location.reload();
});
document.addEventListener("visibilitychange", () => document.hidden && say("Paused", ""));
enter();
