"""Langfuse: exported observations, and the scores given to them."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionfactory.importers.logs.answers import read_answer
from fusionfactory.importers.logs.calls import Call, Calls, Log
from fusionfactory.importers.logs.judgements import Judgement, Judgements
from fusionfactory.importers.logs.messages import conversation, query_text
from fusionfactory.importers.logs.records import Record, read_records
from fusionfactory.importers.logs.values import decoded, first, number, propensity_in, time_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fusionfactory.importers.files import JsonObject

__all__ = ["read_log"]

_FIELDS = {"query": "input", "response": "output", "input_tokens": "usageDetails",
           "output_tokens": "usageDetails", "cost_usd": "costDetails",
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
    """Reads observations of the type GENERATION with their scores; others are left out.

    Fields may be named as in the API (`traceId`) or as in the exports to a blob storage
    (`trace_id`). A score of a whole trace counts for its generation where it has just one. The cost
    is the sum of `costDetails` or the total cost; where `costDetails` is there and empty, Langfuse
    knew no price and the cost is unknown.

    Args:
        path: `.jsonl` or `.json` (a list, an API's page, or traces with their `observations` and
            `scores`), or a folder of those, for observations and scores in files of their own.
        score: Name of the score that is the quality; by default `performance`, `correctness` or
            `quality`.
        judge: Name of the score that is a judge's; by default `llm_judge` or `judge`.
        scale: Least and greatest value of those scores, by default 0 and 1.
        skip_incomplete: Leave out generations without input or model, and count them.
        task: Task of the queries.

    Raises:
        ConfigError: A score that was asked for is not in the log, or the scale is none.
        FormatError: The content is malformed.
    """
    path = Path(path)
    judgements = Judgements(score, judge, scale)
    calls = Calls(path, _FIELDS, task=task, skip_incomplete=skip_incomplete)
    generations, given = _sorted_out(_flat(read_records(path)), calls)
    by_id = _by_generation(generations, given, calls)
    for file, row, item in generations:
        mine = by_id.get(str(item.get("id")), [])
        quality, judged = judgements.pick(map(_judgement, mine))
        calls.add(file, row, _call(item, file, row, quality, judged))
    judgements.check()
    return calls.log()


def _get(item: JsonObject, name: str) -> Any:  # noqa: ANN401  any JSON
    """A field by its name in the API or by that in an export."""
    return first(item, name, "".join(f"_{c.lower()}" if c.isupper() else c for c in name))


def _flat(records: Iterable[Record]) -> Iterable[Record]:
    """The records; of a trace, its observations and scores, which count as of its row."""
    for file, row, item in records:
        nested = [item.get("observations"), item.get("scores")]
        if any(isinstance(inner, list) for inner in nested):
            inside = [x for inner in nested if isinstance(inner, list) for x in inner]
            yield from ((file, row, x) for x in inside if isinstance(x, dict))
        else:
            yield file, row, item


def _sorted_out(records: Iterable[Record], calls: Calls) -> tuple[list[Record], list[Record]]:
    """Generations and scores; anything else is counted as left out."""
    generations, scores = [], []
    for record in records:
        item = record[2]
        kind = str(item.get("type") or "").upper()
        if kind == "GENERATION":
            generations.append(record)
        elif kind:
            calls.leave_out(f"observation of type {kind}")
        elif "name" in item and item.keys() & {"dataType", "data_type", "value"}:
            scores.append(record)
        else:
            calls.leave_out("record that is neither an observation nor a score")
    return generations, scores


def _by_generation(
    generations: Sequence[Record], scores: Sequence[Record], calls: Calls
) -> dict[str, list[Record]]:
    """Generation to its scores, in the order of time; scores of none are counted as left out."""
    by_trace: dict[str, list[str]] = defaultdict(list)
    for _, _, item in generations:
        by_trace[str(_get(item, "traceId"))].append(str(item.get("id")))
    known = {name for names in by_trace.values() for name in names}
    found: dict[str, list[Record]] = defaultdict(list)
    for record in sorted(scores, key=lambda record: str(_get(record[2], "timestamp") or "")):
        scored = _get(record[2], "observationId")
        names = by_trace[str(_get(record[2], "traceId"))] if scored is None else [str(scored)]
        if len(names) > 1:
            calls.leave_out("score of a trace with several generations")
        elif not known.issuperset(names) or not names:
            calls.leave_out("score of an observation that is not in the log")
        else:
            found[names[0]].append(record)
    return found


def _judgement(record: Record) -> Judgement:
    file, row, item = record
    value = item.get("value")
    if value is None:
        value = _get(item, "stringValue")
    if str(_get(item, "dataType")).upper() == "BOOLEAN" and value in {0, 1}:
        value = bool(value)
    return Judgement(str(item.get("name")), value, file, row, "value")


def _call(
    item: JsonObject, file: Path, row: int, quality: float | None, judged: float | None
) -> Call:
    failed = str(item.get("level") or "").upper() == "ERROR"
    output = item.get("output")
    answer = read_answer(output)
    text = answer.text
    if text is None and isinstance(output, dict) and output:
        text = json.dumps(output, ensure_ascii=False)
    usage = _object(_get(item, "usageDetails")) or _object(item.get("usage"))
    return Call(
        query=query_text(conversation(item.get("input"))),
        model=first(item, "model") or _get(item, "providedModelName"),
        response=None if failed else text,
        error=str(_get(item, "statusMessage") or "failed") if failed else None,
        input_tokens=_tokens(usage, "input", "prompt", _get(item, "promptTokens")),
        output_tokens=_tokens(usage, "output", "completion", _get(item, "completionTokens")),
        cost_usd=_cost(item),
        started=time_of(_get(item, "startTime"), file, row, "startTime"),
        ended=time_of(_get(item, "endTime"), file, row, "endTime"),
        quality=quality,
        judge=judged,
        propensity=propensity_in(item.get("metadata")),
        finish_reason=answer.finish_reason,
    )


def _object(value: Any) -> JsonObject:  # noqa: ANN401  any JSON
    read = decoded(value)
    return read if isinstance(read, dict) else {}


def _tokens(usage: JsonObject, name: str, older: str, otherwise: Any) -> Any:  # noqa: ANN401
    """The sum over kinds of tokens, such as `input` and `input_cached_tokens`."""
    counts = [
        count
        for kind, value in usage.items()
        if (name in kind.lower() or older in kind.lower()) and "cost" not in kind.lower()
        if (count := number(value)) is not None
    ]
    if counts:
        return sum(counts) if any(counts) or number(usage.get("total")) else None
    return otherwise or None


def _cost(item: JsonObject) -> Any:  # noqa: ANN401  any JSON
    details = _get(item, "costDetails")
    known = _object(details)
    parts = [cost for kind, value in known.items() if (cost := number(value)) is not None
             and kind != "total"]  # fmt: skip
    if first(known, "total") is not None:
        return known["total"]
    if parts:
        return sum(parts)
    total = first(item, "calculatedTotalCost", "calculated_total_cost", "totalCost", "total_cost")
    return None if details is not None and number(total) == 0 else total
