// Server-sent events of a chat completion, from the bytes of an answer as they come.

/** The data of each event; ends with the stream. A piece may end anywhere, within a character too. */
export async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      rest += value;
      const parts = rest.split(/\r?\n\r?\n/);
      rest = parts.pop();
      for (const part of parts) {
        const data = part.split(/\r?\n/).filter((line) => line.startsWith("data:")).map((line) => line.slice(5).replace(/^ /, ""));
        if (data.length) yield data.join("\n");
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** Reads a chat completion; calls `piece(text)` for every bit of it. Throws where it is broken. */
export const chat = async (answer, piece) => {
  let ended = false;
  for await (const data of events(answer)) {
    if (data === "[DONE]") { ended = true; break; }
    const chunk = JSON.parse(data);
    if (chunk.error) throw new Error(chunk.error.message ?? "The stream broke off.");
    const delta = chunk.choices?.[0]?.delta ?? {};
    if (delta.content) piece(delta.content);
    for (const call of delta.tool_calls ?? []) piece(`${call.function?.name ?? ""}${call.function?.arguments ?? ""}`);
  }
  if (!ended) throw new Error("The stream broke off before its end.");
};
