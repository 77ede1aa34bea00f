"""Steps: sentences of a solution, told as advice and freed of the question's own particulars.

"First, we need to find the height of the second tree: 6 + 5 = 11." becomes "find the height of the
second tree". Whatever cannot be freed of figures, names and literals is no step. Sentences that
state a rule ("density is mass divided by volume") are kept as they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias

from fusionfactory.thoughts.extract.verbs import AMBIGUOUS, GERUNDS, THIRD, VERBS
from fusionfactory.thoughts.leaks.particulars import FIGURE, Particulars
from fusionfactory.thoughts.writing.tidy import sentences

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Kind", "Step", "steps"]

Kind: TypeAlias = Literal["advice", "rule", "fact"]
"""Advice begins with a verb of method, a rule says what holds in general, a fact is the rest."""

_FEWEST_WORDS = 3
_FEWEST_OF_FACTS = 6
_MOST_WORDS = 32
_MOST_OF_ADVICE = 24
_MOST_SEGMENTS = 40

_MARK = re.compile(
    r"^[\s>]*(?:(?:[-*+•]\s+|#{1,6}\s*|\(?\d{1,2}[.)]\s+|[a-z][.)]\s+|\W*step\s*\d{1,2}\W+)+)", re.I
)
_HEADING = re.compile(r"\*\*\s*([^*\n]{3,120}?)\s*:?\s*\*\*\s*:?")
_OWNER = re.compile(r"^(?:[Tt]he\s+)?(?:[A-Z][a-z]+['’]s?\s+)?")
_TOPIC = re.compile(r"(?:the )?[a-z][a-z'-]*(?: [a-z'-]+){1,7}", re.IGNORECASE)
_EMPHASIS = re.compile(
    r"\*{2,3}|(?<!\w)\*(?=\w)|(?<=\w)\*(?![\w\s(])|(?<!\w)__?(?=\w)|(?<=\w)__?(?!\w)"
)
_OPENER = re.compile(
    r"^(?:(?:first(?:ly)?|second(?:ly)?|third(?:ly)?|next|then|now|finally|lastly|after (?:that"
    r"|this)"
    r"|afterwards?|also|and|so|therefore|thus|hence|here|similarly|in addition|as a first step"
    r"|in this (?:case|problem|question)|once we have (?:this|that|these|them)|step \w+"
    r"|to (?:solve|answer|do) (?:this|it|that|the)(?: \w+){0,2})"
    r"(?=[,:]|\s+(?:we|you|i|let|[a-z]+)\b)[,:]?\s*)+",
    re.IGNORECASE,
)
_WE = r"(?:we|you|i|one)"
_ADVERB = r"(?:first|then|now|also|next|simply|just|only|further|again|instead|finally|directly)"
_ASKED = re.compile(
    rf"^(?:{_WE}(?:['’]ll)?(?:\s+{_ADVERB})*(?:\s+(?:will|can|could|should|must|may|would))?"
    rf"(?:\s+{_ADVERB})*(?:\s+(?:need|have|want|try|wish|are going|are able)(?:ed)?\s+to)?"
    rf"(?:\s+{_ADVERB})*\s+|let(?:['’]s|\sus)\s+(?:{_ADVERB}\s+)*"
    r"|(?:the\s+)?(?:\w+\s+)?step\s+is\s+to\s+|it is (?:necessary|important|useful|best) to\s+"
    r"|(?:start|begin) by (?=\w+ing\b))",
    re.IGNORECASE,
)
_INSIDE = re.compile(
    rf"(?<=, ){_WE}(?:['’]ll)?\s+(?:(?:will|can|could|should|must|{_ADVERB})\s+)*"
    rf"(?:(?:need|have|want) to\s+)?(?:{_ADVERB}\s+)*(?=(\w+)\b)",
    re.IGNORECASE,
)
_GERUND = re.compile(rf"^(\w+ing)\b(.*?)(,\s*(?:{_WE}|this|it|the)\b.*|:.*)?$", re.IGNORECASE)
_AND_GERUND = re.compile(r"\band (\w+ing)\b")
_SAYS = re.compile(
    r"\b(?:is|are|was|were|can|could|would|may|might|will|has|have|does|means|leads|gives|results?"
    r"|needs?|helps?|involves?|requires?|allows?|makes?)\b"
)
_PROGRAM = re.compile(
    r"^(?:otherwise, )?(?:(?:the|this)\s+(?:given\s+|python\s+)?(?:function|code|program|method"
    r"|loop)"
    r"(?:\s(?:\w|\w+(?=\()))?(?:\([^)]*\))?|it)\s+(?:(?:is (?:designed|intended|used|supposed)"
    r"|attempts|aims"
    r"|tries) to|will|should|simply|first|then|also|takes [^.]{3,80}?,? (?:and|then))?\s*(\w+)\b",
    re.IGNORECASE,
)
_CHAINED = re.compile(
    r"(?:(?<=, )|(?<=and )|(?<=hen )|(?<=or ))(?:it |(?:the|this) function )?(?:\w+ly )?(\w+s)\b"
)
_QUOTED_NAME = re.compile(r"`([A-Za-z_]\w*(?:\.\w+)*(?:\(\))?)`")
_BRACKETS = re.compile(r"\s+\([^()]*(?:\([^()]*\)[^()]*)*\)")
_RESULT = re.compile(
    r"\s*,?\s*(?:\b(?:(?:which|that|this|and)\s+(?:is|gives|equals|means|leaves|results|yields"
    r"|comes)"
    r"|so|i\.e\.|therefore|thus|hence|because|as follows)\b"
    r"|(?<=,)\s(?:giving|resulting|leaving|yielding)\b|≈|->|→|:|;|—).*$",
    re.IGNORECASE | re.DOTALL,
)
_PHRASE = re.compile(
    r"\s(?:by|from|with|of|to|into|at|over|for)\s+(?:the\s+)?[$€£]?\d[\d,./]*%?"
    r"(?:\s+(?!to\b|and\b|or\b|for\b)[a-z]+)?(?=\s+to\s|\s+and\s|,|\.?$)"
)
_PURPOSE = re.compile(
    r"^(add|subtract|multiply|divide|sum)\b[^,.]*?\d.*?\s(?:to|and)\s"
    r"(find|get|determine|calculate|obtain|compute|know)\s(?!\S*\d)(.+)$",
    re.IGNORECASE,
)
_PURPOSE_VERB = r"(?:find|get|determine|calculate|obtain|compute|express|have|be|solve|show)"
_DANGLING = re.compile(
    r"(?:[\s,]+(?:of|to|by|from|with|at|in|on|for|and|or|the|a|an|is|are|was|were|be|as|than|that"
    r"|which|if|when|where|so|we|you|get|equals?|have|has|each|per|into|its|their|our|between|not"
    r"|using|cost|costs|first|last|next|value|equation|expression|integers?|numbers?|terms?|points?"
    rf"|function|called|named|before|after|under|additional|every|about|both|given|will|would|can"
    rf"|only|modified"
    rf"|input"
    rf"|output|triangle|triangles|base"
    rf"|point|lines?|side|sides|there|because|since|only|such|(?<=to ){_PURPOSE_VERB}))+$",
    re.IGNORECASE,
)
_VAGUE = re.compile(
    r"^(?:if (?:it|this|that|they|so)|it|this|that|these|those|he|she|they|his|her|their|there"
    r"|which|but|because|such|both|all"
    r"|each|however|of|for example|e\.g\.|so|yes|no|not|as|or|otherwise|in (?!general)|given that"
    r"|instead|since|additionally|moreover|furthermore|although|while"
    r"|the (?:first|second|third|function|code|output|input|result|argument|passage|speaker"
    r"|author|text"
    r"|scenario|context|description|sentence)|here|thus)\b",
    re.IGNORECASE,
)
_RULE = re.compile(
    r"\b(?:is|are) (?:defined|given by|calculated|computed|found by|known as|called|equal to the"
    r"|the (?:ratio|product|sum|difference|study|process|rate|amount|number) of|proportional)\b"
    r"|\bformula\b|\btheorem\b|\brefers? to\b|\bin general\b|\bonly if\b"
    r"|\b(?:law|principle|rule|definition) (?:of|states|says)\b|\b(?:occurs?|happens?|holds) when\b"
    r"|^(?:an? |the )?(?:\w+ ){1,4}(?:is|are) (?:an? |the )?(?:type|kind|form|branch|part|measure"
    r"|method|process|statement|set|function|number|technique|state|condition|theory)\b",
    re.IGNORECASE,
)
_SPACES = re.compile(r"\s{2,}")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a solution.

    Attributes:
        text: Without a full stop; advice without a capital.
        place: Of its sentence in the solution, from 0.
        kind: See `Kind`.
    """

    text: str
    place: int
    kind: Kind


