r"""Numbers in text, and the scorer that compares the last one: GSM8K's metric.

Read as one number: `1,234`, `1 234` with a no-break or thin space, `-5` with any minus sign,
`$18`, `18%`, `18.00`, `.5`, `3/4`, `1 1/2`, `½`, `1.5e3`, `3 \times 10^{4}`, `\frac{3}{4}`,
`\$18`. Units, currencies and the percent sign are not part of the value.

Numbers are compared exactly, as fractions. Only a repeating decimal may be rounded: against 2/3
the decimals `0.67` and `0.6667` are right, `0.7` is not (two decimals at least), and against
`66.67` so is `66.6667`. `3.14` is not 3.1416, and `33` is not 100/3. What a program prints for want
of precision, `11.000000000000002`, is 11.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from fusionfactory.errors import TaskError
from fusionfactory.scorers.base import verdict
from fusionfactory.scorers.extract import final_answer, spoken
from fusionfactory.scorers.reasons import EMPTY, excerpt, targets

if TYPE_CHECKING:
    from fusionfactory.types import Query, Score

__all__ = ["Number", "Numeral", "final_number", "numerals", "same_number"]

_SIGNS = str.maketrans(
    dict.fromkeys("\u2010\u2011\u2012\u2013\u2212\uff0d\ufe63", "-")
    | {"\uff0c": ",", "\u066c": ",", "\uff0e": ".", "\u066b": "."}
)
_VULGAR = re.compile("[\u00bc-\u00be\u2150-\u215e]")
_FRAC = re.compile(
    r"\\[dtc]?frac *(?:\{ *(-?[\d.,]+) *\} *\{ *(-?[\d.,]+) *\}|(\d) *(\d))"  # \frac{3}{4}, \frac34
)
_SPACING = re.compile(r"(?<=\d)(?:\{,\}|\\[,!; ](?=\d)|[\u00a0\u2009\u202f](?=\d{3}(?!\d)))")
_NOISE = re.compile(
    r"\\[$]|\\(?=%)|\b(?:USD|EUR|GBP|INR|CAD|AUD|Rs)\.?(?=\d)"
    r"|_(?:\d+|\{\d+\})|(?<=[^\W\d])\^(?:\{-?\d+\}|-?\d+)"  # indices, and powers of units
)
_UNSIGNED = r"(?:\d{1,3}(?:,\d{3})+(?![\d])|\d+)(?:\.\d+)?"
_NUMERAL = re.compile(
    r"(?P<sign>(?<![\w)\]}%.])-[$€£¥₹]?)?(?<![\w√])"
    r"(?:(?P<whole>\d+) {1,3}(?P<part>\d+) ?/ ?(?P<of>\d+)"
    rf"|(?P<top>{_UNSIGNED}) ?/ ?(?P<bottom>{_UNSIGNED})"
    rf"|(?P<plain>{_UNSIGNED}|(?<!\w)\.\d+)"
    r"(?:[eE](?P<e>[+-]?\d{1,3})(?!\w)"
    r"|\s{0,3}(?:\\times|\\cdot|[×*x])\s{0,3}10\s?\^\s?\{?(?P<power>[+-]?\d{1,3}))?)"
)
_LONGEST = 400
_SHOWN = 40
_REPEATING_PLACES = 4
_ROUNDED_PLACES = 2
_LARGEST_DENOMINATOR = 99
_FLOAT_DIGITS = 15
"""Significant digits that a float surely has."""


@dataclass(frozen=True, slots=True)
class Numeral:
    """A number as it was written.

    Attributes:
        text: As it stands in the text, LaTeX and odd signs levelled.
        value: Exact.
        places: Decimal places written; 0 for integers and fractions.
    """

    text: str
    value: Fraction
    places: int = 0


def numerals(text: str) -> list[Numeral]:
    """The numbers of a text in order; those of more than 400 digits are passed over."""
    found = []
    for match in _NUMERAL.finditer(_levelled(text)):
        if len(match.group()) <= _LONGEST:
            numeral = _numeral(match)
            if numeral is not None:
                found.append(numeral)
    return found


def final_number(response: str) -> Numeral | None:
    """The number that a response gives as its answer, as `Number` reads it; None without one."""
    answer = final_answer(response)
    found = numerals(answer.text)
    if not found and answer.form in {"phrase", "line"}:
        found = numerals(spoken(response))
    return found[-1] if found else None


def same_number(read: Numeral, gold: Numeral) -> bool:
    """Whether two numbers are equal, or one is the other's repeating decimal, rounded."""
    return (
        read.value == gold.value
        or _rounds(read, gold)
        or _rounds(gold, read)
        or _imprecise(read, gold)
    )


