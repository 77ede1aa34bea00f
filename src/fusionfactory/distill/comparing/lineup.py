"""Who is compared as what: the model before training, its students, the control, the teachers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fusionfactory.errors import DistillError
from fusionfactory.types import Arm

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["BEFORE", "CONTROL", "STUDENT", "TEACHER", "Lineup"]

BEFORE, STUDENT, CONTROL, TEACHER = "before", "student", "control", "teacher"
"""Kinds of rows."""

_REMARKS = {BEFORE: "before", CONTROL: "label only", TEACHER: "teacher"}


@dataclass(frozen=True)
class Lineup:
    """Names of arms, each in one role.

    Attributes:
        before: The model as it was.
        students: What was trained from it.
        control: The student that was trained on the labels alone.
        teachers: Arms whose answers were learnt from, or others to measure by.
        recommended: The student that was named before the test outcomes were seen.
    """

    before: str
    students: tuple[str, ...]
    control: str | None = None
    teachers: tuple[str, ...] = ()
    recommended: str | None = None

    @classmethod
    def of(
        cls,
        before: str,
        students: Sequence[str],
        control: str | None,
        teachers: Sequence[str],
        recommended: str | None,
        strategy: str,
    ) -> Lineup:
        """Names without a strategy mean the one given.

        Raises:
            DistillError: There is no student, an arm has two roles, or the recommended one none.
        """
        if not students:
            msg = "there is nothing to compare: name at least one student"
            raise DistillError(msg, field="student")
        made = cls(
            _named(before, strategy),
            tuple(_named(name, strategy) for name in students),
            None if control is None else _named(control, strategy),
            tuple(_named(name, strategy) for name in teachers),
            None if recommended is None else _named(recommended, strategy),
        )
        names = list(made)
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            msg = f"the arm {twice!r} is named twice: an arm has one role"
            raise DistillError(msg, field="student")
        if made.recommended is not None and made.recommended not in made.students:
            known = ", ".join(made.students)
            msg = f"the recommended {made.recommended!r} is no student; expected one of: {known}"
            raise DistillError(msg, field="recommended")
        return made

    def __iter__(self) -> Iterator[str]:
        """All names, in the order of the rows."""
        yield self.before
        if self.control is not None:
            yield self.control
        yield from self.students
        yield from self.teachers

    def kind(self, name: str) -> str:
        """The role of an arm."""
        if name == self.before:
            return BEFORE
        if name == self.control:
            return CONTROL
        return STUDENT if name in self.students else TEACHER

    def label(self, name: str) -> str:
        """What an arm's row is called: its name, and its role unless it is one student of many."""
        remark = "recommended" if name == self.recommended else _REMARKS.get(self.kind(name))
        return f"{name} ({remark})" if remark else name

    @property
    def yardstick(self) -> str:
        """What the arm before training is called in a sentence."""
        direct = Arm.parse(self.before).strategy == "direct"
        return "zero-shot" if direct else "the model before training"


def _named(name: str, strategy: str) -> str:
    """`smollm2|think` for `smollm2` under `think`; `smollm2` for `smollm2|direct`."""
    return Arm.parse(name).name if "|" in name else Arm(name, strategy).name
