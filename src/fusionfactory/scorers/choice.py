"""The scorer of multiple choice: FusionBench's `em_mc`."""

from __future__ import annotations

import re
import unicodedata
from functools import partial
from itertools import chain, pairwise
from typing import TYPE_CHECKING

from fusionfactory.errors import TaskError
from fusionfactory.scorers.base import verdict
from fusionfactory.scorers.extract import final_answer, spoken
from fusionfactory.scorers.reasons import EMPTY, excerpt, targets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fusionfactory.types import Query, Score

__all__ = ["MultipleChoice", "chosen_letter", "option_letters", "stated_letters"]

_LETTERS = "ABCDEFGHIJ"
_MARKUP = " \t>#|*_-•"
_BEFORE = 12
_OPTION = re.compile(r"(?:^|(?<=\s))\(?([A-J])[).:]\s", re.MULTILINE)
_FOLLOWS = (
    r"(?![\w'’])(?!\s+(?!because|since|as\b|for\b|which|and\b|or\b|but\b|based|due\b|is\b)[a-z])"
)
"""Nothing that makes `A` or `I` an English word: no letter, no apostrophe, no lower-case word."""
_WRAP = r"[\s*_`\"'“‘:$]*+(?:\\(?:boxed|text|textbf|mathrm|mathbf)\{)*+[\s*_`\"'“‘$]*+"
_LEAD = (
    r"\b(?:[Aa]nswer|ANSWER)\b[*_]*(?: to [^.:\n]{1,80}?| choice| option| letter)?[*_]*\s*"
    r"(?:\b(?:is|was|would be|should be|must be)\b|[:=])"
    r"(?:\s*(?:most likely|therefore|thus|clearly))?"
    r"|\b(?:[Cc]orrect|[Rr]ight|[Bb]est) (?:option|choice|letter|one|statement)(?: is| would be|:)"
    r"|\b[Ii] (?:would )?(?:choose|pick|select|go with)\b"
)
_NOUN = r"(?:(?:[Oo]ption|[Cc]hoice|[Ll]etter|[Aa]nswer)\b)?"
_AND = r"(?:, ?| ?[/&] ?| and | or )"
_MORE = rf"{_AND}[A-J]{_FOLLOWS}"
_WRAPPED = r"[(\[{]\s*[A-Ja-j]\s*[)\]}]"
_WRAPPED_MORE = rf"(?: ?[/&] ?| and | or ){_WRAPPED}(?!\s+(?:is|was)\b)"
_STATED = re.compile(
    rf"(?:{_LEAD}){_WRAP}{_NOUN}{_WRAP}"
    rf"(?:[(\[{{]\s*(?P<wrapped>[A-Ja-j])\s*[)\]}}](?!{_WRAPPED_MORE})"
    rf"|(?P<bare>[A-J])(?!{_MORE}){_FOLLOWS}"
    r"|(?P<several>[(\[{]\s*[A-J]\s*(?:,|and\b|or\b|&)[^)\]}\n]{0,40}[)\]}]"
    rf"|[A-J]{_MORE}|{_WRAPPED}{_WRAPPED_MORE}))"
)
_CHOSEN = re.compile(
    r"\b[Oo]ption\s*[*_(\[\"']*(?P<letter>[A-J])[*_)\]\"']*\s*"
    r"(?:is|seems|appears to be)\s*(?:the\s*)?(?:most\s*)?"
    r"(?:correct|right|best|true|answer|likely|accurate|appropriate)"
    r"|(?<![\w'’])(?P<plain>[A-J])[*_)\]\"']* is (?:the )?(?:correct|right|best)\b"
)
_LOOSE = re.compile(
    rf"(?<!\w)({_WRAPPED}{_WRAPPED_MORE})"
    r"|(?<!\w)\(\s*([A-J])\s*\)|\(([a-j])\)[\s.*]*\Z"
    r"|\*\*\s*\(?([A-J])[).:]?\s*(?:\*\*|(?=[A-Z][a-z]))"
    rf"|\b[Oo]ption\s+\(?([A-J]){_FOLLOWS}"
    r"|\b(?:is|are|was|were|be|called|as|except):?\s+\**([A-J])(?:[).](?:\s|\*|$)|\Z)"
)
_DENIED = re.compile(r"\b(?:not|nor|neither)\s[\s*_\"']*\Z")
_REJECTED = re.compile(
    r"[)\]*_\"':]*"
    rf"(?:\s?(?:,|and|or|nor|&)\s?(?:and |or |nor )?[*_]*(?:{_WRAPPED}|[A-J]\b)[*_]*){{0,9}}"
    r",?\s(?:is|are|was|were)(?:n[’']t|\s(?:all |both |also |clearly |therefore |simply )?"
    r"(?:not|wrong|incorrect|false|invalid|irrelevant|eliminated|ruled out)\b)"
)
_ASKS_FOR_WRONG = re.compile(
    r"\b(?:not|n[’']t|false|incorrect|wrong|invalid|untrue|irrelevant|except)\b", re.IGNORECASE
)
_LISTED = re.compile(r"^[ \t*]*([A-J])[).:][*\s]", re.MULTILINE)
_ALONE = re.compile(
    rf"[\s*_`\"'“”‘’$.>#-]*+(?:\\(?:text|textbf|mathrm|mathbf)\{{)?{_NOUN}[\s*_`\"'“‘$]*+"
    r"(?:[(\[{]?\s*(?P<bare>[A-Ja-j])\s*+[)\]}]?[\s*_`\"'”’$.,;:!]*+$"
    rf"|(?P<several>{_WRAPPED}{_WRAPPED_MORE}|[A-J]{_MORE})"
    r"|[(\[]\s*(?P<wrapped>[A-Ja-j])\s*[)\]]|(?P<listed>[A-J])\s?[).:](?!\w))"
)


