"""OpenTelemetry: spans by the GenAI semantic conventions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionfactory.importers.logs.answers import read_answer
from fusionfactory.importers.logs.calls import Call, Calls, Log
from fusionfactory.importers.logs.judgements import Judgements
from fusionfactory.importers.logs.messages import answer_text, conversation, query_text
from fusionfactory.importers.logs.spans import nested, read_spans
from fusionfactory.importers.logs.values import decoded, first, propensity_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.importers.files import JsonObject
    from fusionfactory.importers.logs.spans import Span

__all__ = ["read_log"]

_FIELDS = {"query": "gen_ai.input.messages", "model": "gen_ai.request.model",
           "response": "gen_ai.output.messages", "input_tokens": "gen_ai.usage.input_tokens",
           "output_tokens": "gen_ai.usage.output_tokens", "cost_usd": "gen_ai.usage.cost",
           "propensity": "fusionfactory.propensity"}  # fmt: skip
_OPERATIONS = ("chat", "text_completion", "generate_content")
_DETAILS = "gen_ai.client.inference.operation.details"


def read_log(
    path: str | Path,
    *,
    score: str | None = None,
    judge: str | None = None,
    scale: str | Sequence[float] | None = None,
    skip_incomplete: bool = False,
    task: str = "",
) -> Log:
    """Reads spans of `chat`, `text_completion` and `generate_content`; others are left out.

    The messages are looked for in the span's attributes and in its events. Scores are events
    `gen_ai.evaluation.result` of the span, or log records that name the span or its
    `gen_ai.response.id`. The conventions know no cost; `gen_ai.usage.cost` counts where it is
    written. The propensity is the attribute `fusionfactory.propensity`.

    Args:
        path: OTLP/JSON, whole (`.json`) or a request per line (`.jsonl`), or a span per line; or a
            folder of those.
        score: Name of the evaluation that is the quality; by default `performance`, `correctness`
            or `quality`.
        judge: Name of the evaluation that is a judge's; by default `llm_judge` or `judge`.
        scale: Least and greatest value of those scores, by default 0 and 1.
        skip_incomplete: Leave out calls without messages or model, and count them.
        task: Task of the queries.

    Raises:
        ConfigError: A score that was asked for is not in the log, or the scale is none.
        FormatError: The content is malformed.
    """
    path = Path(path)
    judgements = Judgements(score, judge, scale)
    calls = Calls(path, _FIELDS, task=task, skip_incomplete=skip_incomplete)
    for span in read_spans(path):
        operation = span.attributes.get("gen_ai.operation.name")
        asked = first(span.attributes, "gen_ai.request.model", "gen_ai.response.model")
        if operation not in {None, *_OPERATIONS}:
            calls.leave_out(f"span of the operation {operation}")
        elif operation is None and asked is None:
            calls.leave_out("span that is no call of a model")
        else:
            given = (event.judgement() for event in span.events)
            quality, judged = judgements.pick(j for j in given if j is not None)
            calls.add(span.file, span.row, _call(span, asked, quality, judged))
    judgements.check()
    return calls.log()


def _call(span: Span, model: str | None, quality: float | None, judged: float | None) -> Call:
    told = dict(span.attributes)
    for event in span.events:
        if event.name == _DETAILS:
            told |= event.attributes
    asked, answered, stopped = _messages(told, span)
    reasons = decoded(told.get("gen_ai.response.finish_reasons"))
    reason = reasons[0] if isinstance(reasons, list) and reasons else reasons or stopped
    return Call(
        query=query_text(conversation(asked)),
        model=model,
        response=None if span.error is not None else answered,
        error=span.error,
        input_tokens=first(told, "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
        output_tokens=first(told, "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
        cost_usd=first(told, "gen_ai.usage.cost"),
        started=span.started,
        ended=span.ended,
        quality=quality,
        judge=judged,
        propensity=propensity_in(told),
        finish_reason=None if not reason else str(reason),
    )


def _messages(told: JsonObject, span: Span) -> tuple[Any, str | None, Any]:
    """What was asked, the first choice's text and its finish reason, in new or older notation."""
    asked = decoded(told.get("gen_ai.input.messages"))
    choices = decoded(told.get("gen_ai.output.messages"))
    if asked is None and choices is None:
        old = nested({n: v for n, v in told.items() if n.startswith("gen_ai.")}).get("gen_ai", {})
        asked, choices = old.get("prompt"), decoded(old.get("completion"))
    if asked is None:
        asked = [
            {"role": event.name.split(".")[1]} | nested(event.attributes)
            for event in span.events
            if event.name.startswith("gen_ai.") and event.name.endswith(".message")
        ]
    if choices is None:
        found = [nested(e.attributes) for e in span.events if e.name == "gen_ai.choice"]
        choices = [c | _object(c.get("message")) for c in found] or None
    choice = choices[0] if isinstance(choices, list) and choices else choices
    if isinstance(choice, dict):
        return asked, answer_text(choice), choice.get("finish_reason")
    return asked, read_answer(choice).text, None


def _object(value: Any) -> JsonObject:  # noqa: ANN401  any JSON
    read = decoded(value)
    return read if isinstance(read, dict) else {"content": read}
