"""OpenInference: spans as Phoenix and its instrumentations write them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionfactory.importers.logs.answers import read_answer
from fusionfactory.importers.logs.calls import Call, Calls, Log
from fusionfactory.importers.logs.judgements import Judgement, Judgements
from fusionfactory.importers.logs.messages import answer_text, conversation, query_text
from fusionfactory.importers.logs.spans import nested, read_spans
from fusionfactory.importers.logs.values import decoded, first, number, propensity_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fusionfactory.importers.files import JsonObject
    from fusionfactory.importers.logs.spans import Span

__all__ = ["read_log"]

_FIELDS = {"query": "llm.input_messages", "model": "llm.model_name",
           "response": "llm.output_messages", "input_tokens": "llm.token_count.prompt",
           "output_tokens": "llm.token_count.completion", "cost_usd": "llm.cost.total",
           "propensity": "metadata"}  # fmt: skip


def read_log(
    path: str | Path,
    *,
    score: str | None = None,
    judge: str | None = None,
    scale: str | Sequence[float] | None = None,
    skip_incomplete: bool = False,
    task: str = "",
) -> Log:
    """Reads spans of the kind LLM; others are left out.

    Attributes may be flattened (`llm.input_messages.0.message.role`) or nested. Without messages,
    `input.value` and `output.value` count. Scores are Phoenix's `annotations` of a span, or events
    `gen_ai.evaluation.result`. The propensity is one of the `metadata`.

    Args:
        path: OTLP/JSON, whole (`.json`) or a request per line (`.jsonl`), or a span per line; or a
            folder of those.
        score: Name of the annotation that is the quality; by default `performance`, `correctness`
            or `quality`.
        judge: Name of the annotation that is a judge's; by default `llm_judge` or `judge`.
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
        if span.kind != "LLM":
            calls.leave_out(f"span of the kind {span.kind}" if span.kind else "span of no kind")
            continue
        quality, judged = judgements.pick(_judgements(span))
        calls.add(span.file, span.row, _call(span, quality, judged))
    judgements.check()
    return calls.log()


def _judgements(span: Span) -> Iterator[Judgement]:
    for annotation in span.annotations:
        result = annotation.get("result")
        place = result if isinstance(result, dict) else annotation
        name, value = str(annotation.get("name")), place.get("score")
        yield Judgement(name, value, span.file, span.row, "annotations")
    for event in span.events:
        judgement = event.judgement()
        if judgement is not None:
            yield judgement


def _call(span: Span, quality: float | None, judged: float | None) -> Call:
    told = span.attributes
    asked, answers = (_messages(told, f"llm.{side}_messages") for side in ("input", "output"))
    said = read_answer(told.get("output.value"))
    parameters = decoded(told.get("llm.invocation_parameters"))
    named = parameters.get("model") if isinstance(parameters, dict) else None
    return Call(
        query=query_text(conversation(asked or told.get("input.value"))),
        model=first(told, "llm.model_name") or named,
        response=None if span.error is not None else answer_text(answers[:1] or said.text),
        error=span.error,
        input_tokens=first(told, "llm.token_count.prompt"),
        output_tokens=first(told, "llm.token_count.completion"),
        cost_usd=_cost(told),
        started=span.started,
        ended=span.ended,
        quality=quality,
        judge=judged,
        propensity=propensity_in(told.get("metadata"), _under(told, "metadata.")),
        finish_reason=first(told, "llm.finish_reason") or said.finish_reason,
    )


def _messages(told: JsonObject, name: str) -> list[JsonObject]:
    """The messages under a name: a list, perhaps as JSON text, or flattened."""
    given = nested({"all": decoded(told[name])} if name in told else _under(told, f"{name}."))
    found = given.get("all") if isinstance(given, dict) else given
    return [_message(item) for item in _list(found)]


def _list(value: Any) -> list[Any]:  # noqa: ANN401  any JSON
    return value if isinstance(value, list) else []


def _under(told: JsonObject, prefix: str) -> JsonObject:
    return {n.removeprefix(prefix): v for n, v in told.items() if n.startswith(prefix)}


def _message(item: Any) -> JsonObject:  # noqa: ANN401  any JSON
    """A nested message of the conventions as a chat message."""
    inner = item.get("message", item) if isinstance(item, dict) else {}
    message = inner if isinstance(inner, dict) else {}
    contents = [
        part.get("message_content", part)
        for part in _list(message.get("contents"))
        if isinstance(part, dict)
    ]
    calls = [
        call.get("tool_call", call)
        for call in _list(message.get("tool_calls"))
        if isinstance(call, dict)
    ]
    content = message.get("content") or contents or None
    return {"role": message.get("role"), "content": content, "tool_calls": calls}


def _cost(told: JsonObject) -> Any:  # noqa: ANN401  any JSON
    total = first(told, "llm.cost.total")
    parts = [number(told.get(f"llm.cost.{name}")) for name in ("prompt", "completion")]
    known = [part for part in parts if part is not None]
    return total if total is not None or len(known) < len(parts) else sum(known)
