// The endpoints as this gateway's processes see them.

import { read } from "./api.js";
import { el, row, show, table } from "./dom.js";
import { MISSING, count, seconds } from "./figures.js";

const SIGNS = { closed: ["better", "● in use"], open: ["worse", "▼ left alone"], half_open: ["", "◌ being probed"] };

/** The panel. */
export class Upstreams {
  constructor(panel) {
    this.place = el("div");
    panel.append(el("div", { class: "head" }, el("h2", {}, "Upstreams")),
      el("p", {}, "An endpoint’s model that fails several times in a row is left alone for a while; then one request probes it. Each worker process keeps its own count; this is the one that answered."),
      this.place);
  }

  async refresh(signal) {
    const { upstreams } = await read("upstreams", signal);
    const columns = [["Endpoint and model", "words"], ["Breaker", "words"], ["Failures in a row"], ["Probed again in"], ["Under way"], ["At most"]];
    show(this.place, upstreams, table(columns, upstreams.map((state) => {
      const [kind, words] = SIGNS[state.breaker] ?? ["", state.breaker ?? MISSING];
      return row(columns, [state.name, el("span", { class: `verdict ${kind}` }, words), count(state.failures),
        seconds(state.open_for_s), count(state.running), count(state.limit)]);
    }), { caption: "Upstreams", empty: "No endpoint has been asked by this process since it started." }));
  }
}
