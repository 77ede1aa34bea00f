// Elements from plain data. A text only ever becomes a text node: no prompt can become markup.

const SVG = "http://www.w3.org/2000/svg";

const fill = (node, props, children) => {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
};

/** An HTML element; functions among the properties listen to the event of that name. */
export const el = (name, props = {}, ...children) =>
  fill(document.createElement(name), props, children);

/** An SVG element. */
export const svg = (name, props = {}, ...children) =>
  fill(document.createElementNS(SVG, name), props, children);

/** A table that scrolls within the page; columns are [heading, class, meaning]. */
export const table = (columns, rows, { caption, empty, kind = "" }) => {
  const head = columns.map(([name, cls, title]) => el("th", { scope: "col", class: cls, title }, name));
  if (!rows.length) return el("p", { class: "empty" }, empty);
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    el("table", { class: kind }, el("caption", { class: "unseen" }, caption),
      el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows)));
};

/** A row: the first cell is its heading; the others take the classes of their columns. */
export const row = (columns, [first, ...cells], props = {}) =>
  el("tr", props,
    el("th", { scope: "row", class: columns[0][1] }, first),
    cells.map((cell, i) => el("td", { class: columns[i + 1][1] }, cell)));

/** Names and values. */
export const facts = (pairs) =>
  el("dl", { class: "facts" }, pairs.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));

/** A remark with its sign. */
export const note = (kind, ...text) => {
  const sign = { warn: "!", ok: "✓", bad: "✕" }[kind] ?? "i";
  return el("p", { class: `note ${kind}` }, el("span", { class: "sign", "aria-hidden": "true" }, sign),
    el("span", {}, text));
};

/** Puts content into a place, unless what it was made from is what stands there already. */
export const show = (place, made, ...content) => {
  const stamp = JSON.stringify(made);
  if (place.stamp === stamp) return;
  place.stamp = stamp;
  place.replaceChildren(...content.flat(Infinity).filter((child) => child !== null));
};
