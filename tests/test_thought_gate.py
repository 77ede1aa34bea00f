"""The gate: known gains are found, noise is left alone, and nothing is learnt on test queries."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from fusionfactory.errors import ThoughtError
from fusionfactory.thoughts.gating.evidence import LEAST_SPREAD, NONE, Evidence, Trials, paired_mean
from fusionfactory.thoughts.gating.gate import RISK, Gate, Rule
from fusionfactory.thoughts.gating.nearness import near_rules
from gated_table import MODEL, TASKS, TOKENS, gated_table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fusionfactory.types import FloatArray

NAN = float("nan")
THOUGHT = (0.3, -0.2, 0.25, 0.0)
"""True gains on sums, facts, texts and quiz."""


def fitted(table: Any, *candidates: str, **options: Any) -> Gate:  # noqa: ANN401
    return Gate.fit(table, model=MODEL, candidates=candidates or ("thought:3",), **options)


def used(gate: Gate) -> dict[str, str]:
    return {task: rule.strategy for task, rule in gate.rules.items()}


# What is decided


def test_a_known_truth_is_found() -> None:
    gate = fitted(gated_table({"thought:3": THOUGHT}, train=150))
    assert list(used(gate)) == sorted(TASKS)
    assert [used(gate)[task] for task in TASKS] == ["thought:3", "direct", "thought:3", "direct"]
    for task, gain in zip(TASKS, THOUGHT, strict=True):
        found = gate.rules[task].evidence["thought:3"]
        assert found.gain == pytest.approx(gain, abs=3 * found.error)
        assert found.queries == 150
        assert found.cost_usd == pytest.approx(TOKENS["thought:3"] * 1e-6)


def test_noise_stays_at_the_baseline() -> None:
    """Three candidates without any gain, 300 gates on 6 tasks of 30 queries."""
    rng = np.random.default_rng(0)
    tasks = np.repeat(np.arange(6), 30)
    left = anywhere = 0
    margin = Gate(MODEL, "direct", ("a", "b", "c"), RISK, {}, Rule("direct", {})).margin
    for _ in range(300):
        draws = rng.random((180, 3))
        noise = (draws < 0.15).astype(float) - (draws > 0.85)
        best = Trials(noise, tasks, np.arange(180), 6).weigh().best(margin, np.full((7, 3), NAN))
        left += (best[:6] != NONE).sum()
        anywhere += (best != NONE).any()
    assert left / (300 * 6) < 0.05
    assert anywhere / 300 < 0.25


def test_nothing_at_all_to_tell_them_apart_is_the_baseline() -> None:
    table = gated_table({"thought:3": (0, 0, 0, 0), "think": (0, 0, 0, 0)}, discord=0.0)
    gate = fitted(table, "thought:3", "think")
    assert set(used(gate).values()) == {gate.other.strategy} == {"direct"}


def test_a_harmful_candidate_is_never_used() -> None:
    gate = fitted(gated_table({"thought:3": (-0.3, -0.3, -0.3, -0.3)}))
    assert set(used(gate).values()) == {gate.other.strategy} == {"direct"}


def test_the_better_candidate_of_a_task_is_used() -> None:
    gains = {"thought:3": (0.35, 0, 0, 0), "think": (0.1, 0.35, 0, 0)}
    gate = fitted(gated_table(gains, train=200), "thought:3", "think")
    assert [used(gate)[task] for task in TASKS] == ["thought:3", "think", "direct", "direct"]


def test_of_equally_good_candidates_the_cheaper_is_used() -> None:
    table = gated_table({"few-shot:3": THOUGHT, "thought:3": THOUGHT}, train=200)
    table.quality[:, 2] = table.quality[:, 1]
    assert used(fitted(table, "few-shot:3", "thought:3"))["sums"] == "thought:3"
    costless = replace(table, cost_usd=np.full_like(table.cost_usd, NAN))
    assert used(fitted(costless, "few-shot:3", "thought:3"))["sums"] == "few-shot:3"


def test_more_candidates_ask_for_a_wider_margin() -> None:
    one = Gate(MODEL, "direct", ("a",), RISK, {}, Rule("direct", {}))
    assert one.margin == pytest.approx(1.282, abs=1e-3)
    assert replace(one, candidates=("a", "b", "c")).margin == pytest.approx(1.818, abs=1e-3)
    assert replace(one, risk=0.01).margin == pytest.approx(2.326, abs=1e-3)


def test_few_queries_are_drawn_to_the_other_tasks() -> None:
    rng = np.random.default_rng(2)
    sizes = (200, 200, 200, 4)
    tasks = np.repeat(np.arange(4), sizes)
    values = (rng.random(604) < 0.3).astype(float)
    values[-4:] = 0.0
    found = Trials(values[:, None], tasks, np.arange(604), 4).weigh()
    assert found.queries[:, 0].tolist() == [200, 200, 200, 4, 604]
    assert 0.1 < found.gain[3, 0] < found.gain[:3, 0].min()
    assert found.error[3, 0] > found.error[:3, 0].max()


def test_an_unknown_task_is_decided_by_all_tasks() -> None:
    everywhere = fitted(gated_table({"thought:3": (0.3, 0.3, 0.3, 0.3)}, train=200))
    assert everywhere.decide(["never seen", None]) == ["thought:3", "thought:3"]
    mixed = fitted(gated_table({"thought:3": THOUGHT}, train=200))
    assert mixed.decide(["never seen", "sums", "facts"]) == ["direct", "thought:3", "direct"]
    assert mixed.other.evidence["thought:3"].error > LEAST_SPREAD


def test_queries_without_a_task_are_a_task_of_their_own() -> None:
    table = gated_table({"thought:3": (0.3, 0.3, 0.3, 0.3)})
    nobody = pl.lit(None, pl.String).alias("task")
    gate = fitted(replace(table, queries=table.queries.with_columns(nobody)))
    assert list(gate.rules) == [""]
    assert gate.decide([None, ""]) == ["thought:3", "thought:3"]


# What is learnt on


def test_test_queries_are_not_looked_at() -> None:
    table = gated_table({"thought:3": THOUGHT})
    similarity = np.random.default_rng(0).random(len(table))
    tested = (table.queries["split"] == "test").to_numpy()
    changed = table.quality.copy()
    changed[tested] = 1 - changed[tested]
    turned = np.where(tested, 1 - similarity, similarity)
    other = replace(table, quality=changed)
    assert fitted(table, similarity=similarity) == fitted(other, similarity=turned)


def test_the_order_of_rows_and_arms_changes_nothing() -> None:
    table = gated_table({"thought:3": THOUGHT, "think": (0.1, 0, 0, 0.1)})
    shuffled = table.rows(np.random.default_rng(1).permutation(len(table)))
    shuffled = shuffled.select_arms(list(reversed(table.arm_names)))
    one, other = fitted(table, "thought:3", "think"), fitted(shuffled, "thought:3", "think")
    assert used(one) == used(other)
    for task, rule in one.rules.items():
        found = other.rules[task].evidence["think"]
        assert found.gain == pytest.approx(rule.evidence["think"].gain)


def test_a_missing_cell_stays_missing() -> None:
    table = gated_table({"thought:3": THOUGHT})
    gappy = table.quality.copy()
    gappy[::2, 1] = NAN
    found = fitted(replace(table, quality=gappy)).rules["sums"].evidence["thought:3"]
    whole = fitted(table.rows(np.arange(1, len(table), 2))).rules["sums"].evidence["thought:3"]
    assert found.gain == pytest.approx(whole.gain)
    assert found.queries == whole.queries == 50


def test_a_task_that_no_candidate_was_tried_on_follows_the_others() -> None:
    table = gated_table({"thought:3": (0.3, 0.3, 0.3, 0.3)}, train=200)
    table.quality[np.asarray(table.tasks) == "quiz", 1] = NAN
    gate = fitted(table)
    assert gate.rules["quiz"].evidence["thought:3"].queries == 0
    assert gate.rules["quiz"].evidence["thought:3"].gain == pytest.approx(
        gate.other.evidence["thought:3"].gain
    )


def test_near_duplicates_count_once() -> None:
    values = np.array([1.0, 1.0, 0.0, 0.0])
    apart = paired_mean(values, np.arange(4))
    together = paired_mean(values, np.array([0, 0, 1, 2]))
    assert (apart[2], together[2]) == (4, 3)
    assert together[0] == pytest.approx(1 / 5)


def test_few_queries_that_agree_are_not_certain() -> None:
    mean, variance, queries = paired_mean(np.ones(3), np.arange(3))
    assert queries == 3
    assert mean == pytest.approx(0.6)
    assert variance == pytest.approx((4 / 5 - 0.36) / 5)
    assert paired_mean(np.full(3, NAN), np.arange(3)) == (0.0, float("inf"), 0)


def test_the_posterior_covers_the_truth() -> None:
    """Gains drawn from the model's own prior lie in nine of ten 90 % intervals."""
    rng = np.random.default_rng(4)
    tasks = np.repeat(np.arange(6), 60)
    hits = []
    for _ in range(200):
        gains = rng.normal(0, LEAST_SPREAD) + rng.normal(0, LEAST_SPREAD, 6)
        win = (0.3 + gains[tasks]) / 2
        draws = rng.random(360)
        values = (draws < win).astype(float) - (draws > 1 - (0.3 - win))
        found = Trials(values[:, None], tasks, np.arange(360), 6).weigh()
        hits.append(np.abs(found.gain[:6, 0] - gains) < 1.645 * found.error[:6, 0])
    assert np.mean(hits) == pytest.approx(0.9, abs=0.03)


