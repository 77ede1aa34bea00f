"""Templates against controls: the same queries for all, paired intervals, and claims checked."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from fusionfactory.errors import ThoughtError
from fusionfactory.table import OutcomeTable
from fusionfactory.thoughts.gating.comparison import KIND, compare
from fusionfactory.thoughts.gating.ground import label, models_of
from gated_table import MODEL, TASKS, TOKENS, gated_table

if TYPE_CHECKING:
    from collections.abc import Mapping

NAN = float("nan")
GAINS = {
    "think": (0.1, 0, 0, 0),
    "format": (0, 0.05, 0.1, 0),
    "few-shot:3": (0.2, 0, 0.2, 0),
    "random:3": (0, -0.1, 0, 0),
    "thought:3": (0.3, -0.3, 0.25, 0),
    "thought-judge:3": (0.25, -0.3, 0.25, 0),
}
"""True gains on sums, facts, texts and quiz."""


@pytest.fixture(scope="module")
def table() -> OutcomeTable:
    return gated_table(GAINS, train=200)


@pytest.fixture(scope="module")
def found(table: OutcomeTable) -> dict[str, Any]:
    (model,) = compare(table, draws=300).document["models"]
    assert isinstance(model, dict)
    return model


def quick(table: OutcomeTable, **options: Any) -> dict[str, Any]:  # noqa: ANN401
    """The first model's part of a comparison with few draws."""
    model = compare(table, draws=50, **options).document["models"][0]
    assert isinstance(model, dict)
    return model


def rows(found: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in found["rows"]}


