"""What a note on a query must not say: the accepted answers, as the scorers read them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypeAlias

from fusionfactory.scorers import ALIASES, gold_answers
from fusionfactory.scorers.choice import option_letters
from fusionfactory.scorers.number import Numeral, numerals
from fusionfactory.scorers.words import ARTICLES, squash, words
from fusionfactory.thoughts.leaks.spelled import COMMON

if TYPE_CHECKING:
    from fusionfactory.types import Query

__all__ = ["SIDES", "Kind", "Secret", "bare", "secret_of", "stem"]

Kind: TypeAlias = Literal["answer", "option", "number", "target"]
"""What a note gives away: see `thoughts.leaks.check`."""

SIDES = {"yes": "yes", "true": "yes", "no": "no", "false": "no"}
"""The words of the two sides of a question of yes or no."""

_EMPTY = frozenset(("''", '""', "[]", "{}", "()", "set()"))
_DECORATION = re.compile(r"[\s$(){}\[\]]|\\(?:left|right|[,;!])")
_OPERATOR = re.compile(r"[-+*/^]|\\(?:frac|sqrt)")
_PROSE = re.compile(r"[a-z]{4,} [a-z]{2,}|\w-[a-z]{3,}|['\"]")
_LETTERS = "ABCDEFGHIJ"
_SHORT = 3
_KEY_WORDS = 3
_OPTION = re.compile(r"(?:^|(?<=\n))[ \t]*\(?([A-J])[).:]\s+([^\n]+)")


@dataclass(frozen=True, slots=True)
class Secret:
    """The answer of one query, in every form that gives it away.

    Attributes:
        sides: `yes` or `no`, where that is the answer.
        letters: The right options.
        phrases: Words of accepted answers and of the right options' texts.
        texts: Of those that have no words, such as `"<="`.
        names: Of those too short to be told apart but for their capitals, such as `HI`.
        formulas: Of the answers that are formulas, the right side as `bare` has it.
        numbers: Of the targets and of the right options.
        plain: Words that count only where they are stated as the answer.
        key_words: What a long answer alone says, beside the question.
        others: Texts of all wrong options in words, where there are several and all have words.
        hints: Stems of the answers that neither the question nor any note holds, however few.
        empty: Whether the answer is an empty literal, such as `[]`.
        code: Whether the answer is a program.
    """

    sides: frozenset[str] = frozenset()
    letters: frozenset[str] = frozenset()
    phrases: tuple[tuple[Kind, tuple[str, ...]], ...] = ()
    texts: tuple[str, ...] = ()
    names: tuple[tuple[Kind, str], ...] = ()
    formulas: tuple[tuple[Kind, str], ...] = ()
    numbers: tuple[tuple[Kind, Numeral], ...] = ()
    plain: tuple[tuple[str, ...], ...] = ()
    key_words: tuple[tuple[Kind, frozenset[str]], ...] = ()
    others: tuple[str, ...] = ()
    hints: frozenset[str] = frozenset()
    empty: bool = False
    code: bool = False


@lru_cache(maxsize=512)
def secret_of(query: Query) -> Secret:
    """The answer that a note on a query must not hold; nothing for a query without a target."""
    targets = [] if query.target is None else gold_answers(query.target)
    targets = [target for target in targets if target.strip()]
    metric = ALIASES.get(query.metric or "", query.metric or "")
    if metric == "code" or not targets:
        return Secret(code=metric == "code")
    offered = option_letters(query.text)
    letters = _keys(targets, offered) if offered or metric == "multiple_choice" else frozenset()
    if letters:
        return _option_secrets(query.text, letters)
    sides = {SIDES[found[0]] for t in targets if len(found := words(t)) == 1 and found[0] in SIDES}
    known = set(map(stem, words(query.text)))
    phrases, numbers, texts, plain, key_words = [], [], [], [], []
    hints: set[str] = set()
    for target in targets:
        if (found := words(target)) and len(found) == 1 and found[0] in SIDES:
            continue
        number = _only_number(target, last=metric == "number")
        if number is not None:
            numbers.append(number)
        elif not found:
            texts.append(squash(target))
        elif _plain(found):
            plain.append(tuple(found))
        else:
            phrases.append(_without_article(found))
            key_words.append(_key_words(found, known))
            hints |= _hints(found, known)
    return Secret(
        sides=frozenset(sides),
        phrases=tuple(("target", phrase) for phrase in dict.fromkeys(phrases)),
        texts=tuple(text for text in texts if len(text) > 1),
        names=tuple(("target", name) for name in map(_name, targets) if name),
        formulas=tuple(("target", found) for found in map(_formula, targets) if found),
        numbers=tuple(("number", number) for number in numbers),
        plain=tuple(plain),
        key_words=tuple(("target", keys) for keys in dict.fromkeys(key_words) if keys),
        hints=frozenset(hints),
        empty=any(target.strip() in _EMPTY for target in targets),
    )


def _keys(targets: list[str], offered: str) -> frozenset[str]:
    """The option letters among the targets: `B`, `(b)`, `B.`."""
    found = {target.strip(" ().:").upper() for target in targets}
    return frozenset(found & set(offered or _LETTERS)) if found <= set(_LETTERS) else frozenset()


def _option_secrets(question: str, letters: frozenset[str]) -> Secret:
    options = {match[1]: match[2] for match in _OPTION.finditer(question)}
    first = _OPTION.search(question)
    known = set(map(stem, words(question[: first.start()] if first else "")))
    phrases: list[tuple[Kind, tuple[str, ...]]] = []
    key_words: list[tuple[Kind, frozenset[str]]] = []
    wrong = [" ".join(words(text)) for letter, text in options.items() if letter not in letters]
    numbers, plain = [], []
    hints: set[str] = set()
    keys_there = sorted(letters & options.keys())
    for letter in keys_there:
        found = words(options[letter])
        number = _only_number(options[letter])
        if number is not None:
            numbers.append(number)
        elif not found or _plain(found):
            plain.append(_without_article(found))
        else:
            phrases.append(("option", _without_article(found)))
            hints |= _hints(found, known)
            keys = _key_words(found, known)
            key_words += [("option", keys)] if keys else []
    return Secret(
        letters=letters,
        phrases=tuple(phrases),
        numbers=tuple(("option", number) for number in numbers),
        names=tuple(("option", name) for k in keys_there if (name := _name(options[k]))),
        formulas=tuple(("option", f) for k in keys_there if (f := _formula(options[k]))),
        plain=tuple(plain),
        key_words=tuple(key_words),
        others=tuple(wrong) if len(wrong) > 1 and all(wrong) else (),
        hints=frozenset(hints),
    )


def _key_words(found: list[str], known: set[str]) -> frozenset[str]:
    """The stems of an answer that neither question nor other notes hold; empty if few are left."""
    keys = _hints(found, known)
    return keys if len(keys) >= _KEY_WORDS else frozenset()


def _hints(found: list[str], known: set[str]) -> frozenset[str]:
    return frozenset(map(stem, found)) - known - _COMMON_STEMS


def _only_number(target: str, *, last: bool = False) -> Numeral | None:
    """The number that a target is, apart from signs and one word of unit; else None."""
    found = numerals(target)
    if not found:
        return None
    if last:
        return found[-1]
    rest = [word for word in words(target) if not any(char.isdigit() for char in word)]
    whole = len(found) == 1 and len(rest) <= 1 and not re.search(r"[\\^(){}\[\]]", target)
    return found[0] if whole else None


def _plain(found: list[str]) -> bool:
    """Whether an answer is made of words that any note may hold, or too short to tell."""
    return all(word in COMMON for word in found) or (
        len(found) == 1 and len(found[0]) < _SHORT and found[0].isalpha()
    )


def bare(text: str) -> str:
    """A formula without spaces, brackets and what LaTeX adds, so that `(a / bR)` is `a/bR`."""
    return _DECORATION.sub("", text.replace("\\cdot", "*").replace("\\times", "*"))


def _formula(answer: str) -> str:
    """The right side of an answer that is a formula in letters; else nothing."""
    right = bare(answer).rpartition("=")[2].strip(".")
    told = _OPERATOR.search(right) and any(char.isalpha() for char in right)
    return right if told and len(right) >= _SHORT and not _PROSE.search(answer) else ""


def _name(answer: str) -> str:
    """A short answer that only its capitals tell from a word, such as `HI`; else nothing."""
    bare = answer.strip(" .")
    short = 1 < len(bare) <= _SHORT and bare.isalpha()
    return bare if short and bare.isupper() else ""


def _without_article(found: list[str]) -> tuple[str, ...]:
    return tuple(found[1:] if len(found) > 1 and found[0] in ARTICLES else found)


def stem(word: str) -> str:
    """A word without the `s` of a plural."""
    return word[:-1] if word.endswith("s") and len(word) > _SHORT else word


_COMMON_STEMS = frozenset(map(stem, COMMON))
