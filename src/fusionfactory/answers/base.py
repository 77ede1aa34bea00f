"""The contract of an equivalence: what a response answers, and when two answers are one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["Answer", "ByKey", "Equivalence"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a response answers.

    Attributes:
        key: Its canonical form: answers of equal keys are equivalent.
        text: The answer as it was written, without the mark that it was found by.
    """

    key: str
    text: str


class Equivalence(Protocol):
    """When two answers to one question are the same. Deterministic; many threads may call it.

    Attributes:
        name: As in the registry.
    """

    name: str

    def read(self, question: str, response: str) -> Answer | None:
        """The answer of a response; None where it gives none.

        Args:
            question: The query's text; empty where it is not known.
            response: What the model wrote.
        """
        ...

    def same(self, one: Answer, other: Answer) -> bool:
        """Whether two answers are equivalent, though their keys differ."""
        ...


class ByKey:
    """Of an equivalence whose keys say it all."""

    def same(self, one: Answer, other: Answer) -> bool:
        """Whether the keys are equal."""
        return one.key == other.key
