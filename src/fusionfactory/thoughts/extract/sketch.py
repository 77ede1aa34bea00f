"""Sketches: what can be said of a solution that tells no step, and of a question alone."""

from __future__ import annotations

import re

from fusionfactory.scorers.choice import option_letters
from fusionfactory.thoughts.extract.reasoning import code_of

__all__ = ["approach", "formulas", "operations", "programming"]

_MOST = 5
_PASSAGE = 250
_NUMBER = r"[$€£]?\d[\d,.]*%?"
_BETWEEN = r"[^\S\n]*(?:[a-zA-Z/]+[^\S\n]+){0,3}"
_OPERATION = re.compile(
    rf"{_NUMBER}{_BETWEEN}\)?[^\S\n]*([-+*×·÷/−]|\\times|\\cdot|\\div)[^\S\n]*\(?{_NUMBER}"
)
_OPERATIONS = {
    "+": "add", "-": "subtract", "−": "subtract", "*": "multiply", "×": "multiply", "·": "multiply",
    "\\times": "multiply", "\\cdot": "multiply", "/": "divide", "÷": "divide", "\\div": "divide",
}  # fmt: skip
_PARTS = (
    (re.compile(r"\bre\.\w+\("), "a regular expression"),
    (re.compile(r"\bsorted\(|\.sort\("), "sorting"),
    (re.compile(r"\bset\(|\bfrozenset\("), "a set"),
    (re.compile(r"\bdict\(|\{\}|Counter\(|defaultdict\("), "a dictionary"),
    (re.compile(r"\bheapq\b"), "a heap"),
    (re.compile(r"\bwhile\b"), "a while loop"),
    (re.compile(r"[\[({][^\[\](){}\n]*\bfor\b[^\n]+\bin\b"), "a comprehension"),
    (re.compile(r"^[ \t]+for\b", re.MULTILINE), "a loop"),
    (re.compile(r"\bmap\(|\bfilter\(|\blambda\b"), "a mapping function"),
    (re.compile(r"\bmath\.\w+"), "the math module"),
    (re.compile(r"\[[^\]\n]*:[^\]\n]*\]"), "slicing"),
    (re.compile(r"\bif\b"), "a case distinction"),
)
_CODE = "Read the tests or examples for the name, the arguments and the edge cases first."
_TRACE = (
    "Trace the program line by line with its input, keep the value of every variable, and mind the "
    "type, the quotes and the spaces of what it returns."
)
_READ = 1500
_FORMULA = re.compile(
    r"(?<![\w\\${}=^+*/-])((?:the )?[A-Za-z][A-Za-z_]{0,14}(?: [a-z]+){0,3}"
    r"|[A-Z][A-Za-z_]{0,3})[ ]?=[ ]?"
    r"([^=\n,;:$?]{3,70}?)(?=\s*(?:=|\n|[,;$?]|\.(?:\s|$)|$| where\b))"
)
_SYMBOL = re.compile(r"(?<![a-zA-Z\\])[a-zA-Z]\w*")
_PROSE = re.compile(r"\\[()\[\]]|\b(?:into|and|is|are|for|from|when|if|so|gives?|we|text)\b")
_AMOUNT = re.compile(r"\d[\d.]*\s+[A-Za-z]")
_DIGITS = re.compile(r"(?<![A-Za-z_^\d.])\d[\d.,]*")
_FORMULA_NUMBERS = frozenset(("1", "2", "3", "4", "100", "1/2"))
_OPERATOR = re.compile(r"[-+*/^×·÷]|\\frac|\\cdot|\\times|\\sqrt")
_PROGRAM = re.compile(r"\[PYTHON\]|\bdef \w+\(|```")
_DOCSTRING = re.compile(r"(\"\"\"|\'\'\').*?(?:\1|\Z)", re.DOTALL)
_LABEL = re.compile(r"^\W*(?:question|q)\s*:\s*", re.IGNORECASE)
_OPTION = re.compile(r"\n[ \t]*\(?[A-J][).:]\s")
_FIGURE = re.compile(r"\d")
_LONG_WORD = re.compile(r"[^\W\d_]{3,}")
_UNITS = 3
_EQUATION = re.compile(
    r"\b(?:solve for|value of [a-z]\b|find [a-z]\b|satisfies)[^?]*=", re.IGNORECASE
)
_ARITHMETIC = re.compile(r"^[^$\\]*\d\)*\s*[-+*/×÷]\s*\(*-?\d")
_DEFINED = re.compile(r"^def (\w+)\(", re.MULTILINE)
_WRONG = re.compile(
    r"\b(?:not|except|false|incorrect|wrong|least|untrue)\b(?=[^.?]*\?|[^.?\n]*:|[^.?\n]*$)", re.I
)
_CAPITAL_WRONG = re.compile(r"\b(?:NOT|EXCEPT|FALSE|LEAST|INCORRECT)\b")
_ASKED = (
    (re.compile(r"\bhow (?:many|much|old|long|far|tall|big|large|often|deep|high)\b"),
     "a quantity: recall it with its unit and be exact"),
    (re.compile(r"\b(?:when|what (?:year|date|day|month|century|time))\b"),
     "a time: place the event first, then give the date as exactly as it is known"),
    (re.compile(r"\bwhere\b|\b(?:what|which) (?:country|city|state|place|continent|river|county"
                r"|town|region)\b"),
     "a place: name it as exactly as the question demands"),
    (re.compile(r"\bwho(?:se|m)?\b|\b(?:what|which) (?:actor|actress|singer|author|writer"
                r"|president|artist"
                r"|band|person|king|queen|player|team|group)\b"),
     "a person or group: recall who fits every detail of the question, then give the name alone"),
    (re.compile(r"\bwhy\b|\bhow (?:do|does|did|is|are"
                r"|can)\b"), "a reason or a way: say it in few words"),
    (re.compile(r"\b(?:what|which|name)\b"),
     "a name or a thing: recall what fits every detail of the question, then give it alone"),
)  # fmt: skip
_YES_NO = re.compile(
    r"^(?:is|are|was|were|do|does|did|can|could|will|would|has|have|had|should|may)\b", re.I
)


