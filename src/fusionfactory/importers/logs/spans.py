"""Spans of traces: OTLP in JSON, and a span per line as tools print and export them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fusionfactory.importers.logs.judgements import Judgement
from fusionfactory.importers.logs.records import read_records
from fusionfactory.importers.logs.values import decoded, first, objects, time_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from fusionfactory.importers.files import JsonObject

__all__ = ["EVALUATION", "Event", "Span", "flat", "nested", "read_spans"]

EVALUATION = "gen_ai.evaluation.result"
_KINDS = ("stringValue", "intValue", "doubleValue", "boolValue", "arrayValue", "kvlistValue")
_FAILED = ("2", "error", "status_code_error", "statuscode.error")


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a span, or a log record.

    Attributes:
        name: For example `exception`.
        attributes: By dotted names.
        file: The file it stands in.
        row: The row it stands in.
        span_id: The span it belongs to, empty if it does not say.
    """

    name: str
    attributes: JsonObject
    file: Path
    row: int
    span_id: str = ""

    def judgement(self) -> Judgement | None:
        """The score that it reports, if it is an evaluation's result."""
        if self.name != EVALUATION:
            return None
        name = str(self.attributes.get("gen_ai.evaluation.name"))
        value = self.attributes.get("gen_ai.evaluation.score.value")
        return Judgement(name, value, self.file, self.row, "gen_ai.evaluation.score.value")


@dataclass(frozen=True, slots=True)
class Span:
    """A span.

    Attributes:
        file: The file it stands in.
        row: Its row: the line of a JSONL file, else the position among the document's spans.
        span_id: Its id, empty if it has none.
        attributes: By dotted names.
        started: Its start.
        ended: Its end.
        error: What went wrong.
        events: What happened in it, and log records that name it.
        kind: OpenInference's kind of span, upper case.
        annotations: Phoenix's annotations.
    """

    file: Path
    row: int
    span_id: str
    attributes: JsonObject
    started: datetime | None
    ended: datetime | None
    error: str | None
    events: list[Event] = field(default_factory=list)
    kind: str = ""
    annotations: tuple[JsonObject, ...] = ()


def read_spans(path: Path) -> list[Span]:
    """The spans of OTLP/JSON or of a span per line, with the log records that name them.

    Raises:
        FormatError: The content is malformed.
    """
    spans: list[Span] = []
    loose: list[Event] = []
    for file, row, item in read_records(path):
        inside = list(_of_otlp(item, "resourceSpans", "scopeSpans", "spans"))
        inside += _of_otlp(item, "spans")
        logged = list(_of_otlp(item, "resourceLogs", "scopeLogs", "logRecords"))
        if not inside and not logged and "resourceSpans" not in item:
            inside = [item]
        lines = file.suffix.lower() == ".jsonl" or len(inside) == 1
        spans += [
            _span(span, file, row if lines else position)
            for position, span in enumerate(inside, start=1)
        ]
        loose += [_event(record, file, row) for record in logged]
    by_id = {span.span_id: span for span in spans if span.span_id}
    by_response = {
        str(response): span
        for span in spans
        if (response := span.attributes.get("gen_ai.response.id")) is not None
    }
    for event in loose:
        answered = str(event.attributes.get("gen_ai.response.id"))
        owner = by_id.get(event.span_id) or by_response.get(answered)
        if owner is not None:
            owner.events.append(event)
    return spans


def flat(value: JsonObject, prefix: str = "") -> JsonObject:
    """Nested objects as one, by dotted names; lists stay as they are."""
    out: JsonObject = {}
    for name, inner in value.items():
        if isinstance(inner, dict) and inner:
            out |= flat(inner, f"{prefix}{name}.")
        else:
            out[f"{prefix}{name}"] = inner
    return out


def nested(value: Any) -> Any:  # noqa: ANN401  any JSON
    """The inverse of `flat`, in which objects with the keys 0, 1, ... become lists."""
    if isinstance(value, list):
        return [nested(item) for item in value]
    if not isinstance(value, dict):
        return value
    out: JsonObject = {}
    for name, inner in value.items():
        *path, last = str(name).split(".")
        place = out
        for part in path:
            if not isinstance(place.get(part), dict):
                place[part] = {}
            place = place[part]
        read = nested(inner)
        there = place.get(last)
        place[last] = there | read if isinstance(there, dict) and isinstance(read, dict) else read
    return _lists(out)