def _levelled(text: str) -> str:
    text = text.translate(_SIGNS)
    if "\\" in text:
        text = _FRAC.sub(lambda m: f"{_gap(m)}{m[1] or m[3]}/{m[2] or m[4]}", text)
    text = _VULGAR.sub(lambda m: f"{_gap(m)}{_vulgar(m.group())}", text)
    return _NOISE.sub("", _SPACING.sub("", text))


def _gap(match: re.Match[str]) -> str:
    """A space where a whole number stands before a fraction."""
    return " " if match.string[max(match.start() - 1, 0) : match.start()].isdigit() else ""


def _vulgar(sign: str) -> str:
    value = Fraction(unicodedata.numeric(sign)).limit_denominator(10)
    return f"{value.numerator}/{value.denominator}"


def _numeral(match: re.Match[str]) -> Numeral | None:
    sign = -1 if match["sign"] else 1
    text = match.group().strip()
    if match["whole"]:
        if int(match["of"]) == 0:
            return None
        return Numeral(
            text, sign * (int(match["whole"]) + Fraction(int(match["part"]), int(match["of"])))
        )
    if match["top"]:
        top, bottom = (Fraction(match[name].replace(",", "")) for name in ("top", "bottom"))
        return Numeral(text, sign * top / bottom) if bottom else None
    plain = match["plain"].replace(",", "")
    power = int(match["e"] or match["power"] or 0)
    places = len(plain.partition(".")[2]) if not power else 0
    return Numeral(text, sign * Fraction(plain) * Fraction(10) ** power, places)


def _rounds(short: Numeral, full: Numeral) -> bool:
    """Whether `short`, a decimal, is the repeating decimal `full`, rounded."""
    if short.places < _ROUNDED_PLACES:
        return False
    exact = _repeating(full)
    return exact is not None and _rounded(exact, short.places) == short.value


def _imprecise(read: Numeral, gold: Numeral) -> bool:
    """Whether a number is a float's, with more digits than it has, for another one."""
    digits = sum(char.isdecimal() for char in read.text)
    off = abs(read.value - gold.value)
    return bool(read.places) and digits > _FLOAT_DIGITS and off * 10**12 <= abs(gold.value)


def _repeating(numeral: Numeral) -> Fraction | None:
    """The fraction that a number stands for, if its decimals never end."""
    near = numeral.value
    if numeral.places:
        near = near.limit_denominator(_LARGEST_DENOMINATOR)
        off = abs(near - numeral.value) * 10**numeral.places
        if numeral.places < _REPEATING_PLACES or off >= 1:
            return None
    rest = near.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return near if rest > 1 else None


def _rounded(value: Fraction, places: int) -> Fraction:
    scale = 10**places
    size = (abs(value) * scale + Fraction(1, 2)) // 1
    return Fraction(size if value >= 0 else -size, scale)


class Number:
    """Whether the last number of the final answer equals the target's last number.

    Without a marked final answer, or where "the answer is" is followed by no number, the last
    number of the whole response counts.
    """

    name = "number"
    version = "2"

    def score(self, query: Query, response: str) -> Score:
        """1.0 for the right number.

        Raises:
            TaskError: The query has no target, or no number stands in it.
        """
        gold = [found[-1] for target in targets(query) if (found := numerals(target))]
        if not gold:
            msg = f"query {query.id!r}: its target {query.target!r} holds no number"
            raise TaskError(msg, field="target")
        if not response.strip():
            return verdict(self, 0, EMPTY)
        read = final_number(response)
        if read is None:
            answer = final_answer(response).text
            return verdict(self, 0, f"no number in the answer {excerpt(answer)}")
        if any(same_number(read, number) for number in gold):
            return verdict(self, 1)
        return verdict(self, 0, f"read {read.text[:_SHOWN]}, expected {gold[0].text[:_SHOWN]}")
