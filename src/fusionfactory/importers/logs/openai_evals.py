"""OpenAI evals: output items of the Evals API, and the recorder's log of the open-source tool."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionfactory.importers.logs.answers import error_text
from fusionfactory.importers.logs.calls import Call, Calls, Log
from fusionfactory.importers.logs.judgements import Judgement, Judgements
from fusionfactory.importers.logs.messages import answer_text, conversation, query_text
from fusionfactory.importers.logs.records import Record, read_records
from fusionfactory.importers.logs.values import decoded, first, objects, propensity_in, time_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fusionfactory.importers.files import JsonObject

__all__ = ["read_log"]

_FIELDS = {"query": "input", "response": "output", "input_tokens": "usage",
           "output_tokens": "usage", "propensity": "metadata"}  # fmt: skip
_TARGETS = ("ideal", "ground_truth", "expected", "target", "reference", "correct_label", "answer")
_ASKED = ("input", "messages", "prompt", "question", "query")
_RECORDED = ("spec", "final_report", "sample_id")


def read_log(
    path: str | Path,
    *,
    score: str | None = None,
    judge: str | None = None,
    scale: str | Sequence[float] | None = None,
    skip_incomplete: bool = False,
    task: str = "",
) -> Log:
    """Reads lines `{"item": ..., "sample": ...}` with `results`, or a recorder's log.

    Of an output item, a grader's score counts, or, where it gives none, whether the item passed;
    where there is only one grader, it is the quality. In a recorder's log events are joined by
    their `sample_id`: the first `sampling` is the answer, `match` says whether it is right, `error`
    that the call failed; the model is the completion function of the log's `spec`.

    Args:
        path: `.jsonl` or `.json` (an API's page too), or a folder of those, such as one log for
            each model.
        score: Name of the grader whose score is the quality (without the id that the API adds).
        judge: Name of the grader whose score is a judge's.
        scale: Least and greatest value of those scores, by default 0 and 1.
        skip_incomplete: Leave out items without prompt or model, and count them.
        task: Task of the queries.

    Raises:
        ConfigError: A grader that was asked for is not in the log, or the scale is none.
        FormatError: The content is malformed.
    """
    path = Path(path)
    judgements = Judgements(score, judge, scale)
    calls = Calls(path, _FIELDS, task=task, skip_incomplete=skip_incomplete)
    recorded: dict[Path, list[Record]] = defaultdict(list)
    for file, row, item in read_records(path):
        if any(name in item for name in _RECORDED) and "sample" not in item:
            recorded[file].append((file, row, item))
        else:
            quality, judged = judgements.pick(_graded(item, file, row, asked=score or judge))
            calls.add(file, row, _item(item, file, row, quality, judged))
    for records in recorded.values():
        _add_recorded(records, calls)
    judgements.check()
    return calls.log()


def _object(value: Any) -> JsonObject:  # noqa: ANN401  any JSON
    read = decoded(value)
    return read if isinstance(read, dict) else {}


def _graded(item: JsonObject, file: Path, row: int, *, asked: str | None) -> Iterator[Judgement]:
    """The graders' scores; the only one is the quality, whatever its name."""
    results = objects(item.get("results"))
    for result in results:
        value = result.get("score")
        value = result.get("passed") if value is None else value
        whole = str(result.get("name"))
        # The API appends an id to a grader's name: "String check-a2486074-d803-4445-...".
        parts = whole.rsplit("-", 5)
        names = {whole, parts[0] if len(parts) == 6 else whole}
        if len(results) == 1 and asked is None:
            names = {"quality"}
        for name in sorted(names):
            yield Judgement(name, value, file, row, "results")


def _item(
    item: JsonObject, file: Path, row: int, quality: float | None, judged: float | None
) -> Call:
    source = _object(first(item, "item", "datasource_item"))
    sample = _object(item.get("sample"))
    usage = _object(sample.get("usage"))
    asked = conversation(first(sample, "input")) or conversation(first(source, *_ASKED))
    error = error_text({k: v for k, v in _object(sample.get("error")).items() if v})
    output = first(sample, "output", "output_text")
    target = first(source, *_TARGETS)
    return Call(
        query=query_text(asked),
        model=first(sample, "model") or first(item, "model"),
        response=None if error is not None else answer_text(output),
        error=error,
        input_tokens=first(usage, "prompt_tokens", "input_tokens"),
        output_tokens=first(usage, "completion_tokens", "output_tokens"),
        ended=time_of(item.get("created_at"), file, row, "created_at"),
        quality=quality,
        judge=judged,
        propensity=propensity_in(item.get("metadata"), source),
        finish_reason=first(sample, "finish_reason"),
        target=None if target is None else answer_text(_text(target)),
    )


def _text(value: Any) -> Any:  # noqa: ANN401  any JSON
    """A target; of several right answers, the first."""
    return str(value[0] if isinstance(value, list) and value else value)


def _add_recorded(records: Sequence[Record], calls: Calls) -> None:
    """Adds the calls of one recorder's log."""
    spec: JsonObject = {}
    events: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        item = record[2]
        if "sample_id" in item:
            events[str(item["sample_id"])].append(record)
        spec = _object(item.get("spec")) or spec
    for mine in events.values():
        _add_sample(mine, spec, calls)


def _add_sample(records: Sequence[Record], spec: JsonObject, calls: Calls) -> None:
    by_type: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_type[str(record[2].get("type"))].append(record)
    samplings = by_type["sampling"]
    for kind, others in by_type.items():
        known = {"sampling": 1, "match": len(others), "error": len(others)}.get(kind, 0)
        for _ in others[known:]:
            calls.leave_out(f"event {kind}" + (" after the first" if known else ""))
    if not samplings and not by_type["error"]:
        return
    file, row, item = (samplings or by_type["error"])[0]
    data = _object(item.get("data"))
    match = _object(by_type["match"][-1][2].get("data")) if by_type["match"] else {}
    failure = by_type["error"][0][2].get("data") if by_type["error"] else None
    error = None if failure is None else error_text(failure) or "failed"
    usage = _object(data.get("usage"))
    sampled = data.get("sampled")
    if isinstance(sampled, list):
        sampled = sampled[0] if sampled else None
    right = match.get("correct")
    calls.add(
        file,
        row,
        Call(
            query=query_text(conversation(data.get("prompt"))),
            model=first(data, "model") or _model(spec),
            response=None if error is not None else answer_text(sampled),
            error=error,
            input_tokens=first(usage, "prompt_tokens"),
            output_tokens=first(usage, "completion_tokens"),
            ended=time_of(item.get("created_at"), file, row, "created_at"),
            quality=float(right) if isinstance(right, bool) else None,
            target=None if match.get("expected") is None else _text(match["expected"]),
            metric="match" if match else None,
        ),
    )


def _model(spec: JsonObject) -> str | None:
    functions = spec.get("completion_fns") or _object(spec.get("run_config")).get("completion_fns")
    found = functions[0] if isinstance(functions, list) and functions else spec.get("model_name")
    return None if found is None else str(found)
