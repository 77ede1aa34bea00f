// The endpoints as this gateway's processes see them, and the gateways that share its store.

import { read } from "./api.js";
import { el, row, show, table } from "./dom.js";
import { MISSING, clock, count, seconds } from "./figures.js";

const SIGNS = { closed: ["better", "● in use"], open: ["worse", "▼ left alone"], half_open: ["", "◌ being probed"] };

const SILENT_S = 10;

/** The panel. */
export class Upstreams {
  constructor(panel) {
    this.place = el("div");
    this.others = el("div");
    panel.append(el("div", { class: "head" }, el("h2", {}, "Upstreams")),
      el("p", {}, "An endpoint’s model that fails several times in a row is left alone for a while; then one request probes it. Each worker process keeps its own count; this is the one that answered."),
      this.place, this.others);
  }

  async refresh(signal) {
    const { upstreams } = await read("upstreams", signal);
    const columns = [["Endpoint and model", "words"], ["Breaker", "words"], ["Failures in a row"], ["Probed again in"], ["Under way"], ["At most"]];
    show(this.place, upstreams, table(columns, upstreams.map((state) => {
      const [kind, words] = SIGNS[state.breaker] ?? ["", state.breaker ?? MISSING];
      return row(columns, [state.name, el("span", { class: `verdict ${kind}` }, words), count(state.failures),
        seconds(state.open_for_s), count(state.running), count(state.limit)]);
    }), { caption: "Upstreams", empty: "No endpoint has been asked by this process since it started." }));
    this.#showGateways(await read("gateways", signal));
  }

  #showGateways({ here, gateways }) {
    if (!gateways.length) return;
    const columns = [["Gateway", "words"], ["Address", "words"], ["State", "words"], ["Heard of"], ["Since"]];
    show(this.others, gateways, el("h2", {}, "Gateways of this store"), table(columns, gateways.map((one) => {
      const lives = one.silent_s < SILENT_S;
      return row(columns, [one.id + (one.id === here ? " (this one)" : ""), one.address,
        el("span", { class: `verdict ${lives ? "better" : "worse"}` }, lives ? "● there" : "▼ silent"),
        `${seconds(Math.round(one.silent_s))} ago`, clock(one.started)]);
    }), { caption: "Gateways" }));
  }
}
