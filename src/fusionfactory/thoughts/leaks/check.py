r"""Leaks: where a note gives the answer of the question away that it was written for.

A note says how questions of a kind are solved. One that names the answer helps nobody else, and a
near-duplicate of the question would be answered by copying. Four kinds are found:

- `answer`: it states an answer at all, right or wrong: "the answer is 12", a filled `\boxed{}`, a
  program for a task of code. "The answer is a single number" and "the answer is (X)" state none.
- `option`: the right option's letter, in brackets, after "option" or stated, but not in a list of
  letters (`A, B, C or D`, `(A)-(D)`); or the right option's text; or the texts of all others.
- `number`: the target's number however it is written, but for numbers of steps and lists, powers
  and indices: 1,200 is 1200.0. In words only where it is large or stated as a result.
- `target`: an accepted answer, as whole words. Yes, no and words that any note may hold count only
  where they are stated as the answer.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from fusionfactory.scorers.number import numerals, same_number
from fusionfactory.scorers.words import squash, words
from fusionfactory.thoughts.leaks.secret import SIDES, Kind, Secret, bare, secret_of, stem
from fusionfactory.thoughts.leaks.spelled import COMMON, spelled

if TYPE_CHECKING:
    from fusionfactory.types import Query

__all__ = ["Leak", "leaks"]

_RUN = 5
_SHARE = 0.75
_LARGE = 12
"""The largest number that notes use in words without meaning an answer: "in two steps"."""

_RANGE = re.compile(
    r"[(\[]?\b[A-J]\b[)\]]?(?:\s?(?:-|–|to|through|\.\.\.?)\s?[(\[]?\b[A-J]\b[)\]]?"
    r"|(?:,\s?(?:or\s|and\s)?|\s?/\s?|\s(?:or|and)\s)[(\[]?\b[B-J]\b[)\]]?"
    r"(?:(?:,\s?(?:or\s|and\s)?|\s?/\s?|\s(?:or|and)\s)[(\[]?\b[C-J]\b[)\]]?)+)"
)
_LABEL = re.compile(
    r"(?:^|(?<=\n))[ \t]*(?:[-*]\s*)?(?:step\s*)?\d{1,2}[.):](?=\s)"
    r"|\b(?:step|part|case|stage)s?\s\d+(?:(?:\s?-\s?|\sand\s|\sto\s)\d+)?"
    r"|(?<=[\s(])\d[.)](?=\s[A-Z])",
    re.IGNORECASE,
)
_POWER = re.compile(r"(?:\^|\*\*)\s?(?:\{\s?-?\d{1,2}\s?\}|-?\d{1,2}\b)|_(?:\{\d+\}|\d+)")
_BOXED = re.compile(r"\\boxed\s*\{\s*([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}")
_HASHES = re.compile(r"####\s*([-$]*\d[^\n]*)")
_PLACEHOLDER = re.compile(
    r"[\s.…\\]*|[\W_]*(?:x|n|y|(?:your |the |final )*(?:answer|letter|number|result|expression"
    r"|value|option|ans|solution)s?)[\W_]*",
    re.IGNORECASE,
)
_LEAD = (
    r"\b(?:(?:answer|result|solution|verdict|conclusion)s?\b[*_\"']*(?:\s(?:here|to [^.:\n]{1,60}?"
    r"|choice|option))?\s*(?:\b(?:is|was|are|equals|should be|must be|would be|comes to)\b|[:=])"
    r"|\b(?:correct|right|best) (?:option|choice|letter|one|answer) (?:is|would be)\b"
    r"|\b(?:therefore|thus|hence|so)\b,?(?:\s(?:it|this|that)\s(?:is|was|must be))?)"
)
_QUOTED = re.compile(
    r"\b(?:answer|result|solution)\b[*_]*\s*(?:\b(?:is|was|should be|equals)\b|[:=])\s*[*_:]*\s*"
    r"(?:(?P<number>[-$€£(\\]*\d[\d,./]*)(?![\d.]*\s?(?:or|to|sentence|word|digit|option|choice"
    r"|decimal|letter|line)\b)|(?P<quoted>[\"“'‘`][^\"”'’`\n]{1,80}[\"”'’`])"
    r"|(?P<letter>\(?\b[B-J]\b\)?|\(A\))(?!\s?(?:or|and|/|,|-|–|to)\b)|(?P<name>(?<!:)(?<!=)"
    r"(?<=is )[A-Z][a-z]{2,}\b))"
)
_SIDE = re.compile(
    rf"(?:{_LEAD})\W{{0,6}}(?P<side>yes|no|true|false)\b(?!\W{{0,4}}(?:or|and|nor)\b|\s?/"
    rf"|\s[a-z]+ly\b)"
    r"|\A\W*(?P<first>yes|no|true|false)\b(?=[,.:;]|\Z)(?!\W{0,4}(?:or|and)\b)",
    re.IGNORECASE,
)
_CODE = re.compile(r"```\s*\w*\n|^\s*def \w+\(.*\):|^\s*(?:return|import|from) \w+", re.MULTILINE)
_RETURNED = re.compile(r"\breturn(?:s|ed|ing)?\b[^.;]{0,20}?\b(True|False)\b")
_EMPTY = re.compile(
    r"\b(?:returns?|returned|is|be|are|leaves|leaving|an)\b[^.;]{0,30}?\bempty(?: \w+)?",
    re.IGNORECASE,
)
_CONDITION = re.compile(
    r"\b(?:if|when(?! (?:executed|called|run|given|applied))|unless|otherwise|whether|until|else"
    r"|or)\b",
    re.IGNORECASE,
)
_CONCLUDES = re.compile(r"\b(?:so|therefore|thus|hence)\b[^.;]{0,40}\breturn", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.;!?])\s+")


class Leak(NamedTuple):
    """One thing that a note gives away.

    Attributes:
        kind: See the module.
        found: The words of the note, or of the answer, that do it.
    """

    kind: Kind
    found: str


def leaks(text: str, query: Query) -> list[Leak]:
    """What a note gives away of a query's answer; empty for a note that is clean.

    Args:
        text: The note.
        query: That the note was written for. Without a target only stated answers are found.

    Returns:
        One leak per kind and thing found, those of kind `answer` first.
    """
    secret = secret_of(query)
    found = [Leak("answer", said) for said in _stated(text, secret)]
    found += [Leak("option", said) for said in _lettered(text, secret.letters)]
    said_words = words(text)
    found += _numbered(text, said_words, secret)
    plain = f" {' '.join(said_words)} "
    for kind, phrase in secret.phrases:
        said = _phrase(phrase, plain)
        if said:
            found.append(Leak(kind, said))
    found += [Leak(kind, name) for kind, name in secret.names
              if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)]  # fmt: skip
    plain_text = bare(text) if secret.formulas else ""
    found += [Leak(kind, formula) for kind, formula in secret.formulas if formula in plain_text]
    level = squash(text) if secret.texts else ""
    found += [Leak("target", part) for part in secret.texts if part in level]
    if secret.others and all(f" {other} " in plain for other in secret.others):
        found.append(Leak("option", "all other options"))
    stems = set(map(stem, said_words)) if secret.key_words else set()
    found += [Leak(kind, " ".join(sorted(keys & stems))) for kind, keys in secret.key_words
              if len(keys & stems) >= _SHARE * len(keys)]  # fmt: skip
    return list(dict.fromkeys(found))


def _stated(text: str, secret: Secret) -> list[str]:
    """What the note states as an answer, whether or not it is right."""
    found = [match.group() for match in _QUOTED.finditer(text)
             if not (match["quoted"] and _PLACEHOLDER.fullmatch(match["quoted"]))]  # fmt: skip
    found += [match.group() for match in _HASHES.finditer(text)]
    found += [match.group() for match in _BOXED.finditer(text)
              if not _PLACEHOLDER.fullmatch(match[1])]  # fmt: skip
    for side in _SIDE.finditer(text) if secret.sides else ():
        if SIDES[(side["side"] or side["first"]).lower()] in secret.sides:
            found.append(side.group())
    if secret.sides or secret.empty:
        found += _returned(text, secret)
    for phrase in secret.plain:
        said = r"\W+".join(map(re.escape, phrase))
        pattern = rf"(?:{_LEAD})\W*(?:(?:an?|the)\W+)?{said}\b"
        match = re.search(pattern, text, re.IGNORECASE) if phrase else None
        found += [match.group()] if match else []
    found += ["a program"] if secret.code and _CODE.search(text) else []
    return found


def _returned(text: str, secret: Secret) -> list[str]:
    """Where a program is said to return the answer, not only under a condition."""
    found = []
    for sentence in _SENTENCE.split(text):
        if _CONDITION.search(sentence) and not _CONCLUDES.search(sentence):
            continue
        side = _RETURNED.search(sentence)
        if side and SIDES[side[1].lower()] in secret.sides:
            found.append(side.group())
        empty = _EMPTY.search(sentence) if secret.empty else None
        found += [empty.group()] if empty else []
    return found


def _lettered(text: str, letters: frozenset[str]) -> list[str]:
    """Where a right option's letter stands as one."""
    rest = _RANGE.sub(" ", text) if letters else ""
    return [match.group().strip() for letter in sorted(letters)
            if (match := _letter_pattern(letter).search(rest))]  # fmt: skip