def _lists(value: Any) -> Any:  # noqa: ANN401  any JSON
    if not isinstance(value, dict):
        return value
    inner = {name: _lists(item) for name, item in value.items()}
    if inner and all(str(name).isdecimal() for name in inner):
        return [inner[name] for name in sorted(inner, key=int)]
    return inner


def _of_otlp(item: JsonObject, *levels: str) -> Iterator[JsonObject]:
    outer, *rest = levels
    for inner in objects(item.get(outer)):
        if rest:
            yield from _of_otlp(inner, *rest)
        else:
            yield inner


def _attributes(item: JsonObject) -> JsonObject:
    """The attributes by dotted names: OTLP's pairs, an object, or columns `attributes.*`."""
    given = decoded(item.get("attributes"))
    if isinstance(given, list):
        return {str(pair.get("key")): _value(pair.get("value")) for pair in objects(given)}
    if isinstance(given, dict):
        return flat({name: _value(inner) for name, inner in given.items()})
    start = "attributes."
    return flat({n.removeprefix(start): v for n, v in item.items() if n.startswith(start)})


def _value(value: Any) -> Any:  # noqa: ANN401  any JSON
    """A value of OTLP's `AnyValue`."""
    kind = next(iter(value), None) if isinstance(value, dict) and len(value) == 1 else None
    if kind not in _KINDS:
        return value
    inner = value[kind]
    values = objects(inner.get("values")) if isinstance(inner, dict) else []
    if kind == "arrayValue":
        return [_value(item) for item in values]
    if kind == "kvlistValue":
        return {pair.get("key"): _value(pair.get("value")) for pair in values}
    return int(inner) if kind == "intValue" and str(inner).lstrip("-").isdecimal() else inner


def _event(item: JsonObject, file: Path, row: int) -> Event:
    attributes = _attributes(item)
    name = first(item, "eventName", "event_name", "name") or attributes.get("event.name")
    return Event(str(name), attributes, file, row, str(first(item, "spanId", "span_id") or ""))


def _span(item: JsonObject, file: Path, row: int) -> Span:
    attributes = _attributes(item)
    given = decoded(item.get("context"))
    context = given if isinstance(given, dict) else {}
    span_id = first(item, "spanId", "span_id", "context.span_id") or context.get("span_id")
    events = [_event(event, file, row) for event in objects(item.get("events"))]
    started = first(item, "startTimeUnixNano", "start_time_unix_nano", "start_time", "startTime")
    ended = first(item, "endTimeUnixNano", "end_time_unix_nano", "end_time", "endTime")
    kind = attributes.get("openinference.span.kind") or item.get("span_kind")
    return Span(
        file=file,
        row=row,
        span_id=str(span_id or ""),
        attributes=attributes,
        started=time_of(started, file, row, "startTimeUnixNano"),
        ended=time_of(ended, file, row, "endTimeUnixNano"),
        error=_error(item, attributes, events),
        events=events,
        kind=str(kind or "").upper(),
        annotations=tuple(objects(first(item, "annotations", "span_annotations"))),
    )


def _error(item: JsonObject, attributes: JsonObject, events: list[Event]) -> str | None:
    """What went wrong: the type of error and the message of the status or of an exception."""
    given = decoded(item.get("status"))
    status = given if isinstance(given, dict) else {"code": given}
    code = first(status, "code", "status_code") or first(item, "status_code", "statusCode")
    kind = attributes.get("error.type")
    if kind is None and str(code).lower() not in _FAILED:
        return None
    said = first(status, "message", "description") or first(item, "status_message")
    for event in events:
        if event.name == "exception":
            said = said or event.attributes.get("exception.message")
            kind = kind or event.attributes.get("exception.type")
    parts = [part if isinstance(part, str) else json.dumps(part) for part in (kind, said) if part]
    return ": ".join(dict.fromkeys(parts)) or "failed"
