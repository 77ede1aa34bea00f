"""Which part of a text is the question: what was put before or after it is left out.

A purification of inputs (Shi et al., 2021, Online adversarial purification) for texts, without a
generative model: of the text and the text shortened at its ends, the one is read that looks most
like a whole training query. What that looks like is learned from training queries alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.encoders import make_encoder
from fusionfactory.estimator import Estimator
from fusionfactory.routers.folds import fold_numbers
from fusionfactory.routers.forest import Forest
from fusionfactory.routers.wording import plain, shortened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.encoders import Encoder
    from fusionfactory.types import FloatArray, IntArray

__all__ = ["Purifier"]

_FOLDS = 2
_MOST_TEXTS = 4000
_SHORTEST, _LONGEST = 2, 10
_ON_ONE_LINE = 1 / 3
_GAINS = np.linspace(0.0, 0.5, 51)


class Purifier(Estimator):
    """Extra trees that tell whole queries from queries with something added or missing.

    They are fitted on training queries (`wording.plain`) as they are, against the same with a run
    of two to ten words of another query after or before them, such runs alone, and queries without
    their first or last sentence. A query is shortened where that gains more than `gain_`: the least
    gain by which no more than `changed` of the training queries are, in forests that did not see
    them.

    Args:
        words: That may be left out at one end.
        changed: Share of the training queries that may be shortened.
        trees: Trees per fold.
        seed: Of the added words, the folds and the trees.
    """

    encoder_: Encoder
    forest_: Forest
    gain_: float

    def __init__(
        self, *, words: int = 16, changed: float = 0.03, trees: int = 30, seed: int = 0
    ) -> None:
        self.words = words
        self.changed = changed
        self.trees = trees
        self.seed = seed

    def fit(self, texts: Sequence[str], groups: IntArray) -> list[str]:
        """Learns what whole queries look like.

        Args:
            texts: n training queries.
            groups: (n,) numbers from 0 of near-duplicates.

        Returns:
            The training queries, purified by what was learned from others.
        """
        self.reset()
        texts = [plain(text) for text in texts]
        self.encoder_ = make_encoder("text").fit(texts)
        folds = fold_numbers(groups, _FOLDS, self.seed)
        rng = np.random.default_rng(self.seed)
        taught = np.zeros(len(texts), dtype=bool)
        taught[rng.permutation(len(texts))[:_MOST_TEXTS]] = True
        forests = []
        options, encoded, starts = self._options(texts)
        whole = np.zeros(len(encoded))
        for fold in np.unique(folds):
            held = folds == fold
            used = np.flatnonzero(taught & ~held)
            forest = self._grown(
                [texts[i] for i in (used if used.size else range(len(texts)))], rng
            )
            own = np.repeat(held, np.diff(starts))
            whole[own] = forest.predict(encoded[own])[:, 0]
            forests.append(forest)
        self.forest_ = Forest.weighted_sum(forests, [1 / len(forests)] * len(forests))
        first, best = _first_and_best(whole, starts)
        gained = whole[best] - whole[first]
        few = [gain for gain in _GAINS if (gained > gain).mean() <= self.changed]
        self.gain_ = float(few[0] if few else np.inf)
        chosen = np.where(gained > self.gain_, best, first)
        return [options[i] for i in chosen]

    def _grown(self, texts: list[str], rng: np.random.Generator) -> Forest:
        """A forest on whole texts against texts that something was done to."""
        others = [texts[i] for i in rng.permutation(len(texts))]
        runs = [_run(text, rng) for text in others]
        before = [_run(text, rng) for text in others[::-1]]
        cut = [rng.choice(parts) for text in texts if (parts := shortened(text, self.words))]
        after = [f"{text}{_joint(rng)}{run}" for text, run in zip(texts, runs, strict=True)]
        ahead = [f"{run}{_joint(rng)}{text}" for text, run in zip(texts, before, strict=True)]
        spoiled = [*after, *ahead, *runs, *map(str, cut)]
        features = self.encoder_.encode([*texts, *spoiled])
        labels = np.repeat([1.0, 0.0], [len(texts), len(spoiled)])
        forest = Forest(trees=self.trees, min_leaf=3, max_features=0.3, seed=self.seed)
        return forest.fit(features, labels[:, None])

    def _options(self, texts: Sequence[str]) -> tuple[list[str], FloatArray, IntArray]:
        """The plain texts, each with its shortened ones after it; their rows; where each begins."""
        parts = [[text, *shortened(text, self.words)] for text in texts]
        starts = np.cumsum([0, *map(len, parts)])
        options = [part for some in parts for part in some]
        return options, self.encoder_.encode(options), starts

    def purify(self, texts: Sequence[str]) -> tuple[list[str], FloatArray]:
        """The questions in the texts, and their (n, d) rows as `encoder_` encodes them.

        Raises:
            NotFittedError: Before `fit`.
            InputError: `texts` is one text, not a sequence of texts.
        """
        self.check_fitted()
        options, encoded, starts = self._options([plain(text) for text in texts])
        whole = self.forest_.predict(encoded)[:, 0]
        first, best = _first_and_best(whole, starts)
        chosen = np.where(whole[best] - whole[first] > self.gain_, best, first)
        return [options[i] for i in chosen], encoded[chosen]


def _run(text: str, rng: np.random.Generator) -> str:
    """Two to ten words in a row."""
    words = text.split()
    count = int(rng.integers(_SHORTEST, _LONGEST + 1))
    first = int(rng.integers(max(len(words) - count, 0) + 1))
    return " ".join(words[first : first + count])


def _joint(rng: np.random.Generator) -> str:
    return ". " if rng.random() < _ON_ONE_LINE else "\n"


def _first_and_best(whole: FloatArray, starts: IntArray) -> tuple[IntArray, IntArray]:
    """(n,) places of the texts as they are, and of what is most like a whole query."""
    first, ends = starts[:-1], starts[1:]
    best = np.array(
        [a + int(whole[a:b].argmax()) for a, b in zip(first, ends, strict=True)], dtype=np.int64
    )
    return np.asarray(first), best
