"""For authors of routers and scorers: the contracts as callable suites, and a table to try on.

from fusionfactory.testing import check_router, check_scorer

def test_contracts() -> None:
    check_router(MyRouter)
    check_scorer(MyScorer)
"""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from fusionfactory.errors import NotFittedError, PolicyError, TaskError
from fusionfactory.policy import SCENARIOS, Policy
from fusionfactory.routers import Router, load_router, save_router
from fusionfactory.table import OutcomeTable
from fusionfactory.types import Query, Score

if TYPE_CHECKING:
    from collections.abc import Callable

    from fusionfactory.scorers import Scorer
    from fusionfactory.types import Estimates

__all__ = ["check_router", "check_scorer", "make_table"]

_TOPICS = {
    "sums": ("add", "minus", "total", "digits", "12", "37", "number", "sum"),
    "code": ("def", "return", "list", "loop", "print", "()", "python", "bug"),
    "facts": ("who", "where", "king", "river", "capital", "year", "born", "city"),
}
_WORDS = ("please", "tell", "me", "about", "the", "a", "of", "and", "in", "short", "long", "now")
_LONG_TEXT = 100_000
_HARD_TEXTS = ("", " \n", "x" * _LONG_TEXT, "añ漢字🙂", "\x00")


def make_table(
    queries: int = 120, arms: int = 3, *, tasks: int = 3, missing: float = 0.0, seed: int = 0
) -> OutcomeTable:
    """A made-up table in which arm i is good at task i and dearer than arm i - 1.

    It is for checking contracts. No figure about routing quality may come from it.

    Args:
        queries: Rows.
        arms: Columns.
        tasks: Topics of the queries, up to three; their words differ.
        missing: Share of the cells without an outcome.
        seed: Of everything.
    """
    rng = np.random.default_rng(seed)
    names = list(_TOPICS)[:tasks]
    task = rng.integers(len(names), size=queries)
    texts = [
        " ".join(rng.permutation([*rng.choice(_WORDS, 5), *rng.choice(_TOPICS[names[t]], 5)]))
        + f" {i}"
        for i, t in enumerate(task)
    ]
    skill = np.where(np.arange(arms) == task[:, None] % arms, 0.8, 0.3)
    quality = (rng.random((queries, arms)) < skill).astype(float)
    tokens = rng.integers(20, 200, size=(queries, arms)).astype(float)
    price = 0.1 * 2.0 ** np.arange(arms)
    hidden = rng.random((queries, arms)) < missing
    row, column = np.nonzero(~hidden)
    long = pl.DataFrame(
        {
            "query_id": [f"{names[task[i]]}:{i}" for i in row],
            "query": [texts[i] for i in row],
            "task": [names[task[i]] for i in row],
            "arm": [f"arm-{j}" for j in column],
            "input_price": price[column],
            "output_price": price[column],
            "quality": quality[row, column],
            "judge": np.clip(quality[row, column] * 0.8 + 0.1, 0, 1),
            "input_tokens": np.full(len(row), 10.0),
            "output_tokens": tokens[row, column],
            "cost_usd": (10.0 + tokens[row, column]) * price[column] * 1e-6,
            "arm_description": [f"Arm {j} is good at {names[j % len(names)]}." for j in column],
        }
    ).with_columns(
        pl.col("arm").alias("model"),
        pl.lit("direct").alias("strategy"),
        *(pl.lit(None, dtype=pl.String).alias(name)
          for name in ("domain", "target", "metric", "split", "description", "response")),
        *(pl.lit(None, dtype=pl.Float64).alias(name) for name in ("latency_s", "logprob")),
    )  # fmt: skip
    return OutcomeTable.from_long(long)


def check_router(make: Callable[[], Router]) -> None:
    """Runs the router contract on the routers that `make` builds.

    Args:
        make: A router class, or any callable that returns an unfitted router.

    Raises:
        AssertionError: A clause of the contract is broken; the message says which.
    """
    table = make_table()
    for clause in (
        _check_unfitted,
        _check_fit,
        _check_refit_forgets,
        _check_batch_equals_single,
        _check_saved_equals_fitted,
        _check_policies,
        _check_hard_texts,
    ):
        clause(make, table)
    for name, odd in {
        "missing cells": make_table(missing=0.3),
        "one arm": make_table(arms=1),
        "one task": make_table(tasks=1),
        "few queries": make_table(8),
        "no costs": _without_costs(table),
    }.items():
        estimates = _fitted(make, odd).estimate(odd.texts[:5])
        _require(estimates.quality.shape == (5, len(odd.arms)), f"{name}: shape of the estimates")
        _require(bool(np.isfinite(estimates.quality).all()), f"{name}: quality is finite")


def check_scorer(
    make: Callable[[], Scorer], *, target: str = "B", right: str = "B", wrong: str = "C"
) -> None:
    """Runs the scorer contract on the scorers that `make` builds.

    Args:
        make: A scorer class, or any callable that returns a scorer.
        target: A target that the scorer can use.
        right: A response that scores 1 against it.
        wrong: A response that scores 0 against it.

    Raises:
        AssertionError: A clause of the contract is broken; the message says which.
    """
    scorer = make()
    for attribute in ("name", "version"):
        value = getattr(scorer, attribute, None)
        _require(isinstance(value, str) and value != "", f"`{attribute}` is a text")
    query = Query("check:1", "Which one?", target=target)
    responses = (right, wrong, *_HARD_TEXTS, *(text + right for text in _HARD_TEXTS))
    scores = [_checked_score(scorer, query, response) for response in responses]
    _require(scores[0].value == 1, "the right response scores 1")
    _require(scores[1].value == 0, "the wrong response scores 0")
    blank = [score.value for score, text in zip(scores, responses, strict=True) if not text.strip()]
    _require(not any(blank), "an empty response scores 0")
    again = [make().score(query, response) for response in responses]
    _require(scores == again, "a scorer is deterministic and holds no state between calls")
    _check_targets(scorer, right)


