// A conversation with the gateway as a client has it, and why each arm was chosen.

import { client, clientKey } from "./api.js";
import { el, note, show } from "./dom.js";
import { explainChoice, whyWords } from "./explain.js";
import { decimal, percent, seconds, sentence, usd } from "./figures.js";
import { chat } from "./stream.js";

const POLICIES = [["auto", "auto"], ["auto:cheap", "auto:cheap"], ["auto:balanced", "auto:balanced"],
  ["auto:best", "auto:best"], ["weight", "auto by weight of cost"]];

const number = (headers, name) => {
  const value = headers.get(name);
  return value === null || value === "" ? null : Number(value);
};

// What no header can hold comes percent-encoded.
const decoded = (value) => {
  try { return value && decodeURIComponent(value); } catch { return value; }
};

/** The panel. */
export class Playground {
  constructor(panel) {
    this.messages = [];
    this.model = el("select", { id: "model", change: () => this.#weigh() });
    this.weight = el("input", { id: "weight", type: "range", min: 0, max: 1, step: 0.05, value: 0.5, input: () => this.#weigh() });
    this.weighed = el("div", { class: "field weight" }, el("label", { for: "weight" }, "Weight of cost"), this.weight, this.told = el("output", { for: "weight" }));
    this.key = el("input", { id: "client-key", type: "password", autocomplete: "off", spellcheck: "false", placeholder: "the one above, or none",
      change: (event) => { clientKey.set(event.target.value.trim()); this.refresh(); } });
    this.stream = el("input", { type: "checkbox", checked: true });
    this.prompt = el("textarea", { id: "prompt", rows: 4, required: true, placeholder: "Ask something",
      keydown: (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.form.requestSubmit(); } });
    this.go = el("button", { type: "submit", class: "strong" }, "Send");
    this.stop = el("button", { type: "button", class: "plain", disabled: true, click: () => this.round?.abort() }, "Stop");
    this.fresh = el("button", { type: "button", class: "plain", click: () => this.#clear() }, "New conversation");
    this.form = el("form", { class: "ask", submit: (event) => { event.preventDefault(); this.#send(); } },
      el("div", { class: "fields" },
        el("div", { class: "field" }, el("label", { for: "model" }, "Model"), this.model), this.weighed,
        el("div", { class: "field" }, el("label", { for: "client-key" }, "Client key, kept in this tab only"), this.key)),
      el("label", { for: "prompt" }, "Prompt"), this.prompt,
      el("div", { class: "line" }, this.go, this.stop, this.fresh, el("label", { class: "check" }, this.stream, "Stream"),
        el("span", { class: "muted keys" }, "Ctrl + Enter sends")));
    this.trouble = el("div", { role: "alert" });
    this.turns = el("div", { class: "turns", "aria-live": "polite" });
    this.empty = el("p", { class: "empty" }, "Nothing asked yet. The answer streams in here; beside it stands which arm gave it, and why.");
    panel.append(el("div", { class: "head" }, el("h2", {}, "Playground")), this.form, this.trouble, this.empty, this.turns);
    this.key.value = clientKey.get();
    this.#models([]);
  }

  /** Reads the models once; the panel needs no clock. */
  async refresh(signal) {
    try {
      const { data } = await (await client("/v1/models", { signal })).json();
      this.#models(data.map(({ id }) => id).filter((id) => id !== "auto" && !id.startsWith("auto:")));
      this.trouble.replaceChildren();
    } catch (error) {
      if (error.name !== "AbortError") this.trouble.replaceChildren(note("bad", `The models cannot be listed. ${error.message}`));
    }
  }

  #models(names) {
    const chosen = this.model.value || "auto";
    show(this.model, names, el("optgroup", { label: "Routed" }, POLICIES.map(([value, name]) => el("option", { value }, name))),
      names.length ? el("optgroup", { label: "One arm" }, names.map((name) => el("option", { value: name }, name))) : null);
    this.model.value = [...this.model.options].some(({ value }) => value === chosen) ? chosen : "auto";
    this.#weigh();
  }

  #weigh() {
    const weighs = this.model.value === "weight";
    this.weight.disabled = !weighs;
    this.weighed.classList.toggle("off", !weighs);
    this.told.textContent = decimal(Number(this.weight.value), 2);
  }

  #clear() {
    this.round?.abort();
    this.messages = [];
    this.turns.replaceChildren();
    this.trouble.replaceChildren();
    this.empty.hidden = false;
    this.prompt.focus();
  }

  async #send() {
    const text = this.prompt.value.trim();
    if (!text || this.round) return;
    const messages = [...this.messages, { role: "user", content: text }];
    const answer = el("div", { class: "answer" });
    const why = el("div", { class: "why" });
    this.turns.append(el("article", { class: "turn" }, el("p", { class: "said" }, text), answer, why));
    this.empty.hidden = true;
    this.#busy(new AbortController());
    const began = performance.now();
    try {
      const got = await this.#ask(messages, answer, why);
      this.messages = [...messages, { role: "assistant", content: got }];
      this.prompt.value = "";
      why.append(el("p", { class: "muted" }, `Whole answer after ${seconds((performance.now() - began) / 1000)}.`));
    } catch (error) {
      const words = error.name === "AbortError" ? "Stopped; the gateway has called the endpoint off." : sentence(error.message);
      answer.append(note("bad", words));
    } finally {
      this.#busy(null);
    }
    if (why.dataset.decision) await this.#explain(why);
  }

  async #ask(messages, place, why) {
    const stream = this.stream.checked;
    const model = this.model.value === "weight" ? `auto:${this.weight.value}` : this.model.value;
    const answer = await client("/v1/chat/completions", {
      method: "POST", signal: this.round.signal, headers: { "content-type": "application/json" },
      body: JSON.stringify({ model, messages, stream }),
    });
    this.#headers(answer.headers, why);
    if (!stream) {
      const body = await answer.json();
      const text = body.choices?.[0]?.message?.content ?? "";
      place.textContent = text;
      return text;
    }
    const words = document.createTextNode("");
    place.append(words);
    await chat(answer, (piece) => words.appendData(piece));
    return words.data;
  }

  #headers(headers, why) {
    const head = (name) => decoded(headers.get(`x-fusionfactory-${name}`));
    if (head("decision")) why.dataset.decision = head("decision");
    const parts = [["Arm", head("arm")], ["Answer of", head("plan-answer")], ["Asked", head("plan-asked")],
      ["Confidence", head("plan-confidence") && percent(number(headers, "x-fusionfactory-plan-confidence"))], ["Why", head("why") && whyWords(head("why"))], ["Policy", head("policy")], ["Router", head("router")],
      ["Expected quality", head("expected-quality") && decimal(number(headers, "x-fusionfactory-expected-quality"))],
      ["Expected cost", head("expected-cost-usd") && usd(number(headers, "x-fusionfactory-expected-cost-usd"))]];
    const known = parts.filter(([, value]) => value);
    why.replaceChildren(el("ul", { class: "tags" }, known.map(([name, value]) => el("li", {}, el("span", { class: "muted" }, name), ` ${value}`))));
  }

  async #explain(why) {
    try {
      const decision = await (await client(`/v1/decisions/${encodeURIComponent(why.dataset.decision)}`)).json();
      why.append(el("details", { open: true }, el("summary", {}, "Why this arm"), explainChoice(decision).flat(Infinity)));
    } catch (error) {
      why.append(el("p", { class: "muted" }, `The decision cannot be shown. ${error.message}`));
    }
  }

  #busy(round) {
    this.round = round;
    this.go.disabled = round !== null;
    this.stop.disabled = round === null;
    this.turns.setAttribute("aria-busy", String(round !== null));
  }
}
