// Modal dialogs: the browser keeps the focus inside, Escape closes, and the focus goes back.

import { el } from "./dom.js";

/** Opens a dialog; `closed` is called when it is shut by any means. Returns its close function. */
export const open = (title, content, { closed = () => {}, kind = "" } = {}) => {
  const heading = el("h2", { id: `dialog-${Math.random().toString(36).slice(2)}` }, title);
  const shut = () => dialog.close();
  const dialog = el("dialog", { class: kind, "aria-labelledby": heading.id, close: () => { dialog.remove(); closed(); } },
    el("div", { class: "head" }, heading, kind === "small" ? null : el("button", { type: "button", class: "plain", click: shut }, "Close")),
    el("div", { class: "body" }, content));
  document.body.append(dialog);
  dialog.showModal();
  return shut;
};

/** Asks before something is done; resolves to whether it was confirmed. */
export const confirm = (title, content, { yes, danger = false }) => new Promise((answer) => {
  let sure = false;
  const go = el("button", { type: "button", class: danger ? "danger" : "strong", click: () => { sure = true; shut(); } }, yes);
  const no = el("button", { type: "button", class: "plain", autofocus: true, click: () => shut() }, "Cancel");
  const shut = open(title, [content, el("div", { class: "line end" }, no, go)],
    { kind: "small", closed: () => answer(sure) });
});
