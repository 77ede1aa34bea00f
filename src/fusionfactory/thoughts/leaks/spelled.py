"""Numbers in words, and the words that any note may hold."""

from __future__ import annotations

__all__ = ["COMMON", "spelled"]

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_HUNDRED = 100
_THOUSAND = 1000
_COMMON = (
    "a an the and or nor but not no yes true false none all any some each every both either "
    "neither one two three four five six seven eight nine ten first second third last next of to "
    "in on at by for from with without as is are was were be been being it its this that these "
    "those there here he she they them their his her you your we our i me my who whom whose which "
    "what when where why how if then else than so because since while until about above below "
    "over under between into out up down off again more most less least same other such only just "
    "also very can could may might must shall should will would do does did done have has had get "
    "got give given gives make makes made take taken use used uses using find found look read "
    "write say says said tell know known think count add subtract multiply divide compare check "
    "choose pick answer answers question questions option options choice choices letter letters "
    "number numbers word words sentence sentences step steps list lists string strings text value "
    "values result results form note passage line lines order name names time place part parts "
    "whole thing things case cases way method rule rules meaning example item items set sum total "
    "difference product correct right wrong best following "
)

COMMON = frozenset(_COMMON.split())
"""Words that tell nothing by standing in a note."""


def spelled(number: int) -> tuple[str, ...]:
    """A number from 0 to 999,999 in words, lower case and without hyphens; else none.

    With and without the "and" after hundreds.
    """
    if not 0 <= number < _THOUSAND**2:
        return ()
    plain = _spelled(number)
    return tuple(dict.fromkeys((plain, plain.replace(" hundred ", " hundred and "))))


def _spelled(number: int) -> str:
    small = _ONES.split()
    if number < len(small):
        return small[number]
    if number < _HUNDRED:
        tens, ones = divmod(number, 10)
        return _TENS.split()[tens - 2] + (f" {small[ones]}" if ones else "")
    size, name = (_HUNDRED, "hundred") if number < _THOUSAND else (_THOUSAND, "thousand")
    top, rest = divmod(number, size)
    return f"{_spelled(top)} {name}" + (f" {_spelled(rest)}" if rest else "")
