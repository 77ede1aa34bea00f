"""Prompts with templates: the original messages, the notes before them, the closing words after.

Nothing of the original conversation is lost: every message stays, in its place, with all its
fields, and the text of the last user message stands whole between the notes and the closing words.
The form of the answer is the task's own instruction, which stands in that message already: the
closing words only point to it, so that scorers see what they expect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fusionfactory.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fusionfactory.thoughts.template import ThoughtTemplate

__all__ = ["CLOSING", "TOKEN_BUDGET", "cut", "examples", "notes", "with_notes"]

CLOSING = "Reason briefly, then end with the final answer in the form asked for."
"""The closing words; the format-only control has them without any notes."""

TOKEN_BUDGET = 1000
"""Tokens that the notes may take, unless told."""

_CHARACTERS_PER_TOKEN = 4
_QUESTION_CHARACTERS = 400
_ANSWER_CHARACTERS = 600
_GAP = " ... "

_NOTES = "Notes on how similar questions were solved:"
_USE = "Use the notes where they fit. Now the question:"
_EXAMPLES = "Similar questions and good answers to them:"
_NOW = "Now the question:"


def notes(templates: Sequence[ThoughtTemplate], token_budget: int = TOKEN_BUDGET) -> str:
    """The block of notes: each template under the question that it was written for.

    Args:
        templates: The most helpful first. Where the budget is short, the last ones are left out.
        token_budget: Of the block, at four characters a token.

    Returns:
        The block; empty where no template fits.
    """
    parts = [
        f"Question: {cut(t.question, _QUESTION_CHARACTERS)}\nNote: {t.text}" for t in templates
    ]
    return _block(_NOTES, parts, _USE, token_budget)


def examples(templates: Sequence[ThoughtTemplate], token_budget: int = TOKEN_BUDGET) -> str:
    """The block of the few-shot control: the same questions with their best answers."""
    parts = [
        f"Question: {cut(t.question, _QUESTION_CHARACTERS)}\n"
        f"Answer: {cut(t.answer, _ANSWER_CHARACTERS)}"
        for t in templates
    ]
    return _block(_EXAMPLES, parts, _NOW, token_budget)


def _block(head: str, parts: list[str], tail: str, token_budget: int) -> str:
    room = token_budget * _CHARACTERS_PER_TOKEN - len(head) - len(tail)
    kept = []
    for part in parts:
        room -= len(part) + 2
        if room < 0:
            break
        kept.append(part)
    return "\n\n".join([head, *kept, tail]) if kept else ""


def cut(text: str, most: int) -> str:
    """The text without its middle where it is too long: both ends carry what matters."""
    text = text.strip()
    if len(text) <= most:
        return text
    half = (most - len(_GAP)) // 2
    return f"{text[:half].rstrip()}{_GAP}{text[-half:].lstrip()}"


def with_notes(
    messages: Sequence[Mapping[str, Any]], block: str, closing: str = CLOSING
) -> tuple[Mapping[str, Any], ...]:
    """The messages with a block before and closing words after the last user message's content.

    Args:
        messages: The conversation in OpenAI's form: system messages, earlier turns, tool calls and
            their results, all of which stay as they are. Content may be a text or a list of parts.
        block: Notes or examples; empty for the format-only control.
        closing: The last words; empty for none.

    Raises:
        InputError: No message is a user's.
    """
    last = max((i for i, m in enumerate(messages) if m.get("role") == "user"), default=None)
    if last is None:
        msg = "the conversation holds no user message to put notes into"
        raise InputError(msg, field="messages")
    content = messages[last].get("content")
    if isinstance(content, list):
        before = [{"type": "text", "text": block}] if block else []
        after = [{"type": "text", "text": closing}] if closing else []
        told: Any = [*before, *content, *after]
    else:
        told = "\n\n".join(part for part in (block, content, closing) if part)
    return (*messages[:last], {**messages[last], "content": told}, *messages[last + 1 :])
