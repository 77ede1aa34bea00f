// Versions of the router: which one decides, what the log says of the others, promote and roll back.

import { change, read } from "./api.js";
import { confirm } from "./dialog.js";
import { el, facts, note, row, show, table } from "./dom.js";
import { MISSING, clock, count, decimal, interval, percent, perThousand, points, sentence } from "./figures.js";

const STATES = { current: "▲ decides", previous: "decided before", shadow: "◌ only watches", kept: "" };

const pair = (estimate) => `${points(estimate.value)} ${interval([estimate.low, estimate.high])}`;

/** What the log says of a version, beside the one that it was compared with. */
export const evidence = ({ id, against, estimate }, current) => {
  if (!current) return [el("p", {}, "No router decides now, so there is nothing to compare with: a default arm answers.")];
  if (!estimate) return [note("warn", `No estimate from the log: nothing says that ${id} is better than ${current}. `, el("code", {}, `fusionfactory promote ${id}`), " makes one.")];
  const stale = against === current ? [] : [note("warn", `It was compared with ${against}, which does not decide any more.`)];
  const cost = estimate.cost_usd;
  return [
    facts([
      ["Utility, points", pair(estimate.utility)],
      ["Quality, points", pair(estimate.quality)],
      ["USD per 1,000", cost ? `${perThousand(cost.value)} ${cost.low === null ? "[−∞, +∞]" : `[${perThousand(cost.low)}, ${perThousand(cost.high)}]`}` : "no cost is known"],
      ["Same choice", percent(estimate.agreement)],
      ["Decisions", `${count(estimate.rows)} that neither learned from, ${count(estimate.support.tried)} of them scored trials of what differs`],
    ]),
    el("p", { class: "muted" }, `Estimated gain over ${against} with 95 % intervals, doubly robust, policy ${estimate.policy}; utility is quality less cost at the policy’s price.`),
    stale, estimate.objections.map((text) => note("warn", sentence(text))), estimate.warnings.map((text) => note("info", sentence(text))),
  ].flat();
};

const shown = (value) => {
  if (typeof value === "number") return Number.isInteger(value) ? count(value) : decimal(value);
  if (value && typeof value === "object") return Object.entries(value).map(([name, item]) => `${name}: ${shown(item)}`).join(", ");
  return String(value);
};
const known = (facts_) => Object.entries(facts_).map(([name, value]) => [name.replaceAll("_", " "), shown(value)]).filter(([, text]) => text);

/** The panel. */
export class Routers {
  constructor(panel, again) {
    this.again = again;
    this.told = el("div", { role: "status" });
    this.place = el("div");
    this.back = el("button", { type: "button", class: "plain", click: () => this.#rollback(), disabled: true }, "Roll back");
    panel.append(el("div", { class: "head" }, el("h2", {}, "Router versions"), this.back),
      el("p", {}, "The gateway learns from its own log: a fitted version is compared with the deciding one on requests that it was not fitted on, and may take over once the log shows that it is better. Workers change over without dropping a request."),
      this.told, this.place);
  }

  async refresh(signal) {
    const state = await read("versions", signal);
    this.state = state;
    this.back.disabled = !state.previous;
    this.back.title = state.previous ? `${state.previous} would decide again` : "no version decided before this one";
    const columns = [["Version", "words"], ["State", "words"], ["Router", "words"], ["Fitted", "words"], ["Arms"],
      ["Gain, points", "gain", "In utility, estimated from the log, with its 95 % interval."], ["", "words"]];
    show(this.place, state, table(columns, state.versions.map((version) => row(columns, [
      version.id, STATES[version.state], version.router, clock(version.at), count(version.arms.length),
      version.estimate ? `${pair(version.estimate.utility)} over ${version.against}` : MISSING,
      version.state === "current" ? "" : el("button", { type: "button", class: "plain", click: () => this.#promote(version) }, "Promote"),
    ], { class: version.state === "current" ? "chosen" : null })),
    { caption: "Router versions", empty: "No version yet: a default arm answers. `fusionfactory learn` fits one from the gateway’s log, and `fusionfactory serve --router` takes in a fitted one." }),
    state.versions.map((version) => el("details", {}, el("summary", {}, `What is known of ${version.id}`),
      version.estimate ? evidence(version, this.state.current) : null,
      facts([["Arms", version.arms.join(", ")], ...known(version.facts)]))));
  }

  async #promote(version) {
    const { current } = this.state;
    const sure = await confirm(`Let ${version.id} decide?`, [evidence(version, current),
      current ? el("p", {}, `${current} decides now; you can roll back to it.`) : null], { yes: "Promote" });
    if (!sure) return;
    const refused = await this.#try(() => change(`versions/${encodeURIComponent(version.id)}/promote`), (state) => `${state.current} decides now.`);
    if (refused?.code !== "not_shown_better") return;
    const forced = await confirm("Promote without evidence?", [note("warn", refused.message),
      el("p", {}, `${version.id} may answer worse or cost more until you roll back.`)],
    { yes: "Promote all the same", danger: true });
    if (forced) await this.#try(() => change(`versions/${encodeURIComponent(version.id)}/promote`, { force: true }), (state) => `${state.current} decides now, by your word alone.`);
  }

  async #rollback() {
    const { current, previous } = this.state;
    const sure = await confirm(`Go back to ${previous}?`, el("p", {}, `${current} decides now. It is kept, and can be promoted again.`), { yes: "Roll back" });
    if (sure) await this.#try(() => change("rollback"), ({ current: now }) => `${now} decides again.`);
  }

  async #try(work, words) {
    try {
      this.told.replaceChildren(note("ok", words(await work())));
      return null;
    } catch (error) {
      this.told.replaceChildren(note("bad", error.message));
      return error;
    } finally {
      this.again();
    }
  }
}
