"""The tasks' contract: where questions come from, how they are asked and how they are scored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fusionfactory.types import Query

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["THINK", "Example", "Task"]

THINK = "Let's think step by step."
"""The suffix that turns a direct prompt into a think prompt, as in FusionBench."""


@dataclass(frozen=True, slots=True)
class Example:
    """One question of a source, before it is a `Query`.

    Attributes:
        id: Its id within the task, stable between downloads: the source's own, or a digest of it.
        text: The question as a user would ask it, with passage and options.
        target: The right answer as the task's scorer reads it; None for a judge-only task.
        domain: Where it differs from the task's, for example a subject.
    """

    id: str
    text: str
    target: str | None
    domain: str | None = None


@dataclass(frozen=True)
class Task:
    """A family of questions that share a source, a form and a metric.

    Attributes:
        name: Name in tables, for example `gsm8k`.
        domain: `math`, `code`, `commonsense`, `world_knowledge`, `reading`, `popular`, or a user's.
        metric: The scorer's name, or `judge`.
        description: One sentence that routers may read.
        instruction: What is said about the answer's form after the question; the scorer expects it.
        parse: One row of the source, with its position, to an example; None skips the row.
        hub: Hugging Face hub id, perhaps with a configuration: `openai/gsm8k:main`.
        splits: `train` and `test` to the source's own split names.
    """

    name: str
    domain: str
    metric: str
    description: str
    instruction: str
    parse: Callable[[Mapping[str, Any], int], Example | None]
    hub: str | None = None
    splits: Mapping[str, str] = field(default_factory=dict)

    def query(self, example: Example, split: str | None = None) -> Query:
        """The query of an example; its id is `task:id`."""
        return Query(
            id=f"{self.name}:{example.id}",
            text=example.text,
            task=self.name,
            domain=example.domain or self.domain,
            target=example.target,
            metric=self.metric,
            split=split,
            description=self.description,
        )

    def messages(self, query: Query, strategy: str = "direct") -> tuple[Mapping[str, Any], ...]:
        """The chat messages of a query under `direct` or `think`.

        Raises:
            UnsupportedError: A strategy that is not a plain prompt.
        """
        from fusionfactory.tasks.prompts import prompt

        return ({"role": "user", "content": prompt(query.text, self.instruction, strategy)},)
