"""The prompt of an example as the formats of other tools want it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fusionfactory.distill.selection import EXAMPLES, PAIRS, Example
from fusionfactory.errors import DistillError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.distill.exporting.format import Job
    from fusionfactory.distill.selection import Pair

__all__ = ["Conversation", "conversation", "earlier_answers", "has_history", "messages"]

_ANSWERED = ("user", "assistant")


@dataclass(frozen=True, slots=True)
class Conversation:
    """A prompt in which questions and answers alternate.

    Attributes:
        system: The system message; empty for none.
        history: (question, answer) of each earlier turn.
        question: What is asked last.
    """

    system: str
    history: tuple[tuple[str, str], ...]
    question: str


def messages(item: Example | Pair) -> list[dict[str, str]]:
    """The prompt as `{role, content}`, of any roles in any order.

    Raises:
        DistillError: The last message is not the user's, so there is nothing to answer.
    """
    last = item.prompt[-1].role
    if last != "user":
        msg = f"{_named(item)}: the prompt ends with a message of {last!r}, expected the user's"
        raise DistillError(msg, file=_file(item), field="prompt")
    return [message.model_dump() for message in item.prompt]


def has_history(items: Sequence[Example | Pair]) -> bool:
    """Whether a prompt holds an earlier answer, which is not to be learnt."""
    return any(message.role == "assistant" for item in items for message in item.prompt)


def earlier_answers(job: Job) -> list[str]:
    """Says how many examples hold earlier answers, for formats that do not mark these."""
    count = sum(has_history([item]) for item in job.selection.examples)
    if not count:
        return []
    return [
        f"{count} examples hold earlier answers, which most trainers learn too unless they are "
        "told otherwise (mask_history in LLaMA-Factory); trl-prompt-completion marks what to learn"
    ]


def conversation(item: Example | Pair, format: str) -> Conversation:
    """The prompt for a format that holds one system message and turns of two.

    Raises:
        DistillError: The prompt is of another shape, or its system message is empty, which such a
            format cannot tell from none; names the example and formats that can hold it.
    """
    said = messages(item)
    system = said.pop(0)["content"] if said[0]["role"] == "system" else None
    if system == "":
        why = "an empty system message, which there is the same as none"
        _refuse(item, format, why, others="")
    for position, message in enumerate(said):
        if message["role"] != _ANSWERED[position % 2]:
            _refuse(
                item, format, f"a message of {message['role']!r} where one of "
                f"{_ANSWERED[position % 2]!r} is due, for questions and answers must alternate",
            )  # fmt: skip
    texts = [message["content"] for message in said]
    history = tuple(zip(texts[:-1:2], texts[1:-1:2], strict=True))
    return Conversation(system or "", history, texts[-1])


def _refuse(item: Example | Pair, format: str, why: str, others: str = " and openai") -> None:
    takes = "trl-prompt-completion" if isinstance(item, Example) else "trl-preference"
    msg = f"{_named(item)}: {format} cannot carry {why}; {takes}{others} can"
    raise DistillError(msg, file=_file(item), field="prompt")


def _file(item: Example | Pair) -> str:
    return EXAMPLES if isinstance(item, Example) else PAIRS


def _named(item: Example | Pair) -> str:
    if isinstance(item, Example):
        return f"the example of query {item.query_id!r} by {item.arm!r}"
    return f"the pair of query {item.query_id!r} of {item.chosen_arm!r} and {item.rejected_arm!r}"
