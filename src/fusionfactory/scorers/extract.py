r"""Where a response states its final answer: one rule for every scorer that reads text.

Marks are looked for in this order, and of equal marks the last one counts:

1. `<answer>...</answer>`; without the closing tag, to the end of the response.
2. `\boxed{...}`, a JSON field `"answer": ...` (also in broken or truncated JSON) or a line
   `#### ...`, whichever ends last. A `####` that is not the last line must stand before a
   bare number, or it is a heading.
3. "answer is ...", "answer: ...", to the end of the sentence or line, or the next line where
   that is empty.
4. No mark: the last line that is not empty.

What a mark holds is unwrapped again: `<answer>\boxed{A}</answer>` is `A`. What a model thought
before `</think>` is not its response, unless nothing follows; nor is what a model without a stop
adds after its answer: a line `Question: ...` with a further question of its own.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["FinalAnswer", "Form", "final_answer", "spoken"]

Form: TypeAlias = Literal["tag", "boxed", "json", "hashes", "phrase", "line"]
"""By which mark a final answer was found; `line` is no mark."""

_TAG = re.compile(r"<answer>", re.IGNORECASE)
_TAG_END = re.compile(r"</answer>", re.IGNORECASE)
_BOXED = re.compile(r"\\(?:boxed|fbox)\b *")
_JSON = re.compile(r"""["'](?:final[_ ])?answer["'][ \t]*:[ \t\n]*""", re.IGNORECASE)
_JSON_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_HASHES = re.compile(r"(?<!#)####(?!#)[ \t]*([^\n]*)")
_BARE_NUMBER = re.compile(r"[^\w\n]*+\d[\d,./ ]*+[^\w\n]*+")
_PHRASE = re.compile(
    r"\banswer[*_]*(?: to [^.:\n]{1,80}?| choice| option)?[*_]*[ \t]*"
    r"(?:\b(?:is|was|would be|should be)\b|[:=])(?![ \t]*not\b)[ \t]*:?[*_]*[ \t]*",
    re.IGNORECASE,
)
_QUESTION = re.compile(r"\n[ \t]*(?:Question|Q)(?: ?\d{1,4})?:")
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)[^\n]*$", re.MULTILINE)
_ESCAPE = re.compile(r'(?:\\u[0-9a-fA-F]{4})+|\\(?:n(?![a-z])|t(?![a-z])|["\\/])')
_BRACE = re.compile(r"(?<!\\)(?:\\\\)*[{}]")
_SENTENCE_END = re.compile(r"[.!?][*_\"')\]]*[ \t]+(?=[A-Z(\"'*])")
_ABBREVIATION = re.compile(
    r"(?:^|\W)(?:\w|mr|mrs|ms|dr|st|jr|sr|vs|no|mt|prof|gen|col|sgt|rev)$", re.IGNORECASE
)
_MARKUP = "*_` \n"
_TITLE = 6
_LONG_WORD = 200
_DEPTH = 3


@dataclass(frozen=True, slots=True)
class FinalAnswer:
    """The final answer of a response.

    Attributes:
        text: The answer, without the mark; may be empty.
        form: The mark that it was found by.
    """

    text: str
    form: Form

    @property
    def explicit(self) -> bool:
        """Whether the response marks it as its answer."""
        return self.form != "line"


def spoken(response: str) -> str:
    """The response without earlier thoughts and without further questions after its answer."""
    after = response.rpartition("</think>")[2]
    text = after if after.strip() else response
    further = _QUESTION.search(text)
    if further is not None and _mark(text[: further.start()]) is not None:
        return text[: further.start()]
    return text


def final_answer(response: str) -> FinalAnswer:
    """What the response states as its answer, by the rule of this module."""
    text = spoken(response)
    found = _mark(text)
    if found is None:
        lines = [line for line in _FENCE.sub("", text).splitlines() if line.strip()]
        return FinalAnswer(lines[-1].strip() if lines else "", "line")
    for _ in range(_DEPTH):
        inner = _structured(found.text)
        if inner is None or not inner.text:
            break
        found = FinalAnswer(inner.text, found.form)
    text = found.text.strip()
    return FinalAnswer(text.strip(_MARKUP) or text, found.form)