def operations(text: str) -> str:
    """The kinds of arithmetic of a solution in order: "multiply, add, then divide"; or nothing.

    Runs of one kind are one; of more than five, nothing is told.
    """
    found: list[str] = []
    for match in _OPERATION.finditer(text):
        name = _OPERATIONS[match[1]]
        if not found or found[-1] != name:
            found.append(name)
    if not 1 < len(found) <= _MOST:
        return ""
    return ", ".join(found[:-1]) + ", then " + found[-1]


def formulas(text: str) -> list[str]:
    """The formulas in letters that a solution states, "P = V^2 / R", at most two."""
    found: dict[str, None] = {}
    for match in _FORMULA.finditer(text[:_READ]):
        left, right = match[1].strip(" $*()"), match[2].strip(" $*").rstrip("\\ ")
        if left and _is_formula(right):
            found.setdefault(f"{left} = {right}", None)
    return list(found)[:2]


def _is_formula(right: str) -> bool:
    """Whether the right side of an equation is made of at least two symbols and no figures."""
    if _PROSE.search(right):
        return False
    known = set(_DIGITS.findall(right)) <= _FORMULA_NUMBERS
    whole = all(right.count(a) == right.count(b) for a, b in ("()", "{}", "[]"))
    symbols = len(set(_SYMBOL.findall(right))) > 1 and _OPERATOR.search(right) is not None
    return known and whole and symbols and not _AMOUNT.match(right)


def programming(response: str) -> str:
    """What a program is made of: "a loop, a set and slicing"; or nothing."""
    code = _DOCSTRING.sub("", code_of(response))
    name = _DEFINED.search(code)
    found = [part for pattern, part in _PARTS if pattern.search(code)]
    if name and len(re.findall(rf"\b{name[1]}\(", code)) > 1:
        found.insert(0, "recursion")
    found = found[:3]
    return " and ".join([", ".join(found[:-1])] * (len(found) > 1) + found[-1:])


def approach(question: str, metric: str) -> str:
    """How a question of its form is approached, in one sentence; for want of better."""
    if metric == "code":
        return _CODE
    if _PROGRAM.search(question):
        return _TRACE
    if option_letters(question) or metric == "multiple_choice":
        return _of_options(question)
    if metric in {"number", "math"}:
        return _of_numbers(question)
    return _of_text(question)


def _of_text(question: str) -> str:
    lines = question.strip().splitlines() or [""]
    asked = _LABEL.sub("", lines[-1] if "?" in lines[-1] else lines[0])
    if len(question) - len(asked) > _PASSAGE:
        return _of_passage(asked)
    if _YES_NO.match(asked):
        return "Recall what is known about the subject, look for a counterexample, then decide."
    told = next((told for pattern, told in _ASKED if pattern.search(asked.lower())), "")
    if told and len(question) < _PASSAGE:
        return f"Asked for is {told}."
    return "Take from the question what form the result must have, and give the result alone."


def _of_options(question: str) -> str:
    stem, *options = _OPTION.split(question)
    if _CAPITAL_WRONG.search(stem) or _WRONG.search(stem.rpartition("\n")[2]):
        return (
            "Mind the negation: test the options one by one, and look for the one that does not "
            "hold."
        )
    figures = (_FIGURE.search(o) and len(_LONG_WORD.findall(o)) <= _UNITS for o in options)
    if 2 * sum(map(bool, figures)) > len(options):
        return (
            "Write down what is given, choose the formula or method, and work the value out before "
            "looking for it among the options."
        )
    return (
        "Say first what the question turns on, then hold every option against it and rule out "
        "those that contradict it or fit only in part."
    )


def _of_numbers(question: str) -> str:
    if _EQUATION.search(question):
        return "Isolate the unknown: do the same on both sides, then put the value in as a check."
    if len(question) < _PASSAGE and _ARITHMETIC.search(question):
        return (
            "Work one operation at a time, products and quotients before sums, and check the last "
            "digit."
        )
    return "Write down what is given and what is asked, then work towards it one step at a time."


def _of_passage(asked: str) -> str:
    if _YES_NO.match(asked):
        return (
            "Find the sentences of the passage that bear on the question, mind exceptions and "
            "qualifications in them, and decide by what they say."
        )
    return (
        "Find the sentence that speaks of what is asked, and take the answer from its words, no "
        "longer than needed."
    )
