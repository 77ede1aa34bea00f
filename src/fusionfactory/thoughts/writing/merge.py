"""Near-duplicates: templates of one task and domain that say the same become one."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.errors import ThoughtError
from fusionfactory.scorers.words import words
from fusionfactory.thoughts.template import CRITERIA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fusionfactory.thoughts.template import ThoughtTemplate
    from fusionfactory.types import FloatArray, IntArray

__all__ = ["THRESHOLD", "merge"]

THRESHOLD = 0.95
"""Cosine from which two texts may be the same."""

_BLOCK = 512
_SHARED = 0.5
_EQUAL_WORDS = 0.8
_FEWEST = 4


def merge(
    templates: Sequence[ThoughtTemplate],
    vectors: FloatArray,
    *,
    threshold: float = THRESHOLD,
    gives_away: Callable[[str, ThoughtTemplate], bool] | None = None,
) -> list[ThoughtTemplate]:
    """The templates with one for each group of near-duplicates.

    Two templates are near-duplicates if they are of one task and domain (of one subject, where a
    task has several), the cosine of their texts reaches the threshold, and they share four fifths
    of the words that tell such templates apart: words of more than half of them, such as the task
    and the form of the answer, do not count.
    Equal texts are near-duplicates whatever their vectors. The template with most sources stands
    for its group, of equal ones that with the smallest id; each other joins the first such that it
    resembles, so that no chain of small differences makes one of unlike texts.

    Args:
        templates: In any order.
        vectors: (n, d) embeddings of the templates' texts, of any scale; zero rows resemble none.
        threshold: In (0, 1].
        gives_away: Whether a text holds the answer to a template's question, under which it would
            be shown: the template then does not become one with it. Not asked of its own text.

    Returns:
        In the order of the templates that stand for themselves. Each has the sources and criteria
        of all of its group, its own first, and the ids of all.

    Raises:
        ThoughtError: The vectors are not one finite row per template, or the threshold is none.
    """
    if vectors.ndim != 2 or len(vectors) != len(templates) or not np.isfinite(vectors).all():
        msg = f"have shape {vectors.shape}, expected {len(templates)} rows of finite numbers"
        raise ThoughtError(msg, field="vectors")
    if not 0.0 < threshold <= 1.0:
        msg = f"{threshold} is no cosine to merge from: it must lie in (0, 1]"
        raise ThoughtError(msg, field="threshold")
    groups: dict[tuple[str | None, str | None], list[int]] = {}
    for place, template in enumerate(templates):
        groups.setdefault((template.task, template.domain), []).append(place)
    head: dict[int, list[int]] = {}
    for places in groups.values():
        places.sort(key=lambda p: (-len(templates[p].sources), templates[p].id, p))
        group = [templates[place] for place in places]
        heads = _heads(group, _unit(vectors[places]), threshold, gives_away)
        for place, first in zip(places, heads, strict=True):
            head.setdefault(places[first], []).append(place)
    return [_united([templates[place] for place in head[first]]) for first in sorted(head)]


def _unit(vectors: FloatArray) -> FloatArray:
    rows = vectors.astype(np.float32)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: FloatArray = rows / np.where(norms > 0, norms, 1)
    return unit


def _heads(
    group: list[ThoughtTemplate],
    rows: FloatArray,
    threshold: float,
    gives_away: Callable[[str, ThoughtTemplate], bool] | None,
) -> list[int]:
    """Per template of a group, the best first, the position of the one that it becomes part of."""
    telling = _telling([template.text for template in group])
    texts: dict[str, int] = {}
    heads: list[int] = []
    kept = np.empty(len(group), dtype=np.intp)
    count = 0

    def fits(head: int, template: ThoughtTemplate) -> bool:
        text = group[head].text
        return text == template.text or gives_away is None or not gives_away(text, template)

    for start in range(0, len(group), _BLOCK):
        block = rows[start : start + _BLOCK]
        # float32 sums are off by a few 1e-7, and equal rows must reach a threshold of 1
        earlier = block @ rows[kept[:count]].T >= threshold - 1e-5
        within = block @ block.T >= threshold - 1e-5
        first = count
        for place, template in enumerate(group[start : start + _BLOCK], start):
            near = kept[:first][earlier[place - start]]
            fresh = kept[first:count]
            near = np.concatenate([near, fresh[within[place - start, fresh - start]]])
            head = texts.get(template.text, -1)
            if head < 0 or not fits(head, template):
                equal = _equal(telling, place, near)
                head = next((other for other in equal if fits(other, template)), -1)
            if head < 0:
                head = place
                kept[count] = place
                count += 1
            texts.setdefault(template.text, head)
            heads.append(head)
    return heads


def _telling(texts: list[str]) -> list[Counter[str]]:
    """The words of each text, but for those of most texts where there are enough to tell."""
    counted = [Counter(words(text)) for text in texts]
    spread = Counter(word for found in counted for word in found)
    most = _SHARED * len(texts) if len(texts) >= _FEWEST else len(texts)
    common = {word for word, count in spread.items() if count > most}
    return [Counter({w: n for w, n in found.items() if w not in common}) for found in counted]


def _equal(telling: list[Counter[str]], place: int, near: IntArray) -> Iterator[int]:
    """Those of the near ones that share enough of the words that tell."""
    mine = telling[place]
    for other in near.tolist():
        theirs = telling[other]
        both = (mine | theirs).total()
        if not both or (mine & theirs).total() >= _EQUAL_WORDS * both:
            yield int(other)


def _united(group: list[ThoughtTemplate]) -> ThoughtTemplate:
    """The first template, with the sources and criteria of all."""
    notes = tuple(template.id for template in group)
    if len(group) == 1:
        return replace(group[0], notes=notes)
    sources = dict.fromkeys(source for template in group for source in template.sources)
    criteria = {name for template in group for name in template.criteria}
    ordered = [*dict.fromkeys(group[0].criteria), *(c for c in CRITERIA if c in criteria)]
    rest = sorted(criteria - set(ordered))
    united = tuple(dict.fromkeys([*ordered, *rest]))
    return replace(group[0], sources=tuple(sources), criteria=united, notes=notes)
