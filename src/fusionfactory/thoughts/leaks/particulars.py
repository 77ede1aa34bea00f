"""Particulars: what ties a sentence to one question, its names, figures, literals and options."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from fusionfactory.scorers.number import numerals
from fusionfactory.scorers.words import words
from fusionfactory.thoughts.extract.verbs import VERBS
from fusionfactory.thoughts.leaks.spelled import COMMON

__all__ = ["FIGURE", "Particulars"]

FIGURE = re.compile(
    r"(?<![A-Za-z_])\d|[∑∫√≤≥±≈=^\\{}<>|$%&→]|_(?=\{)|\*\S|\S\*|\s[-+/×÷]\s|\([A-Z]\)"
)
"""Where figures and formulas begin."""

_CONSTANTS = frozenset((0, 1, 2, 3, 4, 7, 10, 12, 24, 60, 90, 100, 180, 360, 365, 1000))
"""Numbers that stand in rules."""
_WORDS_OF_PROGRAMS = frozenset(("True", "False", "None", "Python"))
_PRONOUN = re.compile(r"\b(?:he|she|his|her|him|hers)\b", re.IGNORECASE)
_TITLE = re.compile(r"\b[A-Z][a-z]{2,}\b(?=['’]s\b|\s[a-z]|[,.])")
_ACTS = re.compile(
    r"\s(?:has|had|is|was|and|can|will|does|did|gets?|got|spent|bought|made|went|gave|took|sold|ate"
    r"|ran|won|lost|paid|drank|\w+ed|\w+s)\b|['’]s\b"
)
_INSIDE = re.compile(r"(?<=[a-z,;:)\d] )[A-Z][a-z][\w-]*")
_CAPITAL = re.compile(r"(?<=[\w,;:`)] )[A-Z][a-z][\w'’-]*|(?<=[a-z,;] )[B-HJ-Z](?![\w(])")
_POSSESSIVE = re.compile(r"['’]s?$")
_OPTIONS = re.compile(r"^[ \t]*\(?[A-J][).:]\s", re.MULTILINE)
_OPTION = re.compile(r"^[ \t]*\(?[A-J][).:]\s+([^\n]+)", re.MULTILINE)
_LONG_OPTION = 4
_PROGRAM = re.compile(r"\bdef \w+\(|\[PYTHON\]|```")
_METHOD_NAME = re.compile(
    r"(?:[A-Z][\w-]+(?:['’]s?)?\s(?:and\s)?){1,3}(?=(?:\w+\s){0,2}(?:law|theorem|formula|rule"
    r"|principle"
    r"|method|equation|algorithm|test|inequality|distribution|theory|effect|identity|lemma|series"
    r"|sieve|triangle|relation|diagram|expansion|model|hypothesis|ratio|number|constant)(?:s|e)?\b)"
)
_PARTICULAR = re.compile(
    r"\b(?:in this (?:case|example|scenario|question|problem|context)|the (?:given|provided|above)"
    r"|options?|choices?|answers?|answered|correct|correctly|incorrect|asser(?:t|tion)|wikipedia"
    r"|json"
    r"|as shown|the (?:question|problem|statement|passage|text) (?:is|asks|states|says|mentions"
    r"|provides|describes|implies|suggests)|as follows|sorry|please|hope|step[- ]by[- ]step"
    r"|(?:the|this) problem|with (?:this|the|these) inputs?|listed|various factors|this information"
    r"|how the function|these steps|following"
    r"|how to solve|solve (?:the|this) (?:problem|question)|plan to|here's"
    r"|according to|we (?:have|get|know|see|are|were)|(?:i|you) (?:am|are|will|know)|i['’]ll"
    r"|in the end"
    r"|(?:most |more |less |un)?likely|probably|perhaps|approximately|the (?:final|entire"
    r"|resulting|expected|original) \w+"
    r"|(?:as|its|two|three) (?:input|inputs|arguments?|parameters?)|is given|are given|we|our|us"
    r"|let)\b",
    re.IGNORECASE,
)
_LITERAL = re.compile(r"\$[^$]*[A-Z]{2}|[\"“”]|(?<!\w)['‘]|\[[^\]]*\]|`")


@dataclass(frozen=True)
class Particulars:
    """What a question holds that a note on its kind should not.

    Attributes:
        question: Its text, with passage and options.
    """

    question: str

    @cached_property
    def program(self) -> bool:
        """Whether the question is about a program, whose words are no names."""
        return _PROGRAM.search(self.question) is not None

    @cached_property
    def names(self) -> frozenset[str]:
        """Words with a capital inside a sentence, before the options."""
        first = _OPTIONS.search(self.question)
        stem = self.question[: first.start()] if first else self.question
        found = {_POSSESSIVE.sub("", match.group()) for match in _INSIDE.finditer(stem)}
        return frozenset(found - _WORDS_OF_PROGRAMS)

    @cached_property
    def people(self) -> frozenset[str]:
        """Names of those that the question calls he or she."""
        if _PRONOUN.search(self.question) is None:
            return frozenset()
        found = set()
        for match in _TITLE.finditer(self.question):
            name = match.group()
            usual = name.lower() in COMMON or name.lower() in VERBS
            if not usual and _ACTS.match(self.question, match.end()):
                found.add(name)
        small = set(re.findall(r"[a-z]+", self.question))
        return frozenset(name for name in found if name.lower() not in small)

    @cached_property
    def values(self) -> frozenset[object]:
        """The values of its numbers."""
        return frozenset(numeral.value for numeral in numerals(self.question))

    @cached_property
    def options(self) -> tuple[str, ...]:
        """The texts of its options in normalised words, those of two words or one long one."""
        found = (" ".join(words(match[1])) for match in _OPTION.finditer(self.question))
        return tuple(text for text in found if len(text) >= _LONG_OPTION and text not in COMMON)

    def names_option(self, text: str) -> bool:
        """Whether a sentence holds the text of an option, right or wrong."""
        if not self.options:
            return False
        plain = f" {' '.join(words(text))} "
        return any(f" {option} " in plain for option in self.options)

    def without_people(self, text: str) -> str:
        """The text with "the person" for the name of the one person in it."""
        if not self.people:
            return text
        there = [name for name in self.people if re.search(rf"\b{name}\b", text)]
        if len(there) != 1:
            return text
        text = re.sub(rf"\b{there[0]}['’]s?\s(?=[a-z])", "the person's ", text)
        return re.sub(rf"\b{there[0]}\b", "the person", text)

    def tied(self, text: str, *, formula: bool = False) -> bool:
        """Whether a sentence without its first word's capital is tied to the question.

        Args:
            text: The sentence.
            formula: It states a rule, so that a formula may stand in it, and numbers that are
                none of the question's.
        """
        if _PARTICULAR.search(text) or _LITERAL.search(text):
            return True
        if formula:
            values = {numeral.value for numeral in numerals(text)}
            if not values <= _CONSTANTS or not values.isdisjoint(self.values - {1, 2}):
                return True
        elif FIGURE.search(text):
            return True
        rest = _METHOD_NAME.sub("the ", text)
        said = {_POSSESSIVE.sub("", word.strip(",.;:()")) for word in rest.split()}
        if not said.isdisjoint(self.names) or self.names_option(rest):
            return True
        capital = _CAPITAL.findall(rest)
        return not set(capital) <= _WORDS_OF_PROGRAMS and not (formula and not any(
            len(word) > 1 for word in capital))  # fmt: skip