def _checked_score(scorer: Scorer, query: Query, response: str) -> Score:
    score = scorer.score(query, response)
    _require(score.name == "performance", "the score is named `performance`")
    signed = (score.scorer, score.version) == (scorer.name, scorer.version)
    _require(signed, "the score names its scorer and version")
    _require(score.value == 1 or bool(score.reason), "a score below 1 has a reason")
    return score


def _check_targets(scorer: Scorer, response: str) -> None:
    try:
        scorer.score(Query("check:2", "Which one?"), response)
    except TaskError as error:
        _require("check:2" in str(error), "the error about a missing target names the query")
        return
    _require(condition=False, clause="a query without a target raises TaskError")


def _require(condition: bool, clause: str) -> None:
    if not condition:
        raise AssertionError(clause)


def _fitted(make: Callable[[], Router], table: OutcomeTable) -> Router:
    router = make()
    return router.fit(table, SCENARIOS["performance"] if router.policy_bound else None)


def _same(one: Estimates, other: Estimates, tolerance: float = 0.0) -> bool:
    pairs = ((one.quality, other.quality), (one.cost_usd, other.cost_usd))
    return one.arms == other.arms and all(
        np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True) for a, b in pairs
    )


def _without_costs(table: OutcomeTable) -> OutcomeTable:
    columns = ("cost_usd", "input_tokens", "output_tokens", "input_price", "output_price")
    blank = [pl.lit(None, dtype=pl.Float64).alias(name) for name in columns]
    return OutcomeTable.from_long(table.to_long().with_columns(blank))


def _check_unfitted(make: Callable[[], Router], table: OutcomeTable) -> None:
    router = make()
    _require(not router.is_fitted, "a new router is not fitted")
    try:
        router.estimate(table.texts[:1])
    except NotFittedError:
        return
    _require(condition=False, clause="estimate before fit raises NotFittedError")


def _check_fit(make: Callable[[], Router], table: OutcomeTable) -> None:
    router = make()
    before = dict(router.params())
    policy = SCENARIOS["performance"] if router.policy_bound else None
    _require(router.fit(table, policy) is router, "fit returns self")
    _require(router.params() == before, "fit leaves the parameters as they were given")
    again = _fitted(make, table)
    _require(
        _same(router.estimate(table.texts), again.estimate(table.texts)),
        "the same seed gives the same estimates",
    )


def _check_refit_forgets(make: Callable[[], Router], table: OutcomeTable) -> None:
    other = make_table(60, 2, seed=1)
    router = _fitted(make, other)
    policy = SCENARIOS["performance"] if router.policy_bound else None
    router.fit(table, policy)
    fresh = _fitted(make, table)
    _require(
        _same(router.estimate(table.texts), fresh.estimate(table.texts)),
        "fit forgets an earlier fit",
    )


def _check_batch_equals_single(make: Callable[[], Router], table: OutcomeTable) -> None:
    router = _fitted(make, table)
    batch = router.estimate(table.texts[:10])
    for row in (0, 7):
        single = router.estimate(table.texts[row : row + 1])
        close = np.allclose(batch.quality[row], single.quality[0], rtol=1e-4, atol=1e-5)
        _require(close, "an estimate does not depend on the other queries in the batch")


def _check_saved_equals_fitted(make: Callable[[], Router], table: OutcomeTable) -> None:
    router = _fitted(make, table)
    with tempfile.TemporaryDirectory() as folder:
        save_router(router, Path(folder) / "router")
        loaded = load_router(Path(folder) / "router")
    _require(type(loaded) is type(router), "a saved router loads as its own class")
    _require(
        _same(router.estimate(table.texts), loaded.estimate(table.texts), 1e-6),
        "a saved router estimates as before",
    )


def _check_policies(make: Callable[[], Router], table: OutcomeTable) -> None:
    router = _fitted(make, table)
    if router.policy_bound:
        try:
            router.decide(table.texts, SCENARIOS["cost"])
        except PolicyError:
            return
        _require(condition=False, clause="a bound router refuses another policy with PolicyError")
    if not router.trades_off:
        return
    spend = [
        sum(d.expected_cost_usd for d in router.decide(table.texts, Policy.price(price)))
        for price in (1e-9, 1e-7, 1e-6, 1e-5, 1e-2)
    ]
    _require(
        all(low <= high * (1 + 1e-9) for low, high in itertools.pairwise(spend)),
        "expected spend falls as quality is worth less",
    )


def _check_hard_texts(make: Callable[[], Router], table: OutcomeTable) -> None:
    router = _fitted(make, table)
    texts = list(_HARD_TEXTS)
    decisions = router.decide(texts)
    _require(len(decisions) == len(texts), "one decision per query, however odd")
    _require(len(router.estimate([])) == 0, "no queries, no estimates")
