"""Notes of a bank for the questions of a process that sees ever new ones."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from fusionfactory.gateway.routing.batching import Batcher
from fusionfactory.types import Query

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.thoughts.prompter import Prompter

__all__ = ["Notes"]

_KEPT = 512
"""Questions after which what was searched for them is dropped."""


class _Wanted(NamedTuple):
    """A block of notes, or, without a strategy, the similarity of the nearest template."""

    query: Query
    strategy: str | None


class Notes:
    """Asks a prompter off the event loop, many questions at once.

    Args:
        prompter: Used by one thread alone.
        patience_s: See `Batcher`.
    """

    def __init__(self, prompter: Prompter, *, patience_s: float = 1.0) -> None:
        self._prompter, self._seen = prompter, 0
        self._batcher: Batcher[_Wanted, str | float] = Batcher(
            self._answers, name="notes", patience_s=patience_s
        )

    async def block(self, text: str, strategy: str, within_s: float) -> str:
        """What is put before a question; empty where nothing is found.

        Raises:
            Unanswered: The bank or its encoder fails, or does not answer within so many seconds.
        """
        return str(await self._batcher.ask(_Wanted(_query(text), strategy), within_s))

    async def similarity(self, text: str, within_s: float) -> float:
        """Cosine to the nearest template; NaN where there is none.

        Raises:
            Unanswered: As `block`.
        """
        return float(await self._batcher.ask(_Wanted(_query(text), None), within_s))

    def close(self) -> None:
        """Ends the thread after what it has been asked already."""
        self._batcher.close()

    def _answers(self, wanted: Sequence[_Wanted]) -> list[str | float]:
        if self._seen + len(wanted) > _KEPT:
            self._prompter.forget()
            self._seen = 0
        self._seen += len(wanted)
        answers: dict[int, str | float] = {}
        for strategy in dict.fromkeys(one.strategy for one in wanted):
            places = [i for i, one in enumerate(wanted) if one.strategy == strategy]
            queries = [wanted[i].query for i in places]
            if strategy is None:
                answers |= zip(places, self._prompter.similarity(queries).tolist(), strict=True)
            else:
                blocks = self._prompter.blocks(queries, strategy)
                answers |= zip(places, (block.text for block in blocks), strict=True)
        return [answers[i] for i in range(len(wanted))]


def _query(text: str) -> Query:
    """The same text is the same query: its id decides what a `random` strategy draws."""
    told = text.encode("utf-8", "replace")
    return Query(hashlib.sha256(told).hexdigest()[:16], text)
