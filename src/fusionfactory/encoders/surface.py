"""Surface features of a text: length, marks, numbers, code, LaTeX, options, question words.

They say what kind of task a text is, cost microseconds, and carry over to texts whose words the
training texts never used.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.encoders.ngrams import clip_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.types import FloatArray

__all__ = ["SURFACE_NAMES", "surface_features"]

_WORD = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)?")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_SENTENCE_END = re.compile(r"[.!?](?:\s|$)")
_YES_NO = re.compile(r"^\W*(?:is|are|was|were|do|does|did|can|could|will|has|have|should)\b", re.I)
_IMPERATIVE = re.compile(
    r"^\W*(?:write|find|compute|calculate|evaluate|simplify|determine|solve|let|suppose|given|complete|"
    r"explain|list|translate|create|generate|implement|consider)\b",
    re.I,
)

_COUNTED = {
    "options": r"\b[A-J][).:]\s",
    "latex": r"\\[A-Za-z]+|\$[^$\n]+\$|\^\{?|_\{",
    "operators": r"[+*/=<>^]|(?<=\s)-(?=\s)",
    "blanks": r"_{2,}|\s_\s|\.\.\.\s*$|\[MASK\]|\?\?",
    "indented": r"^[ \t]+\S",
    "year": r"\b1[5-9]\d\d\b|\b20[0-4]\d\b",
}
"""Counted: the feature is log(1 + count)."""

_CODE = ("```", "def ", "return ", "import ", ">>>", "==", "->", "()", ";\n", "</", "assert ",
         "self.", "print(", " in range(")  # fmt: skip

_PER_WORD = {
    "programming": "python,function,program,algorithm,array,string,list,tuple,dictionary,regex,"
    "integer,integers,sort,lambda,code,sql,java",
    "mathematics": "how many,how much,total,sum,product,probability,equation,polynomial,triangle,"
    "angle,integer,value of,ratio,percent,average,solve,compute,calculate,evaluate,determine,"
    "simplify,prove,expression,real number,square,area,perimeter,graph",
    "units": "dollar,dollars,cent,cents,hour,hours,minute,minutes,day,days,week,weeks,month,months,"
    "year,years,mile,miles,feet,inches,pound,pounds,kg,cm,km,meter,meters,ml,mol,ev,gev,mev,nm,hz,%",
    "instructions": "write,complete,answer,explain,choose,select,give,list,summarize,summarise,"
    "translate,generate,create,describe,classify,identify,think,step by step,output,format",
    "third_person": "he,she,his,her,him,they,their,them",
    "first_second_person": "you,your,we,our,i,me,my",
    "choice": "which of the following,which one,following is,following are,following statement,"
    "most likely,best describes,choose,select,option,options,except,true or false",
    "stop_words": "a,an,the,of,to,in,on,at,for,and,or,is,are,was,were,be,been,it,its,this,that,"
    "these,those,with,as,by,from,he,she,they,his,her,their,you,your,i,we,our,has,have,had,do,does,did,if,"
    "then,than,not,no,so,but,can,will,would,which,who,what,when,where,how,why,there,into,about,over,"
    "after,before,each,all,any,some",
}
"""Counted per word: the feature is sqrt(count / words)."""

_PROPER = re.compile(r"(?<=[a-z,] )[A-Z][a-z]+")
_COUNTED_PATTERNS = [re.compile(p, re.MULTILINE) for p in _COUNTED.values()]
_GROUPS: dict[str, list[int]] = {}
_PHRASES: list[tuple[str, int]] = []
for _group, _listed in enumerate(_PER_WORD.values()):
    for _term in _listed.split(","):
        if _term.isalpha():
            _GROUPS.setdefault(_term, []).append(_group)
        else:
            _PHRASES.append((_term, _group))

_MARKS = {
    "newlines": "\n", "commas": ",", "quotes": '"', "apostrophes": "'", "parentheses": "(",
    "brackets": "[{", "colons": ":", "semicolons": ";", "dashes": "-", "question_marks": "?",
    "dollars": "$",
}  # fmt: skip
_SHARES = {
    "digit_share": "0123456789",
    "upper_share": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "mark_share": "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
}
_QUESTION_WORDS = ("who", "what", "which", "when", "where", "why", "how")
SURFACE_NAMES = (
    "length", "words", "mean_word", "longest_word", "sentences", "words_per_sentence", "paragraphs",
    "mean_line", "last_line", "last_sentence", "numbers", "numbers_per_word", "largest_number",
    "decimals", "distinct_words", "proper_names", "starts_lower", "starts_upper",
    "starts_imperative", "starts_yes_no", "ends_question", "ends_stop", "ends_colon", "ends_word",
    "boxed", "code", "non_ascii", *_MARKS, *_SHARES, *_COUNTED, *_PER_WORD,
    *(f"first_{word}" for word in _QUESTION_WORDS), *(f"has_{word}" for word in _QUESTION_WORDS),
)  # fmt: skip
"""Names of the columns of `surface_features`."""

_ASCII = np.zeros((256, len(_MARKS) + len(_SHARES) + 1))
for _column, _characters in enumerate((*_MARKS.values(), *_SHARES.values())):
    _ASCII[[ord(c) for c in _characters], _column] = 1.0
_ASCII[192:, -1] = 1.0  # the first byte of every character beyond ASCII in UTF-8
_LARGEST_LOG = 30.0
_NUMBERS_READ = 50


def surface_features(texts: Sequence[str]) -> FloatArray:
    """(n, k) raw features, columns `SURFACE_NAMES`; counts are in logarithms, shares in [0, 1].

    Of a text over 8,000 characters the first 6,000 and the last 2,000 are read; `length` is that of
    the whole text.
    """
    rows = [_features(text) for text in texts]
    return np.array(rows, dtype=np.float64).reshape(len(texts), len(SURFACE_NAMES))


def _features(whole: str) -> list[float]:
    text = clip_text(whole).strip()
    size = max(len(text), 1)
    words = _WORD.findall(text)
    lower = [word.lower() for word in words]
    count = max(len(words), 1)
    log = math.log1p
    histogram = np.bincount(np.frombuffer(text.encode(), dtype=np.uint8), minlength=256)
    *ascii_counts, non_ascii = (histogram @ _ASCII).tolist()
    marks, shares = ascii_counts[: len(_MARKS)], ascii_counts[len(_MARKS) :]
    present = set(lower)
    first = lower[0] if lower else ""
    return [
        log(len(whole.strip())),
        *_shape(text, size, words, marks[0]),
        *_numbers(text, count),
        len(present) / count,
        math.sqrt(len(_PROPER.findall(text)) / count),
        *_ends(text),
        float("boxed" in text),
        log(sum(text.count(mark) for mark in _CODE)),
        log(non_ascii),
        *(log(mark) for mark in marks),
        *(share / size for share in shares),
        *(log(len(pattern.findall(text))) for pattern in _COUNTED_PATTERNS),
        *(math.sqrt(found / count) for found in _per_group(text, lower)),
        *(float(first == word) for word in _QUESTION_WORDS),
        *(float(word in present) for word in _QUESTION_WORDS),
    ]


def _per_group(text: str, words: list[str]) -> list[int]:
    found = [0] * len(_PER_WORD)
    for word in words:
        for group in _GROUPS.get(word, ()):
            found[group] += 1
    lower = text.lower()
    for phrase, group in _PHRASES:
        found[group] += lower.count(phrase)
    return found


def _shape(text: str, size: int, words: list[str], newlines: float) -> list[float]:
    log = math.log1p
    lengths = [len(word) for word in words]
    ends = _SENTENCE_END.findall(text)
    return [
        log(len(words)),
        sum(lengths) / max(len(words), 1),
        log(max(lengths, default=0)),
        log(len(ends)),
        log(len(words) / max(len(ends), 1)),
        log(text.count("\n\n")),
        log(size / (newlines + 1)),
        log(len(text) - text.rfind("\n") - 1),
        log(len(text) - max(text.rfind(f"{mark} ", 0, -1) for mark in ".!?")),
    ]


def _numbers(text: str, words: int) -> list[float]:
    found = _NUMBER.findall(text)
    largest = 0.0
    for number in found[:_NUMBERS_READ]:
        whole = number.split(".")[0].replace(",", "")[:_NUMBERS_READ]
        largest = max(largest, float(whole or 0))
    return [
        math.log1p(len(found)),
        math.sqrt(len(found) / words),
        min(math.log1p(largest), _LARGEST_LOG),
        math.log1p(sum("." in number for number in found)),
    ]


def _ends(text: str) -> list[float]:
    return [
        float(text[:1].islower()),
        float(text[:1].isupper()),
        float(_IMPERATIVE.match(text) is not None),
        float(_YES_NO.match(text) is not None),
        float(text.endswith("?")),
        float(text.endswith(".")),
        float(text.endswith(":")),
        float(text[-1:].isalnum()),
    ]
