"""Scores in logs: which is the quality, which the judge's, and on what scale they stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fusionfactory.errors import ConfigError, FormatError
from fusionfactory.importers.logs.values import number

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

__all__ = ["Judgement", "Judgements"]

_QUALITY = ("performance", "correctness", "quality")
_JUDGE = ("llm_judge", "judge")
_WORDS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Judgement:
    """A score as a log has it.

    Attributes:
        name: Of the score.
        value: Of any type; true and false are 1 and 0 on any scale.
        file: The file it stands in.
        row: The row it stands in.
        field: The field it stands in.
    """

    name: str
    value: Any
    file: Path
    row: int
    field: str


class Judgements:
    """Picks the quality and the judge's score out of the scores of a call.

    Args:
        score: Name of the score that is the quality; by default `performance`, `correctness` or
            `quality`, whichever is there, in any case of letters.
        judge: Name of the score that is the judge's; by default `llm_judge` or `judge`.
        scale: Least and greatest value of both, as two numbers or as text `LO,HI`.

    Raises:
        ConfigError: The scale is none.
    """

    def __init__(
        self, score: str | None, judge: str | None, scale: str | Sequence[float] | None
    ) -> None:
        self._asked = {"score": score, "judge": judge}
        qualities = _QUALITY if score is None else (score,)
        self._wanted = (qualities, _JUDGE if judge is None else (judge,))
        self._low, self._high = (0.0, 1.0) if scale is None else _bounds(scale)
        self._seen: dict[str, None] = {}

    def pick(self, given: Iterable[Judgement]) -> tuple[float | None, float | None]:
        """Quality and judge's score in [0, 1]; of several of one name the last.

        Raises:
            FormatError: One that counts is no number or off the scale.
        """
        by_name = {judgement.name: judgement for judgement in given}
        self._seen.update(dict.fromkeys(by_name))
        folded = {name.lower(): judgement for name, judgement in by_name.items()} | by_name
        quality, judge = (
            next((folded[name] for name in names if name in folded), None) for names in self._wanted
        )
        return self._scaled(quality), self._scaled(judge)

    def check(self) -> None:
        """Checks that the scores that were asked for are somewhere in the log.

        Raises:
            ConfigError: One is not.
        """
        for option, name in self._asked.items():
            if name is not None and name not in self._seen:
                msg = f"no score {name!r} in the log; found {', '.join(self._seen) or 'none'}"
                raise ConfigError(msg, field=option)

    def _scaled(self, judgement: Judgement | None) -> float | None:
        if judgement is None or judgement.value is None:
            return None
        value = judgement.value
        if isinstance(value, str):
            value = _WORDS.get(value.lower(), value)
        if isinstance(value, bool):
            return float(value)
        read = number(value)
        place: dict[str, Any] = {
            "file": judgement.file, "row": judgement.row, "field": judgement.field,
        }  # fmt: skip
        if read is None:
            msg = f"{value!r:.60} of the score {judgement.name!r} is no number"
            raise FormatError(msg, **place)
        if not self._low <= read <= self._high:
            msg = (
                f"{read:g} of the score {judgement.name!r} must lie in "
                f"[{self._low:g}, {self._high:g}]; say another scale with scale=LO,HI"
            )
            raise FormatError(msg, **place)
        return (read - self._low) / (self._high - self._low)


def _bounds(scale: str | Sequence[float]) -> tuple[float, float]:
    given = scale.split(",") if isinstance(scale, str) else list(scale)
    read = [number(bound) for bound in given]
    match read:
        case [float() as low, float() as high] if low < high:
            return low, high
    msg = f"{scale!r} is no scale: expected two numbers LO,HI with LO below HI"
    raise ConfigError(msg, field="scale")
