r"""Formulas as values: tells final answers in LaTeX apart without a symbolic system.

Read are numbers, letters (each stands for a fixed number that no formula is likely to single out),
`+ - * /`, `^`, `!`, `\frac`, `\sqrt`, `\binom`, `\pi`, common functions, brackets, and lists of
such; of `x = ...` what stands last. Units, degrees, percent signs and the base of a numeral do not
count. Rational values are exact, others have nine digits.
"""

from __future__ import annotations

import cmath
import math
import re
import zlib
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["value_key"]

Value: TypeAlias = Fraction | complex

_LONGEST = 300
_DEEPEST = 30
_LARGEST_FACTORIAL = 150
_LARGEST_DEGREE = 10
_NOISE = 1e-10
"""Relative size of what roots and functions leave of an exact value."""
_LARGEST = 2000
"""Bits of an exact value; beyond them it has nine digits like any other."""
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?|\.\d+)|\\(?P<command>[a-zA-Z]+|[{}|])"
    r"|(?P<letter>[a-zA-Z])(?P<index>_(?:\w|\{\w+\}))?|(?P<sign>.))"
)
_DROPPED = re.compile(
    r"\\(?:left|right|displaystyle|,|!|;|:| |\(|\)|\[|\])|[$~\"`]|\\?%|\^\\circ|\^\{\\circ\}"
    r"|(?<=[\d}])\\(?:text|mbox|mathrm)\{\s*[a-z./ ]+(?:\^?\d)?\s*\}(?:\^\{?\d\}?)?"
)
_BETWEEN = re.compile(r",?(?:\\(?:text|mbox)\{,?\s*(?:and|or)\s*\}|\s(?:and|or)\s)")
_BASE = re.compile(r"(?<=\d) ?_(?:\w|\{\w+\})")
_TEXT = re.compile(r"\\(?:text|mbox|textbf|mathrm|mathbf|operatorname)\{([^{}]*)\}")
_STATED = re.compile(r"^\s*(?:[a-zA-Z]\w?(?:\([a-z]\))?|\(\s*[a-z]\s*(?:,\s*[a-z]\s*)+\))\s*=(?!=)")
_MIXED = re.compile(r"(?<![\d.^{}\w])(\d+)\s*\\frac\s*\{(\d+)\}\s*\{(\d+)\}")
_FUNCTIONS: dict[str, Callable[[complex], complex]] = {
    "sin": cmath.sin, "cos": cmath.cos, "tan": cmath.tan, "arcsin": cmath.asin,
    "arccos": cmath.acos, "arctan": cmath.atan, "log": cmath.log, "ln": cmath.log,
    "exp": cmath.exp,
    "sec": lambda x: 1 / cmath.cos(x), "csc": lambda x: 1 / cmath.sin(x),
    "cot": lambda x: 1 / cmath.tan(x),
}  # fmt: skip
_CONSTANTS: dict[str, Value] = {"pi": math.pi + 0j, "e": math.e + 0j, "i": 1j}
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_TIMES = frozenset(("*", "cdot", "times"))
_OVER = frozenset(("/", "div"))


def value_key(text: str) -> str | None:
    r"""One spelling for all formulas of one value: `\frac{1}{2}` and `.5`, `(1,2)` and `( 1, 2 )`.

    A list without brackets, or in braces, has no order. None for what is not read here.
    """
    if len(text) > _LONGEST:
        return None
    plain = _BETWEEN.sub(",", text.replace("dfrac", "frac").replace("tfrac", "frac"))
    plain = _BASE.sub("", plain)
    plain = _TEXT.sub(r"\1", _DROPPED.sub(" ", plain))
    plain = _MIXED.sub(r"(\1+\\frac{\2}{\3})", plain).strip().rstrip(".,;").strip()
    try:
        return _Reader(_STATED.sub("", plain)).key()
    except (ValueError, ArithmeticError, RecursionError, IndexError):
        return None