def test_the_best_is_named_by_gain_and_by_price_within_half_a_point() -> None:
    gain = np.array([[0.10, 0.104, 0.2], [0.10, 0.12, 0.05], [0.0, -0.1, 0.01]])
    error = np.array([[0.01, 0.01, 0.2], [0.01] * 3, [0.02] * 3])
    costs = np.array([[1.0, 2.0, 0.1], [1.0, 2.0, 0.1], [1.0, 1.0, 1.0]])
    found = Evidence(gain, error, np.ones((3, 3), dtype=np.int64)).best(1.0, costs)
    assert found.tolist() == [0, 1, NONE]


# Similarity


def near_table(rule: Callable[[FloatArray], FloatArray], seed: int = 0) -> tuple[Any, FloatArray]:
    """A table whose gain on sums depends on similarity, and the similarities."""
    table = gated_table({"thought:3": (0, 0, 0, 0)}, train=200, seed=seed)
    rng = np.random.default_rng(seed + 100)
    similarity = rng.random(len(table))
    sums = np.asarray(table.tasks) == "sums"
    gain = rule(similarity)
    base = table.quality[:, 0]
    better = np.where(rng.random(len(table)) < np.abs(gain), gain > 0, base)
    table.quality[:, 1] = np.where(sums, better, base)
    return table, similarity