def claims(found: Mapping[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(made["row"], made["claim"]): made for made in found["statements"]}


def of_test(table: OutcomeTable) -> OutcomeTable:
    return table.rows((table.queries["split"] == "test").to_numpy())


# Rows


def test_rows_come_in_one_order_whatever_the_tables(table: OutcomeTable) -> None:
    shuffled = table.select_arms(list(reversed(table.arm_names)))
    assert [row["label"] for row in quick(shuffled)["rows"]] == [
        "zero-shot", "think", "format-only", "few-shot, 3", "random templates, 3", "thought, 3",
        "thought by judge, 3", "gated", "gated-any",
    ]  # fmt: skip


def test_figures_are_those_of_the_test_queries(found: dict[str, Any], table: OutcomeTable) -> None:
    test = of_test(table)
    for column, strategy in enumerate(["direct", *GAINS]):
        row = rows(found)[strategy]
        for task, part in zip(found["tasks"], row["tasks"], strict=True):
            mine = test.quality[test.tasks == task["name"]]
            assert part["quality"] == pytest.approx(mine[:, column].mean())
            gain = (mine[:, column] - mine[:, 0]).mean()
            assert part["against"]["direct"]["gain"] == pytest.approx(gain)
        assert row["input_tokens"] == TOKENS[strategy]
        assert row["cost_usd"] == pytest.approx(TOKENS[strategy] * 1e-6)


def test_domains_and_the_average_are_means_over_tasks(table: OutcomeTable) -> None:
    keep = np.ones(len(table), dtype=bool)
    keep[np.nonzero(table.tasks == "texts")[0][-60:]] = False
    found = quick(table.rows(keep))
    assert [(d["name"], d["tasks"], d["queries"]) for d in found["domains"]] == [
        ("world", 1, 100),
        ("reading", 2, 140),
        ("math", 1, 100),
    ]
    for row in found["rows"]:
        by_task = {
            t["name"]: p["quality"] for t, p in zip(found["tasks"], row["tasks"], strict=True)
        }
        reading = (by_task["quiz"] + by_task["texts"]) / 2
        assert row["domains"][1]["quality"] == pytest.approx(reading)
        assert row["quality"] == pytest.approx(np.mean(list(by_task.values())))


def test_intervals_hold_the_gain_and_narrow_with_more_tasks(found: dict[str, Any]) -> None:
    for row in found["rows"]:
        for name, figure in row["against"].items():
            low, high = figure["ci95"]
            assert low <= figure["gain"] <= high
            widths = [np.diff(part["against"][name]["ci95"])[0] for part in row["tasks"]]
            assert high - low <= max(widths)
    assert rows(found)["direct"]["against"]["direct"] == {"gain": 0.0, "ci95": [0.0, 0.0]}
    assert rows(found)["format"]["against"]["format"] == {"gain": 0.0, "ci95": [0.0, 0.0]}


def test_the_worst_task_is_named(found: dict[str, Any]) -> None:
    worst = rows(found)["thought:3"]["worst_task"]
    assert worst["name"] == "facts"
    place = [task["name"] for task in found["tasks"]].index("facts")
    figure = rows(found)["thought:3"]["tasks"][place]["against"]["direct"]
    assert {key: worst[key] for key in figure} == figure


def test_unknown_costs_are_null(table: OutcomeTable) -> None:
    unknown = np.full_like(table.quality, NAN)
    found = quick(replace(table, cost_usd=unknown, input_tokens=unknown))
    assert {row["cost_usd"] for row in found["rows"]} == {None}
    assert {row["input_tokens"] for row in found["rows"]} == {None}


def test_one_query_alone_has_no_interval(table: OutcomeTable) -> None:
    test = np.nonzero((table.queries["split"] == "test").to_numpy())[0]
    one = test[table.tasks[test] == "quiz"][1:]
    found = quick(table.rows(np.setdiff1d(np.arange(len(table)), one)))
    place = [task["name"] for task in found["tasks"]].index("quiz")
    row = rows(found)["thought:3"]
    assert row["tasks"][place]["against"]["direct"]["ci95"] == [None, None]
    assert row["against"]["direct"]["ci95"] == [None, None]
    assert row["worst_task"]["name"] == "facts"


# Gates


def test_gates_take_the_cells_of_what_they_decide_for(
    found: dict[str, Any], table: OutcomeTable
) -> None:
    made = compare(table, draws=50)
    gate = made.gates[MODEL]["gated"]
    assert gate.candidates == ("thought:3", "thought-judge:3")
    assert made.gates[MODEL]["gated-any"].candidates[:2] == ("think", "format")
    row = rows(found)["gated"]
    for task, part in zip(found["tasks"], row["tasks"], strict=True):
        same = rows(found)[gate.rules[task["name"]].strategy]
        assert part == same["tasks"][found["tasks"].index(task)]
    assert [rule["task"] for rule in found["gates"]["gated"]["rules"]] == sorted(TASKS)
    assert gate.rules["facts"].strategy == "direct"
    assert gate.rules["sums"].strategy.startswith("thought")
    used = [TOKENS[gate.rules[task].strategy] for task in TASKS]
    assert row["input_tokens"] == pytest.approx(np.mean(used))


def test_gates_learn_on_train_and_are_shown_on_test(table: OutcomeTable) -> None:
    turned = table.quality.copy()
    test = (table.queries["split"] == "test").to_numpy()
    turned[test] = 1 - turned[test]
    other = replace(table, quality=turned)
    assert compare(table, draws=50).gates == compare(other, draws=50).gates
    first, second = rows(quick(table))["gated"], rows(quick(other))["gated"]
    assert second["quality"] == pytest.approx(1 - first["quality"])


def test_without_train_outcomes_there_is_no_gate(table: OutcomeTable) -> None:
    found = quick(of_test(table))
    assert "gated" not in rows(found)
    assert found["arms_left_out"]["gated"] == "no thought arm is scored on train queries"
    assert found["gates"] == {}
    assert found["statements"] == []
    assert found["lead"] == "thought:3"


def test_similarity_reaches_the_gates(table: OutcomeTable) -> None:
    rng = np.random.default_rng(0)
    similarity = rng.random(len(table))
    quality = table.quality.copy()
    facts = table.tasks == "facts"
    quality[facts, 5] = np.where(similarity[facts] > 0.5, 1, 0)
    made = compare(replace(table, quality=quality), similarity=similarity, draws=50)
    rule = made.gates[MODEL]["gated"].rules["facts"]
    assert rule.near == "thought:3"
    assert rule.threshold == pytest.approx(0.5, abs=0.1)
    (model,) = made.document["models"]
    place = [task["name"] for task in model["tasks"]].index("facts")
    assert rows(model)["gated"]["tasks"][place]["against"]["direct"]["gain"] > 0.15
    assert made.document["facts"]["similarity"] is True


# What is claimed


def test_claims_that_hold(found: dict[str, Any]) -> None:
    made = claims(found)
    below = made["gated", "never-below-zero-shot"]
    assert below["holds"] is True
    assert below["words"] == (
        "gated is on no task below zero-shot by more than half a point; its worst is facts, 0.0 "
        "points (95 % interval 0.0 to 0.0) on 100 queries."
    )
    above = made["gated", "above-format-only"]
    assert above["holds"] is True
    assert above["words"].startswith("gated is above format-only on average: +")
    assert above["words"].endswith(", clear of chance.")
    assert set(made) == {(row, claim) for row in ("gated", "gated-any")
                         for claim in ("never-below-zero-shot", "above-format-only")}  # fmt: skip


def test_claims_that_do_not_hold(table: OutcomeTable) -> None:
    quality = table.quality.copy()
    test = (table.queries["split"] == "test").to_numpy()
    quality[test, 5:] = 0.0
    made = claims(quick(replace(table, quality=quality)))
    below = made["gated", "never-below-zero-shot"]
    assert below["holds"] is False
    assert "below zero-shot by more than half a point on 2 of 4 tasks (sums" in below["words"]
    assert "points (95 % interval −" in below["words"]
    above = made["gated", "above-format-only"]
    assert above["holds"] is False
    assert above["words"].startswith("gated is not above format-only on average: −")


def test_a_loss_of_half_a_point_is_allowed() -> None:
    table = gated_table({"thought:3": (0.4, 0.4, 0.4, 0.4)}, train=100, test=200)
    quality = table.quality.copy()
    test = np.nonzero((table.queries["split"] == "test").to_numpy())[0]
    quality[test] = 1.0
    sums = test[table.tasks[test] == "sums"]
    for lost, holds in ((1, True), (2, False)):
        quality[sums[:lost], 1] = 0.0
        made = claims(quick(replace(table, quality=quality)))
        assert made["gated", "never-below-zero-shot"]["holds"] is holds


def test_without_format_only_its_claim_is_open() -> None:
    made = claims(quick(gated_table({"thought:3": (0.3, 0.3, 0.3, 0.3)})))
    assert made["gated", "above-format-only"] == {
        "row": "gated",
        "claim": "above-format-only",
        "holds": None,
        "words": "gated has no format-only control to be held against.",
    }


# Coverage


def test_only_queries_that_all_arms_answered_count(table: OutcomeTable) -> None:
    quality = table.quality.copy()
    test = np.nonzero((table.queries["split"] == "test").to_numpy())[0]
    quality[test[:5], 2] = NAN
    quality[test[3:8], 4] = NAN
    found = quick(replace(table, quality=quality))
    assert (found["queries"], found["asked"]) == (392, 400)
    sums = next(task for task in found["tasks"] if task["name"] == "sums")
    assert (sums["queries"], sums["asked"]) == (92, 100)
    expected = quality[test[8:100], 0].mean()
    place = found["tasks"].index(sums)
    assert rows(found)["direct"]["tasks"][place]["quality"] == pytest.approx(expected)


def test_an_arm_with_gaps_is_left_out_by_name(table: OutcomeTable) -> None:
    quality = table.quality.copy()
    test = np.nonzero((table.queries["split"] == "test").to_numpy())[0]
    quality[test[::2], 2] = NAN
    found = quick(replace(table, quality=quality))
    assert "format" not in rows(found)
    assert found["arms_left_out"] == {"format": "scored on 50% of the test queries of facts"}
    assert found["queries"] == 400


def test_a_task_without_scores_is_left_out_by_name(table: OutcomeTable) -> None:
    quality = table.quality.copy()
    quality[table.tasks == "facts"] = NAN
    found = quick(replace(table, quality=quality))
    assert [task["name"] for task in found["tasks"]] == ["quiz", "sums", "texts"]
    assert found["tasks_left_out"] == {"facts": "zero-shot is scored on 0% of its test queries"}
    assert found["arms_left_out"] == {}


def test_nothing_scored_says_what_to_do(table: OutcomeTable) -> None:
    empty = replace(table, quality=np.full_like(table.quality, NAN))
    with pytest.raises(ThoughtError, match=r"no model has .* collect and score first"):
        compare(empty)


# Models and documents


def test_every_model_has_its_own_table() -> None:
    one = gated_table({"thought:3": (0.3, 0, 0, 0)})
    other = gated_table({"thought:3": (0, 0.3, 0, 0), "format": (0, 0, 0, 0)}, model="n")
    both = OutcomeTable.from_long(pl.concat([one.to_long(), other.to_long()]))
    assert models_of(both, "test") == ["m", "n"]
    found = compare(both, draws=50).document["models"]
    assert [model["model"] for model in found] == ["m", "n"]
    assert list(rows(found[0])) == ["direct", "thought:3", "gated", "gated-any"]
    assert list(rows(found[1])) == ["direct", "format", "thought:3", "gated", "gated-any"]
    assert found[0] == quick(both, models=["m"])


def test_a_model_whose_train_answers_alone_are_there_is_not_compared() -> None:
    one = gated_table({"thought:3": (0.3, 0, 0, 0)})
    writer = gated_table({"think": (0, 0, 0, 0)}, model="writer").to_long()
    trained = writer.filter(pl.col("split") == "train")
    both = OutcomeTable.from_long(pl.concat([one.to_long(), trained]))
    assert models_of(both, "test") == ["m"]
    assert [model["model"] for model in compare(both, draws=50).document["models"]] == ["m"]


def test_the_document_is_json_and_the_same_again(table: OutcomeTable) -> None:
    document = compare(table, draws=50).document
    assert document["kind"] == KIND
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert compare(table, draws=50).document == document
    assert compare(table, draws=50, seed=1).document != document


@pytest.mark.parametrize(
    ("strategy", "name"),
    [
        ("direct", "zero-shot"),
        ("format", "format-only"),
        ("few-shot:3", "few-shot, 3"),
        ("random:1", "random templates, 1"),
        ("thought-hybrid:3", "thought by hybrid, 3"),
        ("my-own", "my-own"),
    ],
)
def test_labels(strategy: str, name: str) -> None:
    assert label(strategy) == name


def test_wrong_use_says_what_was_expected(table: OutcomeTable) -> None:
    with pytest.raises(ThoughtError, match=r"no model 'x' that answered test .* are: m"):
        compare(table, models=["x"])
    with pytest.raises(ThoughtError, match=r"split 'dev' by direct .* the splits: test, train"):
        compare(table, test_split="dev")
    with pytest.raises(ThoughtError, match="the gates learn on 'train'"):
        compare(table, test_split="train")
    with pytest.raises(ThoughtError, match="no model has scored answers to queries of the split"):
        compare(table.select_arms(["m"]))
    gated = table.select_arms(["m", "m|think"])
    named = replace(gated, arms=(gated.arms[0], replace(gated.arms[1], strategy="gated")))
    with pytest.raises(ThoughtError, match="'gated' has the name of a gate"):
        compare(named)
