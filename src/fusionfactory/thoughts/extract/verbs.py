"""Verbs of method: what the steps of a solution begin with, and their forms."""

from __future__ import annotations

__all__ = ["AMBIGUOUS", "GERUNDS", "THIRD", "VERBS"]

_VERBS = (
    "account add analyze append apply approximate arrange assign assume break bring build "
    "calculate cancel change check choose clear collect combine compare complete compute "
    "concatenate connect consider construct convert copy count create define delete denote derive "
    "describe determine differentiate distinguish distribute divide double draw eliminate ensure "
    "equate establish estimate evaluate examine exclude expand express extract factor filter find "
    "focus follow form generate graph group halve identify ignore increment initialize insert "
    "integrate interpret invert isolate iterate join keep let link list locate look loop map "
    "match maximize minimize move multiply narrow order organize parse pick place plot plug prove "
    "raise read rearrange recall recognize reduce remember remove reorder repeat replace "
    "represent restate reverse review rewrite round scan search select separate set shift "
    "simplify sketch slice solve sort split square start state store strip substitute subtract "
    "sum swap take test trace track transform translate traverse treat try update use utilize "
    "verify visualize weigh work write "
)
_AMBIGUOUS = (
    "build change check complete copy count double estimate factor filter focus form graph group "
    "link list loop map match move narrow order place plot plug review round scan search select "
    "separate set shift slice sort split square state store sum test trace transform try use work "
)
_DOUBLED = frozenset(("plug", "set", "split", "sum", "begin", "strip", "swap", "map", "scan",
                      "plot"))  # fmt: skip
_HISSING = ("s", "sh", "ch", "x", "z")
_VOWELS = "aeiou"


def _third(verb: str) -> str:
    if verb.endswith("y") and verb[-2] not in _VOWELS:
        return f"{verb[:-1]}ies"
    return f"{verb}es" if verb.endswith(_HISSING) else f"{verb}s"


def _gerund(verb: str) -> str:
    if verb.endswith("e"):
        return f"{verb[:-1]}ing"
    return f"{verb}{verb[-1]}ing" if verb in _DOUBLED else f"{verb}ing"


AMBIGUOUS = frozenset(_AMBIGUOUS.split())
"""Those that are also nouns or adjectives: a verb only before what they act on."""
VERBS = frozenset(_VERBS.split())
"""Base forms."""
THIRD = {_third(verb): verb for verb in (*VERBS, "return")}
"""`checks` to `check`."""
GERUNDS = {_gerund(verb): verb for verb in VERBS}
"""`checking` to `check`."""
