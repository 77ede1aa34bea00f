"""Calls of models as production logs tell them, gathered into outcomes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from fusionfactory.errors import FormatError
from fusionfactory.importers.logs.redaction import clean
from fusionfactory.importers.logs.values import number
from fusionfactory.importers.rows import Rows
from fusionfactory.table import CELLS, OutcomeTable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

__all__ = ["Call", "Calls", "Log"]

_FIELDS = {
    "task_name": "task", "query": "query", "ground_truth": "target", "metric": "metric",
    "llm": "model", "input_tokens_num": "input_tokens", "output_tokens_num": "output_tokens",
    "performance": "quality", "llm_judge": "judge", "cost_usd": "cost_usd",
    "latency_s": "latency_s", "response": "response",
}  # fmt: skip
"""Column of the layout to the attribute of `Call`."""
_EXTRA = {"error": pl.String, "created": pl.String, "propensity": pl.Float64,
          "finish_reason": pl.String}  # fmt: skip
_EMPTY = "record that says nothing about the answer"


@dataclass(frozen=True, slots=True)
class Call:
    """One call of one model. Numbers are as the log has them, None where it does not say.

    Attributes:
        query: Text of the query.
        model: Name of the model, or of an arm (`model|strategy`).
        response: Text of the answer.
        error: What went wrong; then there are no scores.
        input_tokens: Tokens sent.
        output_tokens: Tokens received.
        cost_usd: What was paid.
        latency_s: Seconds; by default from `started` to `ended`, unknown if that is negative.
        started: When the call began.
        ended: When the answer was there.
        quality: Score in [0, 1].
        judge: Score of a judge in [0, 1].
        propensity: Probability with which a router chose the model.
        finish_reason: Why the model stopped.
        target: The right answer.
        metric: What `quality` measures.
    """

    query: str | None
    model: str | None
    response: str | None = None
    error: str | None = None
    input_tokens: Any = None
    output_tokens: Any = None
    cost_usd: Any = None
    latency_s: Any = None
    started: datetime | None = None
    ended: datetime | None = None
    quality: float | None = None
    judge: float | None = None
    propensity: Any = None
    finish_reason: str | None = None
    target: str | None = None
    metric: str | None = None


@dataclass(frozen=True, eq=False)
class Log:
    """The outcomes of a log.

    Attributes:
        outcomes: As `Store.write_frame` takes them: the columns of `layout.to_long` with `sample`,
            `error`, `created`, `propensity` and `finish_reason`; in the order of time. What was
            asked of one model several times are samples 0, 1, 2, ...
        left_out: What kind of record was left out, to how many.
    """

    outcomes: pl.DataFrame
    left_out: Mapping[str, int]

    @property
    def failed(self) -> int:
        """The number of outcomes that are failed calls."""
        return self.outcomes.height - self.outcomes["error"].null_count()

    def table(self) -> OutcomeTable:
        """The outcomes as arrays: means over the samples that did not fail, and the first response.

        The cell of calls that all failed is missing.
        """
        good = pl.col("error").is_null()
        known = good & pl.col("response").is_not_null()
        own = ("query_id", "arm", "response", "sample", *CELLS, *_EXTRA)
        shared = [name for name in self.outcomes.columns if name not in own]
        cells = self.outcomes.group_by("query_id", "arm", maintain_order=True).agg(
            pl.col(shared).drop_nulls().first(),
            pl.col(CELLS).filter(good).mean(),
            pl.col("response").filter(known).first(),
        )
        return OutcomeTable.from_long(cells)


class Calls:
    """Collects calls and turns them into outcomes.

    Args:
        path: What is read, for messages about the whole.
        fields: Attribute of `Call` to the name it has in the log, for messages.
        task: Task of the queries.
        skip_incomplete: Leave out, and count, records that lack the query or the model; else they
            are errors.
        hints: Attribute of `Call` to why it may be missing or how to say it.
    """

    def __init__(
        self,
        path: Path,
        fields: Mapping[str, str],
        *,
        task: str = "",
        skip_incomplete: bool = False,
        hints: Mapping[str, str] | None = None,
    ) -> None:
        self._path, self._task, self._skip, self._hints = path, task, skip_incomplete, hints or {}
        self._names = {name: fields.get(name, name) for name in _FIELDS.values()}
        self._names["propensity"] = fields.get("propensity", "propensity")
        self._rows = Rows({column: self._names[name] for column, name in _FIELDS.items()})
        self._extra: dict[str, list[Any]] = {name: [] for name in _EXTRA}
        self._left_out: Counter[str] = Counter()

    def leave_out(self, kind: str) -> None:
        """Counts a record that is no call of a model."""
        self._left_out[kind] += 1

    def add(self, file: Path, row: int, call: Call) -> None:
        """Adds a call.

        Raises:
            FormatError: It lacks the query or the model and is not to be left out, or a value is of
                the wrong type or out of its range.
        """
        if not self._complete(file, row, call):
            return
        said = (call.response, call.error, call.input_tokens, call.output_tokens, call.cost_usd,
                _latency(call), call.quality, call.judge)  # fmt: skip
        if all(value is None for value in said):
            self.leave_out(_EMPTY)
            return
        values = {column: getattr(call, name, None) for column, name in _FIELDS.items()}
        model = str(call.model)
        values |= {
            "task_name": self._task,
            # Without a strategy, the layout would take `m_think` for one.
            "llm": model if "|" in model else f"{model}|direct",
            "latency_s": _latency(call),
        }
        if call.error is not None:
            values |= {"performance": None, "llm_judge": None}
        texts = {k: clean(value) for k, value in values.items() if isinstance(value, str)}
        self._rows.add(file, row, values | texts)
        when = call.ended or call.started
        extra = {
            "error": None if call.error is None else clean(call.error) or "failed",
            "created": None if when is None else when.isoformat(),
            "propensity": self._propensity(file, row, call.propensity),
            "finish_reason": None if call.finish_reason is None else clean(call.finish_reason),
        }
        for name, column in self._extra.items():
            column.append(extra[name])

    def log(self) -> Log:
        """The outcomes of everything added.

        Raises:
            FormatError: There are none, or a value is out of its range.
        """
        if not len(self._rows):
            others = "; ".join(f"{n} x {kind}" for kind, n in self._left_out.items())
            msg = f"holds no calls of a model{others and f' (left out: {others})'}"
            raise FormatError(msg, file=self._path)
        extra = [pl.Series(n, self._extra[n], dtype=dtype) for n, dtype in _EXTRA.items()]
        long = self._rows.long(self._path).with_columns(extra)
        long = long.sort("created", nulls_last=True, maintain_order=True)
        sample = pl.int_range(pl.len(), dtype=pl.Int64).over("query_id", "arm")
        return Log(long.with_columns(sample.alias("sample")), dict(self._left_out))

    def _complete(self, file: Path, row: int, call: Call) -> bool:
        for name in ("query", "model"):
            value = getattr(call, name)
            if value is None or not str(value).strip():
                if self._skip:
                    self.leave_out(f"record without {name}")
                    return False
                hint = f" ({self._hints[name]})" if name in self._hints else ""
                msg = f"says no {name}{hint}; skip_incomplete=true leaves such records out"
                raise FormatError(msg, file=file, row=row, field=self._names[name])
        return True

    def _propensity(self, file: Path, row: int, value: Any) -> float | None:  # noqa: ANN401
        if value is None:
            return None
        read = number(value)
        if read is None or not 0 < read <= 1:
            msg = f"{value!r:.60} is no propensity: expected a number above 0 and up to 1"
            raise FormatError(msg, file=file, row=row, field=self._names["propensity"])
        return read


def _latency(call: Call) -> Any:  # noqa: ANN401  as the log has it
    if call.latency_s is not None or call.started is None or call.ended is None:
        return call.latency_s
    seconds = (call.ended - call.started).total_seconds()
    return seconds if seconds >= 0 else None