def test_a_threshold_of_similarity_is_found_where_it_helps() -> None:
    table, similarity = near_table(lambda s: np.where(s > 0.6, 0.8, -0.7))
    rule = (gate := fitted(table, similarity=similarity)).rules["sums"]
    assert (rule.strategy, rule.near) == ("direct", "thought:3")
    assert rule.threshold == pytest.approx(0.6, abs=0.05)
    decided = gate.decide(["sums", "sums", "sums", "facts"], np.array([0.9, 0.2, NAN, 0.9]))
    assert decided == ["thought:3", "direct", "direct", "direct"]
    assert gate.decide(["sums"]) == ["direct"]
    assert all(gate.rules[task].near is None for task in TASKS if task != "sums")


def test_no_threshold_where_similarity_tells_nothing() -> None:
    made = [near_table(lambda s: np.full(len(s), 0.4), seed) for seed in range(10)]
    found = [fitted(table, similarity=similarity) for table, similarity in made]
    assert all(gate.rules["sums"].strategy == "thought:3" for gate in found)
    assert not any(rule.near for gate in found for rule in gate.rules.values())


def test_no_threshold_for_unknown_tasks() -> None:
    """Where similarity tells tasks apart it must not decide for one that was never seen."""
    table = gated_table({"thought:3": (0.4, -0.4, 0.4, -0.4)}, train=200)
    helped = np.isin(table.tasks, ["sums", "texts"])
    similarity = np.where(helped, 0.9, 0.1) + np.linspace(0, 0.05, len(table))
    gate = fitted(table, similarity=similarity)
    assert gate.other.near is None
    assert gate.decide(["never seen", "sums"], np.array([0.9, 0.9])) == ["direct", "thought:3"]


