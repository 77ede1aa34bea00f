"""Guessing which tool wrote a log, from one of its records."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from fusionfactory.importers.files import JsonObject

__all__ = ["MARKS", "detect_columns", "detect_record"]

MARKS = ('"resourceSpans"', '"observations"', '"attributes"', '"data"', '"choices"', '"sample"')
"""Names one of which is at the start of a log that is one JSON object."""
_BY_KEYS: tuple[tuple[set[str], str], ...] = (
    ({"request_id", "spend", "model"}, "litellm"),
    ({"type", "traceId", "startTime"}, "langfuse"),
    ({"type", "trace_id", "start_time"}, "langfuse"),
    ({"traceId", "name", "value"}, "langfuse"),
    ({"trace_id", "name", "value"}, "langfuse"),
    ({"observations"}, "langfuse"),
    ({"spec"}, "openai-evals"),
    ({"sample_id", "event_id"}, "openai-evals"),
    ({"sample", "item"}, "openai-evals"),
    ({"sample", "datasource_item"}, "openai-evals"),
    ({"custom_id"}, "openai-chat"),
    ({"choices", "model"}, "openai-chat"),
    ({"messages"}, "openai-chat"),
)
_SPANS = {"resourceSpans", "resourceLogs", "attributes"}
_OPEN_INFERENCE = ('"openinference.', '"llm.', '"span_kind"', '{"llm":', '"openinference":')


def detect_record(item: JsonObject) -> str | None:
    """The name of the log's reader, or None."""
    if item.keys() & _SPANS or any(name.startswith("attributes.") for name in item):
        text = json.dumps(item).replace('"attributes.', '"').replace(": ", ":")
        if '"gen_ai.' in text or '"gen_ai":' in text:
            return "otel"
        return "openinference" if any(mark in text for mark in _OPEN_INFERENCE) else None
    return next((name for keys, name in _BY_KEYS if keys <= item.keys()), None)


def detect_columns(names: Collection[str]) -> str | None:
    """The name of the log's reader for a table with these columns, or None."""
    if {"request_id", "spend", "model", "startTime"} <= set(names):
        return "litellm"
    phoenix = any(name.startswith("attributes.llm.") for name in names)
    return "openinference" if phoenix else None