class _Reader:
    """Reads one formula by recursive descent; `ValueError` for what it does not know."""

    def __init__(self, text: str) -> None:
        self._tokens = [_token(match) for match in _TOKEN.finditer(text)]
        self._tokens.append(("end", ""))
        self._place = 0
        self._depth = 0

    def key(self) -> str:
        items = self._items("end")
        return items[0] if len(items) == 1 else f"{{{'; '.join(sorted(set(items)))}}}"

    def _items(self, closing: str) -> list[str]:
        """Items between commas; of an equation what follows its last sign."""
        items = [self._item()]
        while self._next() in (",", "=", ";"):
            if self._take()[1] == "=":
                items.pop()
            items.append(self._item())
        if self._next() != closing and self._tokens[self._place][0] != closing:
            raise ValueError(closing)
        return items

    def _item(self) -> str:
        """A value, or a list in brackets that stands for itself."""
        opening, start = self._next(), self._place
        if opening in ("(", "[", r"\{"):
            self._take()
            items = self._list(opening)
            if items is not None:
                return items
            self._place = start
        return _spelled(self._sum())

    def _list(self, opening: str) -> str | None:
        """The list behind an opening bracket; None if the bracket only groups."""
        braces = opening == r"\{"
        depth, commas, place = 1, 0, self._place
        while depth and self._tokens[place][0] != "end":
            sign = self._tokens[place][1]
            depth += (sign in ("(", "[", "{", r"\{")) - (sign in (")", "]", "}", r"\}"))
            commas += sign == "," and depth == 1
            place += 1
        if not commas and not braces:
            return None
        self._deeper()
        closing = self._tokens[place - 1][1]
        items = self._items(closing)
        self._take()
        self._depth -= 1
        if braces:
            return f"{{{'; '.join(sorted(set(items)))}}}"
        return f"{opening}{'; '.join(items)}{closing}"

    def _sum(self) -> Value:
        self._deeper()
        sign = 1
        while self._next() in ("+", "-"):
            sign = -sign if self._take()[1] == "-" else sign
        total = sign * self._product()
        while self._next() in ("+", "-"):
            minus = self._take()[1] == "-"
            total = total - self._product() if minus else total + self._product()
        self._depth -= 1
        return _bounded(total)

    def _product(self) -> Value:
        value = self._power()
        while True:
            kind, text = self._tokens[self._place]
            if text in _OVER and kind != "letter":
                self._take()
                value = value / self._signed()
            elif text in _TIMES and kind != "letter":
                self._take()
                value = value * self._signed()
            elif kind in ("letter", "command") or text in ("(", "{", "["):
                value = value * self._power()
            else:
                return _bounded(value)

    def _signed(self) -> Value:
        if self._next() == "-":
            self._take()
            return -self._power()
        return self._power()

    def _power(self) -> Value:
        base = self._atom()
        while self._next() == "!":
            self._take()
            base = _factorial(base)
        if self._next() != "^":
            return base
        self._take()
        return _raised(base, self._signed())

    def _atom(self) -> Value:
        kind, text = self._take()
        if kind == "number":
            return Fraction(text)
        if kind == "letter":
            return _CONSTANTS.get(text) or _stand_in(text)
        if kind == "command":
            return self._command(text)
        if text not in _CLOSING:
            raise ValueError(text)
        value = self._sum()
        if self._take()[1] != _CLOSING[text]:
            raise ValueError(text)
        return value

    def _command(self, name: str) -> Value:
        if name == "frac":
            return self._argument() / self._argument()
        if name == "sqrt":
            degree: Value = Fraction(2)
            if self._next() == "[":
                degree = self._atom()
            return _raised(self._argument(), 1 / degree)
        if name == "binom":
            top, bottom = self._argument(), self._argument()
            return _factorial(top) / (_factorial(bottom) * _factorial(top - bottom))
        if name in _FUNCTIONS:
            return _FUNCTIONS[name](complex(self._power()))
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        if name in ("cup", "cap", "in", "pm", "le", "ge", "leq", "geq", "begin", "end"):
            raise ValueError(name)
        return _stand_in(f"\\{name}")

    def _argument(self) -> Value:
        """What stands in braces, or the next digit or letter."""
        kind, text = self._tokens[self._place]
        if kind == "number" and len(text) > 1:
            self._tokens[self._place] = (kind, text[1:])
            return Fraction(text[0])
        return self._atom()

    def _next(self) -> str:
        return self._tokens[self._place][1]

    def _take(self) -> tuple[str, str]:
        self._place += 1
        return self._tokens[self._place - 1]

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError(self._depth)


def _token(match: re.Match[str]) -> tuple[str, str]:
    if match["letter"]:
        return "letter", match["letter"] + re.sub(r"[{}]", "", match["index"] or "")
    if match["command"]:
        bracket = match["command"] in ("{", "}", "|")
        return ("sign", f"\\{match['command']}") if bracket else ("command", match["command"])
    return ("number", match["number"]) if match["number"] else ("sign", match["sign"])


def _stand_in(name: str) -> complex:
    """A number between 1 and 3 for a letter."""
    return complex(1 + 2 * (zlib.crc32(name.encode()) + 0.5) / 2**32)


def _bounded(value: Value) -> Value:
    if isinstance(value, Fraction) and value.numerator.bit_length() > _LARGEST:
        return complex(value)
    return value


def _factorial(value: Value) -> Value:
    if (
        not isinstance(value, Fraction)
        or value.denominator > 1
        or not 0 <= value <= _LARGEST_FACTORIAL
    ):
        raise ValueError(value)
    return Fraction(math.factorial(value.numerator))


def _raised(base: Value, power: Value) -> Value:
    """A power, exact where that is rational and of bearable size."""
    if isinstance(base, Fraction) and isinstance(power, Fraction):
        size = abs(power.numerator) * max(
            base.numerator.bit_length(), base.denominator.bit_length()
        )
        if power.denominator == 1 and size <= _LARGEST:
            return base**power.numerator
        if power.denominator > 1 and base >= 0 and size <= _LARGEST:
            root = _root(base, power.denominator)
            if root is not None:
                return root**power.numerator
        if power.denominator % 2 and base < 0:
            return -_raised(-base, power) if power.numerator % 2 else _raised(-base, power)
    return complex(base) ** complex(power)


def _root(value: Fraction, degree: int) -> Fraction | None:
    """The exact root of a fraction that has one."""
    if degree > _LARGEST_DEGREE:
        return None
    root = Fraction(
        round(value.numerator ** (1 / degree)), round(value.denominator ** (1 / degree))
    )
    return root if root**degree == value else None


def _spelled(value: Value) -> str:
    if isinstance(value, Fraction):
        return str(value)
    whole = round(value.real)
    if abs(value - whole) < _NOISE * max(abs(whole), 1):
        return str(whole)
    scale = _NOISE * abs(value)
    real, imaginary = (0.0 if abs(part) < scale else part for part in (value.real, value.imag))
    return f"{real:.9g}{f'{imaginary:+.9g}i' if imaginary else ''}"
