"""The extractive writer: notes from the sentences of the best answers, without any LLM.

It takes the solution of which the others say most, tells its steps as advice (see `steps`), keeps
the few that say how to go about it, and adds what the task is and in which form the answer is
wanted. Nothing that gives the answer away gets in: each part is held against `leaks`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from fusionfactory.scorers import ALIASES
from fusionfactory.scorers.choice import option_letters
from fusionfactory.thoughts.extract.reasoning import reasoning
from fusionfactory.thoughts.extract.sketch import approach, formulas, operations, programming
from fusionfactory.thoughts.extract.steps import Step, steps
from fusionfactory.thoughts.leaks.check import leaks
from fusionfactory.thoughts.leaks.particulars import Particulars
from fusionfactory.thoughts.leaks.secret import secret_of, stem
from fusionfactory.thoughts.leaks.spelled import COMMON

if TYPE_CHECKING:
    from fusionfactory.tasks import Task
    from fusionfactory.thoughts.writing.select import Selection
    from fusionfactory.types import Query

__all__ = ["EXTRACTIVE", "ExtractiveWriter"]

EXTRACTIVE = "extractive-1"
"""Version of the writer; changed whenever any note could read differently."""

_MOST_STEPS = 4
_MOST_FACTS = 2
_ENOUGH_STEPS = 2
_REPEATS = 0.6
_LONGEST_TASK = 160
_HINTED = 1 / 3
_ASKED = 0.6
_DOES = 0.4
_PREFIX = 6
_WORTH = {"rule": 1.2, "advice": 1.0, "fact": 0.6}
_WORKING_WORDS = (
    "add apply cancel combine compare complete convert cross count differentiate distribute divide "
    "eliminate exclude expand express factor halve integrate isolate multiply rearrange reduce "
    "replace rewrite round simplify sort split square substitute subtract swap sum use"
)
_WEAK_WORDS = (
    "analyze assume consider define denote find let note observe read recall start understand "
    "verify"
)
_EMPTY = (
    "begin calculate compute consider determine evaluate expression equation identify initial "
    "problem simplify solve start statement"
)
_WORKING = frozenset(_WORKING_WORDS.split())
_WEAK = frozenset(_WEAK_WORDS.split())
_EMPTY_WORDS = COMMON | frozenset(_EMPTY.split())
_CONCLUDES = re.compile(
    r"\b(?:so|therefore|thus|hence|will|would|since|because|result(?:s|ing) in)\b", re.IGNORECASE
)
_WORD = re.compile(r"[^\W\d_]{3,}")


@dataclass(frozen=True, slots=True)
class ExtractiveWriter:
    """Writes notes from the words of the sources. Deterministic; holds no state.

    Attributes:
        longest: Characters of a note at most.
    """

    name: ClassVar[str] = "extractive"
    version: ClassVar[str] = EXTRACTIVE
    longest: int = 700

    def write(self, selection: Selection, task: Task | None = None) -> str:
        """The note of one query's best answers: one to five sentences.

        Args:
            selection: The query and its best answers.
            task: Of the query, for its description and the form of the answer.

        Returns:
            A text that `leaks` finds nothing in.
        """
        query = selection.query
        responses = [source.response or "" for source in selection.sources]
        metric = _metric(query)
        parts = [_task_told(query, task), _subject_told(query, task, metric)]
        parts += self._method(query, responses, metric)
        parts.append(task.instruction.strip() if task is not None else "")
        kept: list[str] = []
        for part in parts:
            if part and len(" ".join([*kept, part])) <= self.longest:
                kept.append(part)
        while len(kept) > 1 and leaks(" ".join(kept), query):
            kept.pop(-1 if leaks(kept[-1], query) else len(kept) // 2)
        note = " ".join(kept)
        return "" if leaks(note, query) else note

    def _method(self, query: Query, responses: list[str], metric: str) -> list[str]:
        particulars = Particulars(query.text)
        advice, facts = _chosen(query, responses, particulars)
        told = [_sentence(fact.text) for fact in facts]
        if len(advice) == 1 and _says_little(advice[0]):
            advice = []
        if advice:
            told.append("Steps: " + "; ".join(step.text for step in advice) + ".")
        if len(advice) < _ENOUGH_STEPS and responses:
            told += _sketched(query, responses[0], metric)
        told = [part for part in told if not leaks(part, query)]
        tracing = metric != "code" and particulars.program
        thin = len(advice) < _ENOUGH_STEPS and (tracing or (len(told) == 1 and not facts))
        return [*told, approach(query.text, metric)] if thin or not told else told


def _says_little(step: Step) -> bool:
    """Whether a step is no help alone: "represent the process", "denote the number of guests"."""
    first = step.text.partition(" ")[0]
    return first in _WEAK or len(_content(step.text)) < _ENOUGH_STEPS + (first not in _WORKING)


def _sketched(query: Query, response: str, metric: str) -> list[str]:
    """What can be said of a solution that tells few steps: its formulas, arithmetic or parts."""
    if metric == "code":
        made = programming(response)
        return [f"What worked was {made}."] if made else []
    if metric not in {"number", "math"} and not option_letters(query.text):
        return []
    text = reasoning(response)
    found = [f"Formula: {formula}." for formula in formulas(text)]
    worked = operations(text)
    return found or ([f"The arithmetic, in order: {worked}."] if worked else [])


def _metric(query: Query) -> str:
    return ALIASES.get(query.metric or "", query.metric or "")


def _task_told(query: Query, task: Task | None) -> str:
    """What the task is, in one sentence; nothing where that is not known."""
    told = (task.description if task is not None else "") or query.description or ""
    told = told.strip()
    if len(told) > _LONGEST_TASK:
        told = told[:_LONGEST_TASK].rpartition(" ")[0]
    return "" if not told or leaks(told, query) else _sentence(told)


def _subject_told(query: Query, task: Task | None, metric: str) -> str:
    """The subject of an exam question, where its task has several."""
    subject = query.domain or ""
    known = subject in {"", "other", query.task} or (task is not None and subject == task.domain)
    if known or metric != "multiple_choice":
        return ""
    told = f"Subject: {subject.replace('_', ' ')}."
    return "" if leaks(told, query) else told


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _chosen(
    query: Query, responses: list[str], particulars: Particulars
) -> tuple[list[Step], list[Step]]:
    """Advice and facts of the one response that offers most, each in its order."""
    texts = [reasoning(response) for response in responses]
    vocabularies = [_content(text) for text in texts]
    gives_away = _Hints(query, program=particulars.program)
    best: tuple[float, list[Step], list[Step]] = (0.0, [], [])
    for place, text in enumerate(texts):
        others = vocabularies[:place] + vocabularies[place + 1 :]
        ranked = [
            (_value(step, content, others), step)
            for step in steps(text, particulars)
            if not gives_away.hint(step, content := _content(step.text))
        ]
        ranked.sort(key=lambda found: (-found[0], found[1].place))
        total, advice, facts = _picked(ranked, query)
        if total > best[0]:
            best = (total, advice, facts)
    return best[1], best[2]


class _Hints:
    """What may give an answer away although it does not name it: facts about just this question."""

    def __init__(self, query: Query, *, program: bool) -> None:
        self.program = program
        self.asked = _content(query.text)
        self.hints = secret_of(query).hints
        metric = _metric(query)
        self.strict = metric not in {"number", "math", "code"}

    def hint(self, step: Step, content: frozenset[str]) -> bool:
        """Whether a step says what the question asks, or much of what only the answer says.

        A fact about the subject is easily the answer in other words, and where answers are numbers
        it retells the question; only of a program it may tell a part.
        """
        if not content or self._hinted(step.text.lower()):
            return True
        if step.kind == "advice":
            return False
        if step.kind == "fact":
            return not self.program or _CONCLUDES.search(step.text) is not None
        return self.strict and len(content & self.asked) > _ASKED * len(content)

    def _hinted(self, text: str) -> bool:
        said = {stem(word)[:_PREFIX] for word in text.split()}
        count = sum(hint[:_PREFIX] in said for hint in self.hints)
        return bool(self.hints) and count >= max(1.0, _HINTED * len(self.hints))


def _picked(ranked: list[tuple[float, Step]], query: Query) -> tuple[float, list[Step], list[Step]]:
    """The best steps that do not repeat each other and give nothing away, and their value."""
    advice: list[Step] = []
    facts: list[Step] = []
    taken: list[frozenset[str]] = []
    total = 0.0
    for value, step in ranked:
        group, most = (advice, _MOST_STEPS) if step.kind == "advice" else (facts, _MOST_FACTS)
        said = frozenset(_WORD.findall(step.text.lower()))
        if len(group) >= most or any(_overlap(said, other) > _REPEATS for other in taken):
            continue
        if leaks(step.text, query):
            continue
        group.append(step)
        taken.append(said)
        total += value
    advice.sort(key=_place)
    facts.sort(key=_place)
    return total, advice, facts


def _place(step: Step) -> int:
    return step.place


def _value(step: Step, content: frozenset[str], others: list[frozenset[str]]) -> float:
    """How much a step is worth: its kind, whether other answers say it, whether it does a thing."""
    shared = sum(len(content & other) for other in others) / (len(content) * max(len(others), 1))
    value = _WORTH[step.kind] + shared
    if step.kind == "advice":
        first = step.text.partition(" ")[0]
        value += _DOES * (first in _WORKING or ", " in step.text) - _DOES * (first in _WEAK)
    return value


def _content(text: str) -> frozenset[str]:
    """The words that say something, in lower case and without a plural's `s`."""
    found = (word.removesuffix("s") for word in _WORD.findall(text.lower()))
    return frozenset(found) - _EMPTY_WORDS


def _overlap(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / max(len(one | other), 1)