def test_a_candidate_that_most_queries_miss_gets_no_threshold() -> None:
    near = np.linspace(0, 1, 200)
    gain = np.where(near >= 0.5, 1.0, -1.0)
    missed = np.where(np.arange(200) % 10 == 0, gain, np.nan)
    nothing = np.zeros(200, dtype=np.int64)

    def rule(*columns: FloatArray) -> int | None:
        trials = Trials(np.stack(columns, axis=1), nothing, np.arange(200), 1)
        (found,) = near_rules(trials, near, np.full((2, len(columns)), np.nan), 1.3)
        return found.candidate if found else None

    assert rule(missed) is None
    assert rule(gain) == 0
    assert rule(2 * missed, gain) == 1


def test_no_threshold_on_few_queries() -> None:
    table, similarity = near_table(lambda s: np.where(s > 0.6, 0.8, -0.7))
    train = np.nonzero((table.queries["split"] == "train").to_numpy())[0]
    few = np.setdiff1d(np.arange(len(table)), train[30:200])
    gate = fitted(table.rows(few), similarity=similarity[few])
    assert gate.rules["sums"].near is None


# Files


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    gate = fitted(gated_table({"thought:3": THOUGHT}))
    gate.save(tmp_path / "gate.json")
    return tmp_path / "gate.json"


def test_a_saved_gate_is_the_same(tmp_path: Path) -> None:
    table, similarity = near_table(lambda s: np.where(s > 0.6, 0.8, -0.7))
    gate = fitted(table, similarity=similarity)
    gate.save(tmp_path / "gate.json")
    assert Gate.load(tmp_path / "gate.json") == gate


def change(path: Path, field: str, value: object) -> None:
    content = json.loads(path.read_text())
    *parents, last = field.split(".")
    part = content
    for parent in parents:
        part = part[parent]
    part[last] = value
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("version", 2, "field 'version': version 2 of a gate; this program reads 1"),
        ("risk", 2, "field 'risk': Input should be less than 1"),
        ("candidates", [], "field 'candidates': Tuple should have at least 1 item"),
        ("other", None, "field 'other': Input should be"),
        ("rules.sums.evidence.thought:3.error", -1, "field 'rules.sums.evidence.thought:3.error'"),
        ("rules.sums.evidence.thought:3.gain", NAN, "Input should be a finite number"),
        ("rules.sums.strategy", "fly", "field 'rules.sums': uses 'fly', which is none of direct"),
        ("other.near", "fly", "field 'other': uses 'fly'"),
    ],
)
def test_a_bad_file_is_named_with_its_field(
    saved: Path, field: str, value: object, message: str
) -> None:
    change(saved, field, value)
    with pytest.raises(ThoughtError, match=message.replace("(", r"\(")) as error:
        Gate.load(saved)
    assert error.value.file == saved


@pytest.mark.parametrize("text", ["", "[]", "{", '"gate"'])
def test_a_file_that_is_no_gate(saved: Path, text: str) -> None:
    saved.write_text(text)
    with pytest.raises(ThoughtError, match=r"gate\.json"):
        Gate.load(saved)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ThoughtError, match="no such file: fit a gate first"):
        Gate.load(tmp_path / "gate.json")


# Wrong use


def test_wrong_use_says_what_was_expected() -> None:
    table = gated_table({"thought:3": THOUGHT})
    with pytest.raises(ThoughtError, match=r"no arm 'm\|thought:9'; the table has m, m\|thought:3"):
        fitted(table, "thought:9")
    with pytest.raises(ThoughtError, match="there is nothing to choose but direct"):
        Gate.fit(table, model=MODEL, candidates=())
    with pytest.raises(ThoughtError, match=r"2 is no risk"):
        fitted(table, risk=2)
    tested = table.rows((table.queries["split"] == "test").to_numpy())
    with pytest.raises(ThoughtError, match="collect and score train questions for m too"):
        fitted(tested)
