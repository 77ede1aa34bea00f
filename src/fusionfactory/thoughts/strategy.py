"""Names of strategies: how an arm is prompted, with and without what a bank of templates holds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from fusionfactory.errors import UnsupportedError
from fusionfactory.tasks.base import THINK
from fusionfactory.thoughts.prompt import CLOSING
from fusionfactory.thoughts.template import CRITERIA

__all__ = ["Kind", "Strategy", "parse_strategy"]

Kind: TypeAlias = Literal["direct", "think", "format", "few-shot", "random", "thought"]

_PLAIN: tuple[Kind, ...] = ("direct", "think", "format")
_COUNTED: tuple[Kind, ...] = ("few-shot", "random", "thought")
_FORM = re.compile(rf"({'|'.join(_COUNTED)})(?:-({'|'.join(CRITERIA)}))?:([1-9][0-9]{{0,2}})")


@dataclass(frozen=True, slots=True)
class Strategy:
    """What is put around a question.

    Attributes:
        kind: `direct` and `think` are plain prompts, `format` adds the closing words alone;
            `few-shot` shows the neighbours' best answers, `thought` the templates written from
            them, `random` templates of other questions of the task.
        k: How many of the bank's templates are shown at most; 0 without a bank.
        criterion: By which one of `CRITERIA` the templates' sources were chosen; None for the
            bank's own.
    """

    kind: Kind
    k: int = 0
    criterion: str | None = None

    @property
    def needs_bank(self) -> bool:
        """Whether it shows something of a bank."""
        return self.k > 0

    @property
    def closing(self) -> str:
        """The words after the question."""
        return {"direct": "", "think": THINK}.get(self.kind, CLOSING)


def parse_strategy(name: str) -> Strategy:
    """Reads `direct`, `think`, `format`, `few-shot:3`, `random:3`, `thought:3`, `thought-judge:3`.

    Raises:
        UnsupportedError: There is no strategy of that name, or K is missing.
    """
    for kind in _PLAIN:
        if name == kind:
            return Strategy(kind)
    form = _FORM.fullmatch(name)
    for kind in _COUNTED:
        if form and form[1] == kind and (kind == "thought" or not form[2]):
            return Strategy(kind, int(form[3]), form[2])
    counted = [f"{kind}:K" for kind in _COUNTED] + [f"thought-{name}:K" for name in CRITERIA]
    msg = (
        f"{name!r} is no prompt pattern; expected {', '.join((*_PLAIN, *counted))}, with K from 1 "
        "to 999 templates, such as thought:3"
    )
    raise UnsupportedError(msg)
