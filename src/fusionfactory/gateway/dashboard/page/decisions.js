// The decisions, newest first, and one of them explained.

import { read } from "./api.js";
import { open } from "./dialog.js";
import { el, show } from "./dom.js";
import { explain, whyWords } from "./explain.js";
import { MISSING, clock, decimal, perThousand, percent, seconds } from "./figures.js";

const PAGE = 50;

const short = (text) => {
  const line = (text ?? "").replace(/\s+/g, " ").trim();
  return line.length > 90 ? `${line.slice(0, 89)}…` : line;
};

/** The panel; follows new decisions while its first page is shown and none is being read. */
export class Decisions {
  constructor(panel, again) {
    this.again = again;
    this.pages = [null];
    this.columns = [["When", "words"], ["Question", "words ask"], ["Arm", "words"], ["Why", "words"], ["Probability"],
      ["Quality", "", "Expected by the router, of the chosen arm."], ["USD per 1,000", "", "What it cost, times 1,000."], ["Latency"], ["Status"]];
    this.follow = el("input", { type: "checkbox", checked: true, change: again });
    this.arm = el("select", { id: "arm", change: () => { this.pages = [null]; again(); } }, el("option", { value: "" }, "all arms"));
    this.body = el("tbody");
    this.rows = new Map();
    this.empty = el("p", { class: "empty", hidden: true });
    this.newer = el("button", { type: "button", class: "plain", click: () => { this.pages.pop(); again(); } }, "Newer");
    this.older = el("button", { type: "button", class: "plain", click: () => { this.pages.push(this.last); again(); } }, "Older");
    this.table = el("div", { class: "scroll", role: "region", "aria-label": "Decisions", tabindex: 0 },
      el("table", { class: "decisions" }, el("caption", { class: "unseen" }, "Decisions, newest first"),
        el("thead", {}, el("tr", {}, this.columns.map(([name, cls, title]) => el("th", { scope: "col", class: cls, title }, name)))),
        this.body));
    this.body.addEventListener("keydown", (event) => this.#key(event));
    panel.append(
      el("div", { class: "head" }, el("h2", {}, "Decisions"), el("label", { for: "arm", class: "unseen" }, "Arm"), this.arm,
        el("label", { class: "check" }, this.follow, "Follow new ones")),
      this.empty, this.table, el("div", { class: "line" }, this.newer, this.older));
  }

  async refresh(signal) {
    const first = this.pages.length === 1;
    const busy = this.detail || this.body.contains(document.activeElement);
    if (first && this.rows.size && (!this.follow.checked || busy) && this.shown === this.#place()) return;
    const before = this.pages.at(-1);
    const query = new URLSearchParams({ limit: String(PAGE), ...(before ? { before } : {}), ...(this.arm.value ? { arm: this.arm.value } : {}) });
    const { decisions, arms, next } = await read(`decisions?${query}`, signal);
    this.shown = this.#place();
    this.last = next;
    this.#arms(arms);
    this.#fill(decisions);
    this.newer.disabled = first;
    this.older.disabled = !next;
  }

  /** Explains the decision that the address names; null closes. */
  async explain(id) {
    if (this.detail === id) return;
    this.detail = id;
    this.close?.();
    if (!id) return;
    const place = el("div", { class: "explained" }, el("p", { class: "muted" }, "Reading the decision."));
    this.close = open(`Decision ${id}`, place, { kind: "wide", closed: () => this.#closed(id) });
    try {
      place.replaceChildren(...explain(await read(`decisions/${encodeURIComponent(id)}`)));
    } catch (error) {
      place.replaceChildren(el("p", { class: "note bad" }, error.message));
    }
  }

  #closed(id) {
    if (this.detail !== id) return;
    this.detail = null;
    this.close = null;
    if (location.hash.startsWith("#/decisions/")) history.replaceState(null, "", "#/decisions");
    this.rows.get(id)?.querySelector("a").focus();
  }

  #place() { return `${this.pages.at(-1)} ${this.arm.value}`; }

  #arms(names) {
    const chosen = this.arm.value;
    show(this.arm, names, el("option", { value: "" }, "all arms"), names.map((name) => el("option", { value: name }, name)));
    this.arm.value = names.includes(chosen) ? chosen : "";
  }

  #fill(decisions) {
    const kept = new Set(decisions.map(({ id }) => id));
    for (const [id, node] of this.rows) {
      if (kept.has(id)) continue;
      node.remove();
      this.rows.delete(id);
    }
    let place = this.body.firstElementChild;
    for (const decision of decisions) {
      const there = this.rows.get(decision.id);
      if (there) { place = there.nextElementSibling; continue; }
      const made = this.#row(decision);
      this.rows.set(decision.id, made);
      this.body.insertBefore(made, place);
    }
    const none = !decisions.length;
    this.table.hidden = none;
    this.empty.hidden = !none;
    this.empty.textContent = this.arm.value ? `${this.arm.value} answered no request.` : "No request has been logged yet.";
  }

  #row(decision) {
    const cells = [
      el("span", { class: "question" }, short(decision.text) || el("span", { class: "muted" }, "no text kept")),
      decision.arm ?? decision.chosen ?? MISSING, whyWords(decision.why), percent(decision.propensity),
      decimal(decision.expected_quality, 2), perThousand(decision.cost_usd), seconds(decision.latency_s),
      decision.error ? el("b", { class: "bad" }, String(decision.status || "failed")) : String(decision.status || MISSING),
    ];
    const link = el("a", { href: `#/decisions/${encodeURIComponent(decision.id)}` }, clock(decision.at));
    return el("tr", {}, el("th", { scope: "row", class: "words" }, link),
      cells.map((cell, i) => el("td", { class: this.columns[i + 1][1] }, cell)));
  }

  #key(event) {
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    const to = step && event.target.closest("tr")?.[step];
    if (!to) return;
    event.preventDefault();
    to.querySelector("a").focus();
  }
}