class MultipleChoice:
    """Whether the option letter that a response chooses, the last one, is the key.

    Read in this order, the first kind that is there: the letter in a marked final answer (see
    `extract`); "answer is (A)", "Answer: A", "correct option is A", "A is correct"; the whole
    response or its last line, if that is a letter; the one option that lines start with,
    `A. ...`; `(A)`, `**A**`, "option A" anywhere; the first line, if that is a letter. Lower case
    counts alone, in marks and in brackets at the end. The words "A" and "I" are no letters, and
    neither is a letter that the query does not offer. No choices are "(A, C)", "(A) or (C)", "not
    (A)", "(A) is wrong", and lines that start with one option after the other. Where the query
    asks for what is wrong, or not so, "(A) is wrong" is a choice and "A is correct" is none.
    """

    name = "multiple_choice"
    version = "2"

    def score(self, query: Query, response: str) -> Score:
        """1.0 for the right option.

        Raises:
            TaskError: The query has no target, or it starts with no option letter.
        """
        keys = [_key(query, target) for target in targets(query)]
        if not response.strip():
            return verdict(self, 0, EMPTY)
        listed = option_letters(query.text)
        offered = listed if set(keys) <= set(listed) else _LETTERS
        letter = chosen_letter(query.text, response, offered)
        if letter is None:
            read = excerpt(final_answer(response).text)
            return verdict(self, 0, f"no option letter found in {read}")
        if letter in keys:
            return verdict(self, 1)
        return verdict(self, 0, f"read {letter}, expected {keys[0]}")


def chosen_letter(question: str, response: str, offered: str = "") -> str | None:
    """The option that a response chooses, as `MultipleChoice` reads it; None if it chooses none.

    Args:
        question: The query's text.
        response: What the model wrote.
        offered: The letters to choose from; empty for those that the question lists, or A to J.
    """
    offered = offered or option_letters(question) or _LETTERS
    asks_for_wrong = _ASKS_FOR_WRONG.search(question) is not None
    plain = unicodedata.normalize("NFKC", response)
    return _chosen(plain, offered, asks_for_wrong=asks_for_wrong)


