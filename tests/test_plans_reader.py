"""The reader: what a response's words and length tell of it being right."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fusionfactory.answers import AnswerGroups
from fusionfactory.errors import NotFittedError
from fusionfactory.plans.competence import Outlook
from fusionfactory.plans.reader import Reader

if TYPE_CHECKING:
    from fusionfactory.types import FloatArray, IntArray


def read(
    n: int = 400, seed: int = 0, known: float = 1.0
) -> tuple[Outlook, AnswerGroups, FloatArray, IntArray]:
    """Two arms that hedge where they are wrong, mostly; nothing else tells."""
    rng = np.random.default_rng(seed)
    right = rng.random((n, 2)) < 0.5
    hedged = rng.random((n, 2)) < np.where(right, 0.1, 0.8)
    texts = [
        f"{'perhaps it is' if hedge else 'it is'} {rng.integers(100)}" for hedge in hedged.ravel()
    ]
    groups = np.where(right, 0, np.array([[1, 2]]))
    outlook = Outlook(np.zeros((n, 2)), np.ones((n, 1)), np.zeros((n, 2)))
    quality = np.where(rng.random((n, 2)) < known, right.astype(float), np.nan)
    return outlook, AnswerGroups.of(groups, texts), quality, np.arange(n) % 5


def apart(odds: FloatArray, right: FloatArray) -> float:
    """Share of pairs of a right and a wrong answer that are in the right order."""
    good, bad = odds[right > 0.5], odds[right <= 0.5]
    return float((good[:, None] > bad[None, :]).mean())


def test_words_tell_right_from_wrong_out_of_fold_and_on_new_queries() -> None:
    outlook, answers, quality, folds = read()
    reader = Reader()
    inside = reader.fit(outlook, answers, quality, folds)
    assert apart(inside, quality) > 0.8
    outlook, answers, quality, _ = read(seed=1)
    odds = reader.predict(outlook, answers, np.arange(2))
    assert apart(odds, quality) > 0.8
    chance = 1 / (1 + np.exp(-odds))
    assert abs(chance.mean() - quality.mean()) < 0.05


def test_what_it_says_of_a_fold_does_not_come_from_that_fold() -> None:
    outlook, answers, quality, folds = read()
    turned = quality.copy()
    turned[folds == 2] = 1 - turned[folds == 2]
    plain = Reader().fit(outlook, answers, quality, folds)
    other = Reader().fit(outlook, answers, turned, folds)
    assert np.allclose(plain[folds == 2], other[folds == 2])
    assert not np.allclose(plain[folds == 1], other[folds == 1])


def test_an_arm_is_read_alike_alone_and_among_others() -> None:
    outlook, answers, quality, folds = read()
    reader = Reader()
    reader.fit(outlook, answers, quality, folds)
    both = reader.predict(outlook, answers, np.arange(2))
    second = np.array([1])
    alone = reader.predict(outlook.columns(second), answers.columns(second), second)
    assert np.allclose(alone[:, 0], both[:, 1])


def test_missing_outcomes_and_silent_arms_count_for_nothing() -> None:
    outlook, answers, quality, folds = read(known=0.6)
    silent = replace(answers, groups=answers.groups.copy(), lengths=answers.lengths.copy())
    silent.groups[:, 1] = -1
    silent.lengths[:, 1] = np.nan
    found = Reader().fit(outlook, silent, quality, folds)
    assert (found[:, 1] == 0).all()
    assert np.isfinite(found).all()
    whole = np.nan_to_num(quality)
    assert apart(found[:, 0], whole[:, 0]) > 0.6


def test_before_fit_it_refuses() -> None:
    outlook, answers, _, _ = read(20)
    with pytest.raises(NotFittedError, match="fit"):
        Reader().predict(outlook, answers, np.arange(2))


def unsure(n: int = 400, seed: int = 0) -> tuple[Outlook, AnswerGroups, FloatArray, IntArray]:
    """Two arms that say the same whether they are right or not, and are less sure where not."""
    rng = np.random.default_rng(seed)
    right = rng.random((n, 2)) < 0.5
    sure = -rng.gamma(2.0, np.where(right, 0.05, 0.15))
    groups = np.where(right, 0, np.array([[1, 2]]))
    outlook = Outlook(np.zeros((n, 2)), np.ones((n, 1)), np.zeros((n, 2)))
    answers = AnswerGroups.of(groups, ["it is so"] * (2 * n), sure)
    return outlook, answers, right.astype(float), np.arange(n) % 5


def test_log_probabilities_tell_right_from_wrong_where_nothing_else_does() -> None:
    outlook, answers, quality, folds = unsure()
    silent = replace(answers, logprobs=np.full((400, 2), np.nan))
    assert 0.3 < apart(Reader().fit(outlook, silent, quality, folds), quality) < 0.6
    reader = Reader()
    assert apart(reader.fit(outlook, answers, quality, folds), quality) > 0.75
    outlook, answers, quality, _ = unsure(seed=1)
    odds = reader.predict(outlook, answers, np.arange(2))
    assert apart(odds, quality) > 0.75
    chance = 1 / (1 + np.exp(-odds))
    assert abs(chance.mean() - quality.mean()) < 0.05


def test_unknown_log_probabilities_change_nothing() -> None:
    outlook, answers, quality, folds = read()
    plain, told = Reader(), Reader()
    only = np.full((400, 2), np.nan)
    before = plain.fit(outlook, answers, quality, folds)
    only[:, 1] = -0.25
    after = told.fit(outlook, replace(answers, logprobs=only), quality, folds)
    assert np.allclose(before, after, atol=1e-3)
    assert plain.arms_.shape == (2, 3)
    known = told.predict(outlook, replace(answers, logprobs=only), np.arange(2))
    assert np.allclose(known, told.predict(outlook, answers, np.arange(2)))


def test_an_arm_that_tells_it_now_and_then_is_read_both_ways() -> None:
    outlook, answers, quality, folds = unsure(800)
    hidden = np.random.default_rng(2).random((800, 2)) < 0.5
    partly = replace(answers, logprobs=np.where(hidden, np.nan, answers.logprobs))
    odds = Reader().fit(outlook, partly, quality, folds)
    assert apart(odds[~hidden], quality[~hidden]) > 0.75
    assert np.abs(odds[hidden]).max() < 0.5
