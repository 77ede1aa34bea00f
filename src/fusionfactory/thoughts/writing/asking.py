"""What a summariser is asked: for a note on the method, and again for one that gives nothing away.

The wording is our own; a change of it that could change a note gets a new version, which stands
with every note.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.thoughts.prompt import cut

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fusionfactory.clients import Message
    from fusionfactory.thoughts.leaks.check import Leak
    from fusionfactory.thoughts.writing.select import Selection

__all__ = ["PROMPT_VERSION", "messages", "messages_again"]

PROMPT_VERSION = "note-1"

_QUESTION_CHARACTERS = 1_500
_ANSWER_CHARACTERS = 1_000
_SHOWN_CHARACTERS = 60

_TASK = "Here is a question with good answers to it."
_WANTED = """\
How does one solve questions of this kind? Give advice, in 2 to 4 plain sentences, to someone who \
has to answer another question of the same kind: what kind of question it is, which steps lead to \
the answer, and what form the final answer has. The advice must fit every such question, so leave \
out the names, facts and numbers of this one, and do not say what its answer is."""
_FORM = "The form of the final answer in this kind of question:"
_AGAIN = """\
This note gives away what belongs to this one question: {found}. Write it again without that, in \
1 to 4 plain sentences on the method in general. Reply with the note only."""
_KINDS = {
    "target": "its answer",
    "option": "its option",
    "number": "its final number",
    "answer": "a stated answer",
}


def messages(selection: Selection, instruction: str = "") -> tuple[Message, ...]:
    """The first request: one user message, which every chat template takes.

    Args:
        selection: The question and its best answers; the middle of a long text is left out.
        instruction: The task's own on the answer's form.
    """
    answers = [
        f"Good answer {number}:\n{cut(outcome.response or '', _ANSWER_CHARACTERS)}"
        for number, outcome in enumerate(selection.sources, 1)
    ]
    question = f"Question:\n{cut(selection.query.text, _QUESTION_CHARACTERS)}"
    form = f"{_FORM} {instruction}" if instruction else ""
    parts = (_TASK, question, *answers, _WANTED, form)
    return ({"role": "user", "content": "\n\n".join(part for part in parts if part)},)


def messages_again(
    asked: Sequence[Message], reply: str, found: Iterable[Leak], names: Iterable[str] = ()
) -> tuple[Message, ...]:
    """The second request: the first, its reply, and what does not belong into a note.

    Args:
        asked: The first request.
        reply: As it came.
        found: What it gave away.
        names: Names, numbers and the like that it has from the question.
    """
    said = [
        f'{_KINDS.get(leak.kind, leak.kind)} "{cut(leak.found, _SHOWN_CHARACTERS)}"'
        for leak in found
    ]
    told = ", ".join(dict.fromkeys([*said, *names])) or "all that is not about the method"
    return (
        *asked,
        {"role": "assistant", "content": reply},
        {"role": "user", "content": _AGAIN.format(found=told)},
    )