@lru_cache(maxsize=32)
def _letter_pattern(letter: str) -> re.Pattern[str]:
    small = letter.lower()
    also = "" if letter in "AI" else r"|\b(?!['’])"
    return re.compile(
        rf"(?<![\w)])[(\[{{]\s?[{letter}{small}]\s?[)\]}}]"
        rf"|\b(?:[Oo]ption|[Cc]hoice|[Ll]etter|[Aa]nswer|[Ss]tatement)s?\s?(?:is|was|:)?\s?"
        rf"[*_\"'“‘(]*{letter}\b(?!['’])"
        rf"|(?<![\w'’])[*_\"']*{letter}[*_)\"']*\s(?:is|as|being|seems) "
        r"(?:the |most )*(?:correct|right|best|answer)"
        rf"|(?:^|\n)\s*[*_]*{letter}[).:](?=[\s*]|$)|\*\*{letter}\b[).:]?\s?\*\*"
        rf"|\b(?:is|was|be|choose|pick|select|take) {letter}(?:[.\s]*$|[.,]\s{also})"
    )


def _numbered(text: str, said_words: list[str], secret: Secret) -> list[Leak]:
    if not secret.numbers:
        return []
    said = numerals(_POWER.sub(" ", _LABEL.sub(" ", text)))
    found = [Leak(kind, numeral.text) for kind, number in secret.numbers for numeral in said
             if same_number(numeral, number) or same_number(number, numeral)]  # fmt: skip
    for kind, number in secret.numbers:
        value = number.value
        for name in spelled(int(value)) if value.denominator == 1 else ():
            plain = f" {' '.join(said_words)} "
            stated = rf"(?:is|are|was|equals?|gives?|get|makes?|yields?|total) (?:\w+ )?{name} "
            if (value > _LARGE and f" {name} " in plain) or re.search(stated, plain):
                found.append(Leak(kind, name))
    return found


def _phrase(phrase: tuple[str, ...], plain: str) -> str:
    """The answer in the padded words of a note, or a long part of it; empty if it is not there."""
    whole = " ".join(phrase)
    if f" {whole} " in plain:
        return whole
    for start in range(len(phrase) - _RUN if len(phrase) > _RUN else 0):
        part = phrase[start : start + _RUN]
        if f" {' '.join(part)} " in plain and not all(word in COMMON for word in part):
            return " ".join(part)
    return ""