def steps(text: str, particulars: Particulars) -> list[Step]:
    """The steps of a solution in order, each once.

    Args:
        text: The reasoning.
        particulars: Of its question.
    """
    found: dict[str, Step] = {}
    for place, segment in enumerate(_segments(text)):
        if place >= _MOST_SEGMENTS:
            break
        step = _step(segment, place, particulars)
        if step is not None:
            found.setdefault(step.text.casefold(), step)
    return list(found.values())


def _segments(text: str) -> Iterator[str]:
    """Headings, list items and sentences."""
    for line in text.splitlines():
        bare = _MARK.sub("", line).strip()
        heading = _HEADING.match(bare)
        if heading:
            topic = _TOPIC.fullmatch(heading[1]) and not (
                _is_verb(_told(heading[1], program=False)) or _SAYS.search(heading[1])
            )
            yield f"work out the {_lowered(_named(heading[1]))}" if topic else heading[1]
            bare = bare[heading.end() :]
        bare = _EMPHASIS.sub("", bare).strip()
        if bare:
            yield from map(partial(_MARK.sub, ""), sentences(bare))


def _step(segment: str, place: int, particulars: Particulars) -> Step | None:
    text = _QUOTED_NAME.sub(r"\1", _OPENER.sub("", segment.strip())).strip()
    told = _told(particulars.without_people(text), program=particulars.program)
    told = _BRACKETS.sub("", told)
    returns = particulars.program and told.startswith("return ")
    if returns or _is_verb(told) or (told[:3].lower() == "to " and _INSIDE_ADVICE.search(told)):
        advice = _lowered(_SPACES.sub(" ", _freed(told)).strip(" .,:;*-"))
        whole = advice[:3] != "to " or _INSIDE_ADVICE.search(advice)
        fits = whole and _fits(advice, _FEWEST_WORDS, _MOST_OF_ADVICE)
        return Step(advice, place, "advice") if fits and not particulars.tied(advice) else None
    text = _SPACES.sub(" ", text).strip(" .,:;*-")
    rule = _RULE.search(text) is not None
    if _VAGUE.match(text) or not _fits(text, _FEWEST_OF_FACTS, _MOST_WORDS):
        return None
    if particulars.tied(text, formula=rule):
        return None
    return Step(text[0].upper() + text[1:], place, "rule" if rule else "fact")


