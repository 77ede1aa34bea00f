// Versions of the router: which one decides, what the log says of the others, promote and roll back.

import { change, read } from "./api.js";
import { confirm } from "./dialog.js";
import { el, facts, note, row, show, table } from "./dom.js";
import { MISSING, clock, count, decimal, interval, points } from "./figures.js";

const STATES = { current: "▲ decides", previous: "decided before", shadow: "◌ only watches", kept: "" };

/** What the off-policy estimate of a version says, in words. */
export const estimateWords = (estimate) => {
  if (!estimate) return "No estimate from the log: nothing says that it is better than the version that decides.";
  const against = estimate.incumbent ? ` over ${estimate.incumbent}` : " over what was done";
  const size = `${points(estimate.gain)} points of reward${against}, 95 % interval ${interval(estimate.ci95)}`;
  const basis = `from ${count(estimate.n)} logged requests, worth ${count(estimate.ess)} at random`;
  return `Estimated gain by the log: ${size}, ${basis}. ${estimate.ci95?.[0] > 0 ? "The whole interval is above 0." : "The interval does not leave out 0: the log does not show that it is better."}`;
};

const shown = (value) => {
  if (typeof value === "number") return Number.isInteger(value) ? count(value) : decimal(value);
  return typeof value === "string" ? value : JSON.stringify(value);
};

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
      ["Gain, points", "gain", "Estimated from the log, with its 95 % interval."], ["", "words"]];
    show(this.place, state, table(columns, state.versions.map((version) => row(columns, [
      version.id, STATES[version.state], version.router, clock(version.at), count(version.arms.length),
      version.estimate ? [el("b", {}, points(version.estimate.gain)), ` ${interval(version.estimate.ci95)}`] : MISSING,
      version.state === "current" ? "" : el("button", { type: "button", class: "plain", click: () => this.#promote(version) }, "Promote"),
    ], { class: version.state === "current" ? "chosen" : null })),
    { caption: "Router versions", empty: "No version yet. `fusionfactory learn` fits one from the gateway’s log, or `fusionfactory promote` takes a fitted router in; until then a default arm answers." }),
    state.versions.map((version) => el("details", {}, el("summary", {}, `What is known of ${version.id}`),
      facts([["Arms", version.arms.join(", ")], ...Object.entries(version.facts).map(([name, value]) => [name.replaceAll("_", " "), shown(value)])]))));
  }

  async #promote(version) {
    const words = el("p", {}, estimateWords(version.estimate));
    const sure = await confirm(`Let ${version.id} decide?`, [words,
      el("p", {}, this.state.current ? `${this.state.current} decides now; you can roll back to it.` : "No router decides now: a default arm answers.")],
    { yes: "Promote" });
    if (!sure) return;
    const refused = await this.#try(() => change(`versions/${encodeURIComponent(version.id)}/promote`), ({ current }) => `${current} decides now.`);
    if (refused?.code !== "not_shown_better") return;
    const forced = await confirm("Promote without evidence?", [note("warn", refused.message),
      el("p", {}, `The log does not show that ${version.id} is better. It may answer worse or cost more until you roll back.`)],
    { yes: "Promote all the same", danger: true });
    if (forced) await this.#try(() => change(`versions/${encodeURIComponent(version.id)}/promote`, { force: true }), ({ current }) => `${current} decides now, by your word alone.`);
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