def stated_letters(question: str, response: str) -> tuple[str, ...]:
    """The options that a response states as its answer, in order and each once.

    Empty where it states none, and where it only mentions one: read is what `chosen_letter` reads,
    but not the letters that stand anywhere in the text.
    """
    offered = option_letters(question) or _LETTERS
    plain = unicodedata.normalize("NFKC", response)
    asks_for_wrong = _ASKS_FOR_WRONG.search(question) is not None
    said = [*_stated(plain, asks_for_wrong=asks_for_wrong), *_marked(plain)]
    others = (read(plain) for read in (_last_line, _listed, _headed, _first_line))
    for letters in chain([said], others):
        found = [letter for letter in letters if letter in offered]
        if found:
            return tuple(dict.fromkeys(found)) if found[-1] else ()
    return ()


def option_letters(text: str) -> str:
    """The letters of the options that a question lists, `ABCD`; empty if it lists none."""
    listed = set(_OPTION.findall(text))
    run = ""
    for letter in _LETTERS:
        if letter not in listed:
            break
        run += letter
    return run if len(run) > 1 else ""


def _key(query: Query, target: str) -> str:
    match = _ALONE.match(target)
    if match is None or match["several"]:
        msg = f"query {query.id!r}: its target {target!r} is no option letter, expected A to J"
        raise TaskError(msg, field="target")
    return _letter(match)


def _letter(match: re.Match[str]) -> str:
    """The letter of a match, upper case; empty where several are named at once."""
    named = next(group for group in match.groups() if group).upper()
    return named if len(named) == 1 else ""


def _chosen(response: str, offered: str, *, asks_for_wrong: bool) -> str | None:
    stated = partial(_stated, asks_for_wrong=asks_for_wrong)
    loose = partial(_loose, asks_for_wrong=asks_for_wrong)
    for read in (_marked, stated, _last_line, _listed, loose, _first_line):
        found = [letter for letter in read(response) if letter in offered]
        if found:
            return found[-1] or None
    return None


def _marked(response: str) -> Iterator[str]:
    answer = final_answer(response)
    if answer.explicit:
        match = _ALONE.match(answer.text)
        if match:
            yield _letter(match)


def _stated(response: str, *, asks_for_wrong: bool) -> Iterator[str]:
    text = spoken(response)
    matches = list(_STATED.finditer(text))
    if not asks_for_wrong:
        matches += _CHOSEN.finditer(text)
    for match in sorted(matches, key=re.Match.start):
        yield _letter(match)


def _last_line(response: str) -> Iterator[str]:
    answer = final_answer(response)
    if answer.form == "line":
        match = _ALONE.match(answer.text)
        if match and match["bare"]:
            yield _letter(match)


def _headed(response: str) -> Iterator[str]:
    """The option that the last line starts with, `(C) Paris`."""
    match = _ALONE.match(final_answer(response).text)
    if match:
        yield _letter(match)


def _listed(response: str) -> Iterator[str]:
    """The option that a line repeats, unless several are gone through."""
    letters = set(_LISTED.findall(spoken(response)))
    if len(letters) == 1:
        yield from letters


def _loose(response: str, *, asks_for_wrong: bool) -> Iterator[str]:
    text = spoken(response)
    found = [(match, _letter(match)) for match in _LOOSE.finditer(text)]
    gone_through = _gone_through(text, found)
    for match, letter in found:
        denied = _DENIED.search(text[max(match.start() - _BEFORE, 0) : match.start()])
        rejected = not asks_for_wrong and _REJECTED.match(text, match.end())
        if not (denied or rejected or match.start() in gone_through):
            yield letter


def _gone_through(text: str, found: list[tuple[re.Match[str], str]]) -> set[int]:
    """Where lines start with one option after the other, which chooses none of them."""
    heads = [
        (match.start(), letter)
        for match, letter in found
        if not text[text.rfind("\n", 0, match.start()) + 1 : match.start()].strip(_MARKUP)
    ]
    return {
        start
        for (one, before), (other, after) in pairwise(heads)
        if before and after and ord(after) - ord(before) == 1
        for start in (one, other)
    }


def _first_line(response: str) -> Iterator[str]:
    match = _ALONE.match(spoken(response).strip().partition("\n")[0])
    if match and match["bare"]:
        yield _letter(match)
