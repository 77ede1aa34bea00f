"""Deterministic scorers: a response and a target in, 0.0 or 1.0 out.

They are generous only about form that the prompt did not fix: case where it does not matter,
quotes, markdown, thousands separators, a lead-in such as "The answer is". Model output is never
evaluated or run.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_MARKER = re.compile(r"answer(?:\W{0,4}:|\s+is\b:?)(?=\W{0,6}\w|\W*[\[{\-])", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.])-?\$?\d[\d,]*(?:\.\d+)?")
_ECHO = re.compile(r"\d\s+is a number\b", re.IGNORECASE)
_LEAD_IN = re.compile(r"^.*(?:\b(?:is|are|be|prints?|outputs?)\b|:)\s*")
_LETTER = re.compile(
    r"(?:^|(?<=[\s(*]))([A-D])(?=[).:,*]|\s*$)|\b(?:option|answer|choice)(?: is)? \(?([A-D])\b",
    re.MULTILINE,
)
_STEP = re.compile(r"\W*(?:step\b|\d+[.)]\s)", re.IGNORECASE)
_PRINTED = re.compile(
    r"\b(?:prints?|outputs?)\b(?!\()[^'\"`]*['\"`]+([^'\"`]+)['\"`](?!\s+(?:if|or)\b)"
)
_MAX_SHORT_WORDS = 12
_MAX_BARE_WORDS = 3
_STRICT = ("code", "string", "short_answer", "extract")


def final_answer(response: str, metric: str, *, finished: bool) -> str | None:
    """Return the part of a response that states the final answer.

    That is the line after the last ``Answer:`` or "answer is"; without such a mark, the only line,
    a first line that is nothing but an answer, or the last line.

    Args:
        response: The complete response text.
        metric: ``json`` answers may span lines; option letters may stand in any line.
        finished: False when the token limit cut the response.

    Returns:
        The answer text, or None when the response was cut before it stated an answer.
    """
    text = response.strip()
    marks = list(_MARKER.finditer(text))
    tail = text[marks[-1].end() :] if marks else text
    lines = _lines(tail)
    if metric == "json":
        return tail if finished else None
    if metric == "number":
        # A mark without a number ("The answer is a number.") states nothing: look further up.
        marked = [_lines(text[mark.end() :])[:1] for mark in reversed(marks)]
        found = [line for first in marked for line in first if _NUMBER.search(line)]
        lines = [line for line in _lines(text) if _NUMBER.search(line)]
        if found:
            return found[0]
    elif marks and lines:
        return lines[0]
    if len(lines) > 1 and _is_bare(lines[0]) and metric != "choice":
        return lines[0]
    if not finished:
        # A whole first line may hold the answer; these scorers compare it strictly.
        return lines[0] if len(lines) > 1 and metric in _STRICT else None
    return tail if metric == "choice" or not lines else lines[-1]


def _lines(text: str) -> list[str]:
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line.strip("*-` ") and not line.endswith((":", ":**", "```"))]


def _is_bare(line: str) -> bool:
    return len(line.split()) <= _MAX_BARE_WORDS and not _STEP.match(line)


def _plain(text: str) -> str:
    text = re.sub(r"\\boxed\{([^{}]*)\}", r"\1", text)
    plain = re.sub(r"[*`\"'$\u201c\u201d]|\\\(|\\\)|```", "", text)
    return re.sub(r"\s+", " ", plain).strip().rstrip(".").strip()


def _numbers(text: str) -> list[float]:
    found = (m.replace(",", "").replace("$", "") for m in _NUMBER.findall(text))
    return [float(number) for number in found]


def score_number(answer: str, target: str) -> bool:
    """Compare the last number: 18.00 equals 18; "18 is a number" echoes the prompt."""
    if _ECHO.search(answer):
        return False
    found = _numbers(answer)
    return bool(found) and abs(found[-1] - float(target)) < 1e-6


def score_choice(answer: str, target: str) -> bool:
    """Compare the last explicit option letter."""
    letters = [a or b for a, b in _LETTER.findall(answer)]
    return bool(letters) and letters[-1] == target


def _score_label(answer: str, target: str, labels: tuple[str, ...]) -> bool:
    plain = _plain(answer).casefold()
    for text in (plain, re.split(r"[.,]", plain)[0], plain.split(". ")[-1]):
        found = set(re.findall(rf"\b(?:{'|'.join(labels)})\b", text))
        if len(found) == 1:
            return found == {target}
    return False


def score_yes_no(answer: str, target: str) -> bool:
    """Accept an answer that says yes or no, and not both."""
    return _score_label(answer, target, ("yes", "no"))


def score_sentiment(answer: str, target: str) -> bool:
    """Accept an answer that names exactly one of the three labels."""
    return _score_label(answer, target, ("positive", "negative", "neutral"))


def score_code(answer: str, target: str) -> bool:
    """Compare what the code prints, with case; quotes and a lead-in may stand around it."""
    plain = re.sub(r"\s*,\s*", ", ", _plain(answer))
    quoted = [_plain(text) for text in _PRINTED.findall(answer)]
    return _plain(target) in {plain, _LEAD_IN.sub("", plain), *quoted[-1:]}


def score_string(answer: str, target: str) -> bool:
    """Compare the items of the answer in order; a whole number may stand in a sentence."""
    if target.isdecimal():
        return score_number(answer, target)
    plain = _plain(answer)
    return _items(target, target) in (
        _items(plain, target),
        _items(_LEAD_IN.sub("", plain), target),
    )


def _items(text: str, target: str) -> list[str]:
    # Case matters only where capital letters were asked for.
    folded = text if target.isupper() else text.casefold()
    return [item for item in re.split(r"[\s,\[\]\"'`.]+", folded) if item]


def score_short(answer: str, target: str) -> bool:
    """Accept a short answer that holds the target as whole words; ``|`` separates targets."""
    line = _plain(answer).casefold()
    if len(line.split()) > _MAX_SHORT_WORDS:
        line = line.split(". ")[0]
    if len(line.split()) > _MAX_SHORT_WORDS:
        return False
    edges = r"(?<![\w@])(?<!\w\.)(?<!\d[,:])%s(?![\w@])(?!\.\w)(?![,:]\d)"
    options = (re.escape(_plain(option).casefold()) for option in target.split("|"))
    return any(re.search(edges % option, line) for option in options)


def score_extract(answer: str, target: str) -> bool:
    """Accept a short answer with the target; a name has to open or close it.

    So a copied sentence that happens to hold the name is not accepted.
    """
    is_name = target.isalpha() and target.istitle() and not target.endswith("day")
    if not is_name:
        return score_short(answer, target)
    option = re.escape(_plain(target).casefold())
    edges = rf"^(?:the )?{option}(?!\w)|(?<!\w){option}(?: dollars)?$"
    return score_short(answer, target) and bool(re.search(edges, _plain(answer).casefold()))


def score_json(answer: str, target: str) -> bool:
    """Compare the last JSON object of the answer by value."""
    decoder = json.JSONDecoder()
    found: object = None
    position = answer.find("{")
    while position >= 0:
        try:
            found, position = decoder.raw_decode(answer, position)
        except json.JSONDecodeError:
            position += 1
        position = answer.find("{", position)
    return json.dumps(found, sort_keys=True) == json.dumps(json.loads(target), sort_keys=True)


SCORERS: dict[str, Callable[[str, str], bool]] = {
    "number": score_number,
    "choice": score_choice,
    "yes_no": score_yes_no,
    "label": score_sentiment,
    "code": score_code,
    "string": score_string,
    "short_answer": score_short,
    "extract": score_extract,
    "json": score_json,
}


def score(response: str, target: str, metric: str, *, finished: bool = True) -> float:
    """Score one response.

    Args:
        response: The complete response text.
        target: The question's ground truth.
        metric: A key of ``SCORERS``.
        finished: False when the token limit cut the response.

    Returns:
        1.0 for a right answer, 0.0 otherwise.

    Raises:
        KeyError: The metric is unknown.
    """
    scorer = SCORERS[metric]
    answer = final_answer(response, metric, finished=finished)
    return 0.0 if answer is None else float(scorer(answer, target))