def _mark(text: str) -> FinalAnswer | None:
    return _structured(text) or _phrase(text)


def _structured(text: str) -> FinalAnswer | None:
    """The last tag, else what ends last of box, JSON field and hashes."""
    opening = _last(_TAG, text)
    if opening is not None:
        start = opening.end()
        closing = _TAG_END.search(text, start)
        return FinalAnswer(text[start : closing.start() if closing else len(text)], "tag")
    found = [mark for mark in (_boxed(text), _json(text), _hashes(text)) if mark is not None]
    return max(found, key=lambda mark: mark[0])[1] if found else None


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    match = None
    for match in pattern.finditer(text):  # noqa: B007  the last one is wanted
        pass
    return match


def _boxed(text: str) -> tuple[int, FinalAnswer] | None:
    mark = _last(_BOXED, text)
    if mark is None:
        return None
    start = mark.end()
    if text[start : start + 1] != "{":
        word = text[start : start + _LONG_WORD].split(maxsplit=1)[:1]
        end = start + len("".join(word))
        return end, FinalAnswer("".join(word).rstrip("$.,"), "boxed")
    depth = 0
    for brace in _BRACE.finditer(text, start):
        depth += 1 if brace.group().endswith("{") else -1
        if depth == 0:
            return brace.end(), FinalAnswer(text[start + 1 : brace.end() - 1], "boxed")
    rest = text[start + 1 :].partition("\n")[0]
    return start + 1 + len(rest), FinalAnswer(rest.rstrip(" $."), "boxed")


def _json(text: str) -> tuple[int, FinalAnswer] | None:
    mark = _last(_JSON, text)
    if mark is None:
        return None
    start = mark.end()
    quoted = _JSON_TEXT.match(text, start)
    if quoted is not None:
        return quoted.end(), FinalAnswer(_unescape(quoted.group(1)), "json")
    try:
        _, end = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        line = text[start:].partition("\n")[0]
        return start + len(line), FinalAnswer(_unescape(line).strip(" ,}\"'`"), "json")
    return end, FinalAnswer(text[start:end], "json")


def _unescape(text: str) -> str:
    r"""Undoes JSON's escapes but leaves LaTeX that was written without them, such as `\frac`."""

    def plain(match: re.Match[str]) -> str:
        if match.group().startswith("\\u"):
            codes = bytes.fromhex(match.group().replace("\\u", ""))
            return codes.decode("utf-16-be", "replace")
        return {"n": "\n", "t": "\t"}.get(match.group()[1], match.group()[1])

    return _ESCAPE.sub(plain, text)


def _hashes(text: str) -> tuple[int, FinalAnswer] | None:
    end = len(text.rstrip(" \t\n`*"))
    for mark in reversed(list(_HASHES.finditer(text))):
        content = mark.group(1).strip()
        if content and (mark.end() >= end or _BARE_NUMBER.fullmatch(content)):
            return mark.end(), FinalAnswer(content, "hashes")
    return None


def _phrase(text: str) -> FinalAnswer | None:
    mark = _last(_PHRASE, text)
    if mark is None:
        return None
    lines = (line.strip() for line in text[mark.end() :].splitlines())
    content = next((line for line in lines if line.strip(_MARKUP)), "")
    return FinalAnswer(_sentence(content), "phrase") if content else None


def _sentence(line: str) -> str:
    """The first sentence of a line; initials and titles end none."""
    for end in _SENTENCE_END.finditer(line):
        if line[end.start() - 1 : end.start()].isdigit() or not _ABBREVIATION.search(
            line[max(end.start() - _TITLE, 0) : end.start()]
        ):
            return line[: end.start() + 1]
    return line
