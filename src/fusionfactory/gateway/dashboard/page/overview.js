// What is going on: traffic, cost, arms with their quality, alarms and the latest errors.

import { Chart, meter, whisker } from "./charts.js";
import { el, note, row, show, table } from "./dom.js";
import { MISSING, clock, count, decimal, many, perThousand, percent, plain, seconds, sentence, significant, usd } from "./figures.js";
import { read } from "./api.js";
import { whyWords } from "./explain.js";

const WINDOWS = [[900, "15 minutes"], [3600, "hour"], [86400, "day"], [604800, "week"]];
const COLOURS = 8;

/** USD as far as known; null where no cost is. */
const paidOf = ({ requests, errors, unpriced, cost_usd: paid }) => (requests && unpriced >= requests - errors && !paid ? null : paid);
const perRequest = ({ requests, errors, unpriced, cost_usd: paid }) => {
  const priced = requests - errors - (unpriced ?? 0);
  return priced > 0 ? paid / priced : null;
};
const perMinute = (of) => (point) => (point.step_s ? (60 * of(point)) / point.step_s : null);

/** The panel; `refresh(signal)` reads and shows the figures. */
export class Overview {
  constructor(panel, again) {
    this.window = 900;
    this.colours = new Map();
    const choice = el("select", { id: "window", change: (event) => {
      this.window = Number(event.target.value);
      again();
    } }, WINDOWS.map(([value, name]) => el("option", { value }, `last ${name}`)));
    this.charts = {
      rate: new Chart({ title: "Requests per minute", text: plain, lines: [
        { name: "all", colour: "s0", of: perMinute((point) => point.requests) },
        { name: "errors", colour: "s6", dash: "4 3", of: perMinute((point) => point.errors) }] }),
      latency: new Chart({ title: "Latency of whole answers", text: seconds, lines: [
        { name: "p50", colour: "s0", of: (point) => point.latency_p50 },
        { name: "p95", colour: "s1", dash: "4 3", of: (point) => point.latency_p95 }] }),
      cost: new Chart({ title: "Paid per hour, USD", text: plain, lines: [
        { name: "known costs", colour: "s2", of: (point) => (3600 * point.cost_usd) / point.step_s }] }),
    };
    this.places = Object.fromEntries(["lead", "tiles", "alarms", "arms", "why", "errors"].map((name) =>
      [name, el("div", { class: `place ${name}` })]));
    const { lead, tiles, alarms, arms, why, errors } = this.places;
    panel.append(
      el("div", { class: "head" }, el("h2", {}, "Overview"),
        el("label", { for: "window", class: "unseen" }, "Time shown"), choice),
      lead, tiles, alarms,
      el("h3", {}, "Traffic"), el("div", { class: "charts" }, Object.values(this.charts).map((chart) => chart.node)),
      el("h3", {}, "Arms"), arms,
      el("h3", {}, "Why arms were chosen"), why,
      el("h3", {}, "Latest errors"), errors);
  }

  async refresh(signal) {
    const [live, alarms, errors] = await Promise.all([
      read(`live?window=${this.window}`, signal), read("alarms", signal),
      read(`errors?window=${this.window}`, signal)]);
    this.#lead(live);
    this.#tiles(live);
    this.#charts(live);
    this.#alarms(alarms, live.summary);
    this.#arms(live);
    this.#why(live);
    this.#errors(errors);
  }

