// Why an arm was chosen: a decision in words, with the estimates of every arm.

import { meter } from "./charts.js";
import { el, facts, note, row, table } from "./dom.js";
import { MISSING, clock, count, decimal, perThousand, percent, seconds, sentence, usd } from "./figures.js";

const WORDS = {
  best: "best by the policy", explore: "to learn", session: "the conversation has it",
  fixed: "the client named it", default: "the default, for no router decided",
  plan: "the plan that auto runs",
};

/** `best` as `best by the policy`. */
export const whyWords = (why) => WORDS[why] ?? why;

const inWords = (decision) => {
  const { chosen, arm, why, policy, router, propensity, asked } = decision;
  if (!chosen) return `No arm was chosen for ${asked || "this request"}.`;
  const under = [policy && `policy ${policy}`, router && `router ${router}`,
    typeof propensity === "number" && `probability ${percent(propensity)}`].filter(Boolean).join(", ");
  const parts = [`${chosen} was chosen: ${whyWords(why)}`, under ? ` (${under}).` : "."];
  if (!arm) parts.push(" No arm answered.");
  else if (arm !== chosen) parts.push(` It did not answer, and ${arm} did.`);
  return parts.join("");
};

const standing = (name, decision) => {
  if (decision.excluded?.[name]) return `left out: ${decision.excluded[name]}`;
  if (name === decision.arm && name === decision.chosen) return "chosen, answered";
  if (name === decision.chosen) return "chosen";
  if (name === decision.arm) return "answered";
  return "";
};

const armTable = (decision) => {
  const estimates = decision.estimates ?? {};
  const excluded = decision.excluded ?? {};
  const names = [...new Set([...Object.keys(estimates), ...Object.keys(decision.propensities ?? {}), ...Object.keys(excluded)])];
  names.sort((a, b) => (estimates[b]?.[0] ?? -1) - (estimates[a]?.[0] ?? -1));
  const columns = [["Arm", "words"], ["Expected quality", "track"],
    ["USD per 1,000", "", "Expected cost of 1,000 such requests."],
    ["Probability", "", "With which it could be chosen for this request."], ["Outcome", "words long"]];
  const rows = names.map((name) => {
    const [quality, cost] = estimates[name] ?? [null, null];
    const bar = quality === null ? MISSING : [meter(quality, name === decision.chosen ? "" : "quiet"), el("span", { class: "beside" }, decimal(quality))];
    return row(columns, [name, bar, perThousand(cost), percent(decision.propensities?.[name]), standing(name, decision)],
      { class: name === decision.chosen ? "chosen" : excluded[name] ? "out" : null });
  });
  return table(columns, rows, { caption: "Estimates of every arm", empty: "No router was asked, so there are no estimates." });
};

const course = ({ plan }) => {
  if (!plan) return [];
  const stages = plan.stages.map((arms, i) => `${i ? "then " : ""}${arms.join(", ")}`).join("; ");
  const sure = typeof plan.confidence === "number" ? percent(plan.confidence) : "unknown";
  return facts([["Plan", plan.plan], ["Asked", stages || "nobody"], ["Answer of", plan.answer ?? "nobody"],
    ["Confidence", sure], ["Compared by", plan.metric ?? MISSING]]);
};

const attempts = (decision) => {
  const columns = [["Attempt", "words"], ["Status"], ["Time"], ["Cost"], ["What happened", "words long"]];
  const rows = (decision.attempts ?? []).map((attempt) => row(columns, [
    attempt.arm, attempt.status === null ? MISSING : String(attempt.status), seconds(attempt.latency_s), usd(attempt.cost_usd),
    `${attempt.error ?? (decision.plan ? "answered" : "passed on")}${attempt.hedge ? " (sent while another was under way)" : ""}`]));
  return table(columns, rows, { caption: "Attempts", empty: decision.cache === "hit" ? "No endpoint was asked: the answer came from the cache." : "No endpoint was asked." });
};

const texts = (decision) => {
  const block = (name, text) => el("details", { open: true }, el("summary", {}, name), el("pre", { class: "text", tabindex: 0 }, text));
  const parts = [];
  if (decision.text) parts.push(block("Question", decision.text));
  if (decision.messages) parts.push(el("details", {}, el("summary", {}, "Whole conversation, as it was sent"),
    el("pre", { class: "text", tabindex: 0 }, JSON.stringify(decision.messages, null, 2))));
  if (decision.response) parts.push(block("Answer", decision.response));
  return parts.length ? parts : [el("p", { class: "empty" }, "No text of this request is kept.")];
};

const feedback = (decision) => {
  const columns = [["From the key", "words"], ["Score"], ["When"], ["Right answer", "words long"]];
  const rows = (decision.feedback ?? []).map((item) => row(columns, [
    item.key ?? "anyone", decimal(item.score), clock(item.at), item.target ?? MISSING]));
  const judged = [["Score in force", decision.quality], ["Judge’s score", decision.judge]].filter(([, value]) => value !== null && value !== undefined);
  if (!rows.length && !judged.length) return el("p", { class: "empty" }, "No feedback and no judge’s score yet.");
  return [rows.length ? table(columns, rows, { caption: "Feedback" }) : null,
    judged.length ? facts(judged.map(([name, value]) => [name, decimal(value)])) : null];
};

const shadows = (decision) => Object.entries(decision.shadow ?? {}).map(([version, arm]) =>
  note("info", `The shadow ${version} would have chosen ${arm}.`));

/** Why, without the texts: for the playground. */
export const explainChoice = (decision) => [
  el("p", { class: "lead" }, inWords(decision)), shadows(decision), course(decision),
  decision.plan && !Object.keys(decision.excluded ?? {}).length ? null : armTable(decision)].flat(Infinity).filter((part) => part !== null);

/** Everything that is kept of a request. */
export const explain = (decision) => [
  explainChoice(decision),
  decision.error ? note("bad", sentence(decision.error)) : null,
  el("h3", {}, "Attempts"), attempts(decision),
  el("h3", {}, "Texts"), texts(decision),
  el("h3", {}, "Feedback"), feedback(decision),
  el("h3", {}, "Facts"),
  facts([
    ["Id", decision.id], ["When", clock(decision.at)], ["Asked for", `${decision.asked || MISSING}, ${decision.api}${decision.stream ? ", streamed" : ""}`],
    ["Key", decision.key ?? "none"], ["Conversation", decision.session ?? "none"],
    ["Status", `${decision.status || MISSING}${decision.finish_reason ? `, ended by ${decision.finish_reason}` : ""}`],
    ["Strategy", decision.strategy ?? "the arm’s own"], ["Cache", decision.cache ?? MISSING],
    ["Tokens", `${count(decision.input_tokens)} in, ${count(decision.output_tokens)} out`],
    ["Cost", decision.cost_usd === null || decision.cost_usd === undefined ? "unknown" : usd(decision.cost_usd)],
    ["Latency", `${seconds(decision.latency_s)}, first byte after ${seconds(decision.first_byte_s)}, endpoints ${seconds(decision.upstream_s)}`],
  ]),
].flat(Infinity).filter((part) => part !== null);