_ACTED_ON = re.compile(
    r"(?:the|an?|all|each|every|any|this|that|these|those|its|their|both|out|up|down|in|for|if|it"
    r"|on|by|whether"
    r"|how|what|which|to|from|into|through|over|with|as|only|two|your|our|her|his|\w+s|like)\b",
    re.IGNORECASE,
)
_INSIDE_ADVICE = re.compile(r", (?:" + "|".join(sorted(VERBS)) + r")\b")


def _named(topic: str) -> str:
    """A heading without its article or the person that it is about."""
    return _OWNER.sub("", topic)


def _is_verb(text: str) -> bool:
    """Whether a text begins with a verb of method in its base form."""
    first, _, rest = text.partition(" ")
    verb = first.lower().rstrip(",:.")
    return verb in VERBS and (verb not in AMBIGUOUS or _ACTED_ON.match(rest) is not None)


def _lowered(text: str) -> str:
    """The text without the capital of its first word, unless that is an abbreviation."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def _told(text: str, *, program: bool) -> str:
    """The sentence as advice, if it says what somebody does or what a program does."""
    asked = _ASKED.match(text)
    if asked:
        rest = text[asked.end() :]
        if _is_verb(rest) or rest.partition(" ")[0].lower() in GERUNDS:
            text = rest
    acts = _PROGRAM.match(text) if program else None
    if acts and acts[1].lower() not in {"take", "takes"}:
        verb = THIRD.get(acts[1].lower(), acts[1].lower())
        if verb in VERBS or verb == "return":
            return verb + _CHAINED.sub(_plain_verb, text[acts.end(1) :])
    if program and text[:3] in {"If ", "For"}:
        return text[:1] + _CHAINED.sub(_plain_verb, text[1:])
    gerund = _GERUND.match(text)
    if gerund and gerund[1].lower() in GERUNDS and (gerund[3] or not _SAYS.search(gerund[2])):
        return GERUNDS[gerund[1].lower()] + _AND_GERUND.sub(_base, gerund[2])
    return _INSIDE.sub(lambda m: "" if m[1].lower() in VERBS else m.group(), text)


def _base(match: re.Match[str]) -> str:
    return f"and {GERUNDS.get(match[1], match[1])}"


def _plain_verb(match: re.Match[str]) -> str:
    return THIRD.get(match[1], match.group())


def _freed(text: str) -> str:
    """Advice without the figures that it was worked out with."""
    purpose = _PURPOSE.match(text)
    if purpose:
        text = f"{purpose[1]} to {purpose[2]} {purpose[3]}"
    text = _RESULT.sub("", _PHRASE.sub("", text))
    figure = FIGURE.search(text)
    if figure is None:
        return _DANGLING_END.sub("", text.strip(" ."))
    start = figure.start()
    cut = text[:start].rstrip("($€£-+[\"'`*/ ")
    if text[start - 1 : start].isalnum():
        cut = cut.rpartition(" ")[0]
    comma = cut.rpartition(",")[0]
    cut = comma if comma.count(" ") >= _FEWEST_WORDS else _DANGLING.sub("", cut)
    return cut if cut.count(" ") >= _FEWEST_WORDS else ""


_DANGLING_END = re.compile(
    rf"(?:[\s,]+(?:of|to|by|from|with|at|and|or|the|a|an|as|which|is|are|{_PURPOSE_VERB}))+$"
)
_BROKEN = re.compile(rf"{_DANGLING_END.pattern}|[.?!]\s|\bhow (?:many|much)(?: \w+)?$")


def _fits(text: str, fewest: int, most: int) -> bool:
    whole = text.count("(") == text.count(")") and not _BROKEN.search(text)
    return whole and fewest <= text.count(" ") + 1 <= most
