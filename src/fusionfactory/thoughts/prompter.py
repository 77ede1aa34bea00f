"""Prompts with what a bank holds: the messages of many queries under a strategy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Self

from fusionfactory.errors import ThoughtError
from fusionfactory.tasks.own import plain_task
from fusionfactory.tasks.prompts import STRATEGIES
from fusionfactory.thoughts.prompt import TOKEN_BUDGET, examples, notes, with_notes
from fusionfactory.thoughts.search.bank import read_bank
from fusionfactory.thoughts.search.finder import Finder, Found
from fusionfactory.thoughts.strategy import parse_strategy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from fusionfactory.encoders import Encoder
    from fusionfactory.tasks import Task
    from fusionfactory.thoughts.search.index import ThoughtIndex
    from fusionfactory.thoughts.template import ThoughtTemplate
    from fusionfactory.types import FloatArray, Query

__all__ = ["Block", "Prompter", "plain_messages"]


def plain_messages(
    queries: Sequence[Query], tasks: Mapping[str, Task], strategy: str
) -> list[tuple[Mapping[str, Any], ...]]:
    """The chat messages of each query but for what a bank adds; with the closing words where due.

    Args:
        queries: What is asked.
        tasks: Name to task; a query of another task is asked as it stands.
        strategy: One that `parse_strategy` knows.

    Raises:
        UnsupportedError: There is no strategy of that name.
    """
    kind = parse_strategy(strategy).kind
    closed = kind not in STRATEGIES
    own = [
        (tasks.get(query.task or "") or plain_task(query.task)).messages(
            query, "direct" if closed else kind
        )
        for query in queries
    ]
    return [with_notes(asked, "") for asked in own] if closed else own


class Block(NamedTuple):
    """What is put before a question.

    Attributes:
        text: Notes or examples; empty where nothing is found or fits.
        found: What of the bank stands in it.
    """

    text: str
    found: list[Found]


class Prompter:
    """Writes prompts with templates, many queries at once.

    What was embedded and searched for a query once is kept, so that further strategies for the
    same queries cost nothing.

    Args:
        templates: All templates of the index, in any order.
        index: Over the templates' questions.
        encoder: Fitted; made the index's rows.
        token_budget: Of the notes or examples in one prompt.
        criterion: Of strategies that name none; None for the first of `CRITERIA` that a template
            of the bank was chosen by.

    Raises:
        ThoughtError: The index is not of these templates.
    """

    def __init__(
        self,
        templates: Iterable[ThoughtTemplate],
        index: ThoughtIndex,
        encoder: Encoder,
        *,
        token_budget: int = TOKEN_BUDGET,
        criterion: str | None = None,
    ) -> None:
        self.finder = Finder(templates, index, encoder, criterion=criterion)
        self.token_budget = token_budget

    @classmethod
    def load(
        cls,
        bank: Path,
        *,
        token_budget: int = TOKEN_BUDGET,
        criterion: str | None = None,
        network: bool = False,
    ) -> Self:
        """Reads the bank in a directory.

        Args:
            bank: Where `think build` and `think index` wrote.
            token_budget: As above.
            criterion: As above.
            network: Whether the encoder may send queries to the endpoint that it names.

        Raises:
            ThoughtError: Templates or index are missing, damaged, or not of each other.
        """
        from fusionfactory.thoughts.search.index import ThoughtIndex

        templates = read_bank(bank)
        index = ThoughtIndex.load(bank, network=network)
        try:
            return cls(
                templates, index, index.encoder, token_budget=token_budget, criterion=criterion
            )
        except ThoughtError as error:
            raise ThoughtError(error.message, file=bank) from None

    def messages(
        self, queries: Sequence[Query], tasks: Mapping[str, Task], strategy: str
    ) -> list[tuple[Mapping[str, Any], ...]]:
        """The chat messages of each query: its task's own, with the block and the closing words.

        Args:
            queries: What is asked.
            tasks: Name to task; a query of another task is asked as it stands.
            strategy: One that `parse_strategy` knows.

        Raises:
            UnsupportedError: There is no strategy of that name.
            ThoughtError: No template of the bank was chosen by the strategy's criterion.
        """
        own = plain_messages(queries, tasks, strategy)
        if not parse_strategy(strategy).needs_bank:
            return own
        blocks = self.blocks(queries, strategy)
        return [with_notes(asked, block.text, "") for asked, block in zip(own, blocks, strict=True)]

    def blocks(self, queries: Sequence[Query], strategy: str) -> list[Block]:
        """What is put before each question.

        Raises:
            UnsupportedError, ThoughtError: As `messages`.
        """
        few_shot = parse_strategy(strategy).kind == "few-shot"
        return [self._block(found, few_shot) for found in self.find(queries, strategy)]

    def _block(self, found: list[Found], few_shot: bool) -> Block:
        write = examples if few_shot else notes
        templates = [one.template for one in found]
        text = write(templates, self.token_budget)
        # Where the budget is short, the last templates make no difference.
        while templates and write(templates[:-1], self.token_budget) == text:
            templates.pop()
        return Block(text, found[: len(templates)])

    def find(self, queries: Sequence[Query], strategy: str) -> list[list[Found]]:
        """The templates that each query may be shown: see `Finder.find`."""
        return self.finder.find(queries, strategy)

    def similarity(self, queries: Sequence[Query], strategy: str = "thought:1") -> FloatArray:
        """(n,) cosine to each query's nearest template: see `Finder.similarity`."""
        return self.finder.similarity(queries, strategy)

    def forget(self) -> None:
        """Drops what was kept of the queries so far: see `Finder.forget`."""
        self.finder.forget()