  #lead({ summary }) {
    const { requests, errors, saved_usd: saved, best_single: single, unpriced, shed } = summary;
    const paid = paidOf(summary);
    if (!requests) {
      show(this.places.lead, "empty", el("div", { class: "empty" },
        el("p", {}, "No request in this time. Point any OpenAI client at this gateway, and let it route:"),
        el("pre", { tabindex: 0 }, `curl ${location.origin}/v1/chat/completions \\\n  -H "content-type: application/json" -H "authorization: Bearer $KEY" \\\n  -d '{"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}'`)));
      return;
    }
    const parts = [`${many(requests, "request")}, ${errors ? `${count(errors)} of them failed` : "none of them failed"}.`];
    if (paid !== null) parts.push(` They cost ${usd(paid)}.`);
    if (saved !== null && single) {
      parts.push(` By the router’s estimates, that is ${usd(Math.abs(saved))} ${saved >= 0 ? "less" : "more"} than ${single}, the best single arm, would have cost.`);
    }
    if (unpriced) parts.push(` The cost of ${many(unpriced, "answer")} is unknown and counts in no sum.`);
    if (shed) parts.push(` ${many(shed, "further request")} went by without a record.`);
    show(this.places.lead, parts, el("p", { class: "lead" }, parts));
  }

  #tiles({ summary, window_s: seconds_ }) {
    const { requests, errors, latency_p50: p50, latency_p95: p95, first_byte_p50: first, saved_usd: saved } = summary;
    const pairs = [
      ["Requests per minute", significant((60 * requests) / seconds_)],
      ["Errors", requests ? percent(errors / requests) : MISSING],
      ["Latency p50", seconds(p50)], ["Latency p95", seconds(p95)], ["First byte p50", seconds(first)],
      ["Paid, USD", significant(paidOf(summary))], ["Saved, USD", significant(saved), "Against the best single arm, by the router’s estimates."],
    ];
    show(this.places.tiles, pairs, el("dl", { class: "tiles" },
      pairs.map(([name, value, title]) => el("div", { title }, el("dt", {}, name), el("dd", {}, value)))));
  }

  #charts({ series, at, step_s: step }) {
    // The last span has not ended: its rates are over what has passed of it.
    const points = series.map((point) => ({ ...point, step_s: Math.max(10, Math.min(step, at - point.at)) }));
    Object.values(this.charts).forEach((chart) => chart.update(points));
  }

  #alarms({ alarms, window }, { requests }) {
    if (!alarms.length && !requests) {
      show(this.places.alarms, "empty", note("info", "Nothing to raise an alarm over: no decision in this time."));
      return;
    }
    show(this.places.alarms, alarms, alarms.length
      ? alarms.map((alarm) => note("warn", sentence(alarm.message)))
      : note("ok", `No alarm: the latest decisions, up to ${count(window)}, are within the limits. Fewer than 50 raise none.`));
  }

  #arms({ summary }) {
    const columns = [["Arm", "words"], ["Share", "track"], ["Requests"], ["Errors", "", "Of its answers, those that broke off."],
      ["Quality", "gain", "Mean of the judged answers between 0 and 1, with its 95 % interval."], ["Judged"],
      ["USD per 1,000", "", "Mean known cost of its requests."], ["Latency p50"]];
    const arms = Object.entries(summary.arms).sort(([, a], [, b]) => b.requests - a.requests);
    arms.forEach(([name]) => {
      if (!this.colours.has(name)) this.colours.set(name, this.colours.size < COLOURS ? `f${this.colours.size}` : "f-other");
    });
    show(this.places.arms, arms, table(columns, arms.map(([name, arm]) => row(columns, [
      [el("i", { class: `dab ${this.colours.get(name)}` }), name],
      [meter(arm.share, this.colours.get(name)), el("span", { class: "beside" }, percent(arm.share))],
      count(arm.requests), count(arm.errors),
      arm.judged ? [whisker(arm.quality, arm.ci95), el("span", { class: "figure" }, el("b", {}, decimal(arm.quality)),
        arm.ci95 ? ` [${decimal(arm.ci95[0])}, ${decimal(arm.ci95[1])}]` : " one answer, no interval")]
        : el("span", { class: "muted" }, "not judged yet"),
      count(arm.judged), perThousand(perRequest(arm)), seconds(arm.latency_p50),
    ])), { caption: "Arms", empty: "No arm has answered in this time." }));
  }

  #why({ summary }) {
    const columns = [["Why", "words"], ["Requests"], ["Share"]];
    const found = Object.entries(summary.by_why).sort(([, a], [, b]) => b - a);
    const routers = Object.entries(summary.by_router);
    const total = found.reduce((sum, [, n]) => sum + n, 0);
    show(this.places.why, [found, routers], el("div", { class: "columns" },
      table(columns, found.map(([why, n]) => row(columns, [whyWords(why), count(n), percent(n / total)])),
        { caption: "Why arms were chosen", empty: "Nothing was decided in this time." }),
      table([["Router version", "words"], ["Requests"]], routers.map(([name, n]) =>
        row([["", "words"], [""]], [name, count(n)])),
      { caption: "Router versions in use", empty: "No router decided in this time: a default arm answers until a version is promoted." })));
  }

  #errors({ errors }) {
    const columns = [["When", "words"], ["Status"], ["Arm", "words"], ["What the client was told", "words long"]];
    show(this.places.errors, errors, table(columns, errors.map((item) => row(columns, [
      el("a", { href: `#/decisions/${encodeURIComponent(item.id)}` }, clock(item.at)),
      String(item.status || MISSING), item.arm ?? item.chosen ?? MISSING, item.error ? sentence(item.error) : MISSING])),
    { caption: "Latest errors", empty: "No request failed in this time." }));
  }
}
