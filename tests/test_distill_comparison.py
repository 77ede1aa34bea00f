"""Students against the model before training: same queries, flips, alarms, claims, and gaps."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import binomtest

from fusionfactory.distill.comparing.flips import flips, holm
from fusionfactory.distill.comparison import KIND, compare_students
from fusionfactory.errors import DistillError
from fusionfactory.types import Arm
from gated_table import TASKS
from student_table import BEFORE, GAINS, ROLES, student_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fusionfactory.table import OutcomeTable

NAN = float("nan")
BEST, LABEL = "small-best", "small-label"


@pytest.fixture(scope="module")
def table() -> OutcomeTable:
    return student_table()


@pytest.fixture(scope="module")
def found(table: OutcomeTable) -> dict[str, Any]:
    return quick(table, draws=300)


def quick(table: OutcomeTable, **options: Any) -> dict[str, Any]:  # noqa: ANN401
    """A comparison with few draws."""
    return compare_students(table, **({"draws": 50} | ROLES | options))


def rows(found: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in found["rows"]}


def on_task(found: Mapping[str, Any], row: str, task: str) -> dict[str, Any]:
    place = [part["name"] for part in found["tasks"]].index(task)
    part = rows(found)[row]["tasks"][place]
    assert isinstance(part, dict)
    return part


def claim(found: Mapping[str, Any], row: str, name: str) -> tuple[bool | None, str]:
    made = next(made for made in found["statements"] if (made["row"], made["claim"]) == (row, name))
    return made["holds"], made["words"]


def of_test(table: OutcomeTable, task: str | None = None) -> np.ndarray:
    mine = (table.queries["split"] == "test").to_numpy()
    return np.nonzero(mine if task is None else mine & (table.tasks == task))[0]


def with_quality(table: OutcomeTable, arm: str, place: np.ndarray, value: float) -> OutcomeTable:
    quality = table.quality.copy()
    quality[place, table.arm_names.index(arm)] = value
    return replace(table, quality=quality)


# Rows


def test_rows_come_by_role_whatever_the_tables_order(table: OutcomeTable) -> None:
    turned = table.select_arms(list(reversed(table.arm_names)))
    found = quick(turned, recommended=BEST)
    assert [(row["label"], row["kind"]) for row in found["rows"]] == [
        ("small (before)", "before"),
        ("small-label (label only)", "control"),
        ("small-best (recommended)", "student"),
        ("small-top5", "student"),
        ("large (teacher)", "teacher"),
    ]
    assert (found["before"], found["control"], found["recommended"]) == (BEFORE, LABEL, BEST)


def test_figures_are_paired_on_the_test_queries(found: dict[str, Any], table: OutcomeTable) -> None:
    for name in (*GAINS, BEFORE):
        column = table.arm_names.index(name)
        for task in TASKS:
            mine = table.quality[of_test(table, task)]
            part = on_task(found, name, task)
            assert part["quality"] == pytest.approx(mine[:, column].mean())
            for other in (BEFORE, LABEL):
                gain = (mine[:, column] - mine[:, table.arm_names.index(other)]).mean()
                figure = part["against"][other]
                assert figure["gain"] == pytest.approx(gain)
                assert figure["ci95"][0] <= figure["gain"] <= figure["ci95"][1]
    assert rows(found)[BEFORE]["against"][BEFORE] == {"gain": 0.0, "ci95": [0.0, 0.0]}
    assert rows(found)[BEST]["worst_task"]["name"] == "facts"


def test_the_average_is_over_tasks_and_lengths_and_costs_are_told(found: dict[str, Any]) -> None:
    for row in found["rows"]:
        assert row["quality"] == pytest.approx(np.mean([part["quality"] for part in row["tasks"]]))
        assert row["output_tokens"] == 20
        assert row["cost_usd"] > 0
        assert row["cut_share"] is None


def test_answers_cut_off_are_counted_on_the_common_queries(table: OutcomeTable) -> None:
    gap = of_test(table, "sums")[:8]
    gappy = with_quality(table, "large", gap, NAN).select_arms(list(reversed(table.arm_names)))
    cut = np.zeros_like(gappy.quality)
    best = gappy.arm_names.index(BEST)
    cut[gap, best] = 1
    cut[of_test(table, "sums")[8:31], best] = 1
    cut[:, gappy.arm_names.index("large")] = NAN
    found = quick(gappy, cut_off=cut)
    assert rows(found)[BEST]["cut_share"] == pytest.approx(23 / 92 / 4)
    assert rows(found)[BEFORE]["cut_share"] == 0
    assert rows(found)["large"]["cut_share"] is None
    assert {name: row["missing"] for name, row in rows(found).items() if row["missing"]} == {
        "large": 8
    }


def test_without_control_and_teachers(table: OutcomeTable) -> None:
    found = quick(table, control=None, teachers=())
    assert list(rows(found)) == [BEFORE, "small-best", "small-top5"]
    assert found["control"] is None
    assert list(rows(found)[BEST]["against"]) == [BEFORE]
    assert claim(found, BEST, "above-label-only") == (
        None,
        "small-best has no label-only control to be held against.",
    )


def test_a_strategy_holds_for_all_names_without_one(table: OutcomeTable) -> None:
    thinking = replace(table, arms=tuple(Arm(arm.model, "think") for arm in table.arms))
    found = quick(thinking, strategy="think", teachers=["large|think"])
    assert found["before"] == "small|think"
    assert "than the model before training on" in claim(found, "small-best|think",
                                                        "better-on-tasks")[1]  # fmt: skip


def test_an_arm_may_say_that_it_was_asked_directly(table: OutcomeTable) -> None:
    arms = tuple(Arm(arm.model, "direct" if arm.model == BEFORE else "think") for arm in table.arms)
    found = quick(replace(table, arms=arms), before=f"{BEFORE}|direct", strategy="think")
    assert found["before"] == BEFORE
    assert "small-best|think" in rows(found)


def test_an_alarm_without_a_domain_says_so(table: OutcomeTable) -> None:
    bare = replace(table, queries=table.queries.with_columns(domain=pl.lit(None, pl.String)))
    blank = [alarm for alarm in quick(bare, tolerance=0)["alarms"] if alarm["name"] == ""]
    swapped = quick(bare, before="large", teachers=(), control=None)
    blank += [alarm for alarm in swapped["alarms"] if alarm["name"] == ""]
    assert blank
    assert all("than before on queries without a domain: " in alarm["words"] for alarm in blank)


# Flips


def test_flips_are_answers_won_and_lost(found: dict[str, Any], table: OutcomeTable) -> None:
    place = [task["name"] for task in found["tasks"]].index("facts")
    mine = table.quality[of_test(table, "facts")]
    before, after = mine[:, 0], mine[:, table.arm_names.index(BEST)]
    flip = found["flips"][BEST][place]
    assert flip["won"] == (after > before).sum()
    assert flip["lost"] == (after < before).sum()
    assert flip["p"] == pytest.approx(binomtest(flip["won"], flip["won"] + flip["lost"]).pvalue)
    assert list(found["flips"]) == ["small-best", "small-top5"]


def test_near_duplicates_flip_as_one() -> None:
    differences = np.array([1.0, 1.0, -1.0, 0.0, 0.5])
    assert flips(differences, np.array([0, 0, 1, 2, 3])) == {"won": 2, "lost": 1, "p": 1.0}
    assert flips(differences, np.array([0, 1, 1, 2, 3])) == {"won": 2, "lost": 0, "p": 0.5}
    nothing = flips(np.zeros(3), np.arange(3))
    assert nothing == {"won": 0, "lost": 0, "p": 1.0}


def test_many_flips_have_a_p_value() -> None:
    assert flips(np.ones(3000), np.arange(3000))["p"] == 0.0
    even = np.tile([1.0, -1.0], 2000)
    assert flips(even, np.arange(4000))["p"] == 1.0


def test_holm_corrects_for_all_and_keeps_the_order() -> None:
    assert holm([0.01, 0.04, 0.03, 0.9]) == pytest.approx([0.04, 0.09, 0.09, 0.9])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_tasks_that_survive_the_correction_are_named(found: dict[str, Any]) -> None:
    corrected = [flip["p_holm"] for parts in found["flips"].values() for flip in parts]
    raw = [flip["p"] for parts in found["flips"].values() for flip in parts]
    assert corrected == holm(raw)
    holds, words = claim(found, BEST, "better-on-tasks")
    assert holds is True
    assert "is better than zero-shot on 3 of 4 tasks: quiz +" in words
    told = "Corrected for all tasks and students, on quiz, sums, texts (sign test, Holm)."
    assert words.endswith(told)
    holds, words = claim(found, "small-top5", "better-on-tasks")
    assert holds is False
    assert "on 0 of 4 tasks. Corrected" in words
    assert words.endswith(", on none (sign test, Holm).")


# Alarms


def test_an_alarm_where_the_interval_lies_below_0(found: dict[str, Any]) -> None:
    worse = [alarm for alarm in found["alarms"] if alarm["verdict"] == "worse"]
    assert [(alarm["row"], alarm["scope"], alarm["name"]) for alarm in worse] == [
        (BEST, "domain", "world"), (BEST, "task", "facts"),
    ]  # fmt: skip
    alarm = worse[1]
    assert alarm["queries"] == 100
    assert alarm["ci95"][1] < 0
    assert alarm["words"].startswith("small-best is worse than before on the task facts: −")
    assert alarm["words"].endswith("on 100 queries.")


def test_a_small_loss_that_may_be_chance_is_an_alarm_beyond_the_tolerance() -> None:
    table = student_table({"small-best": (0, 0, 0, 0)})
    quality = table.quality.copy()
    quality[:, 1] = quality[:, 0]
    same = replace(table, quality=quality)
    sums = of_test(same, "sums")
    right = sums[quality[sums, 0] == 1]
    for lost, told in ((2, []), (3, [("task", "sums"), ("domain", "math")])):
        worse = with_quality(same, BEST, right[:lost], 0.0)
        found = compare_students(worse, before=BEFORE, students=[BEST], draws=200, seed=1)
        assert {(a["scope"], a["name"]) for a in found["alarms"]} == set(told)
        assert {a["verdict"] for a in found["alarms"]} <= {"perhaps worse"}
        assert claim(found, BEST, "no-task-worse")[0] is not bool(told)
    strict = compare_students(worse, before=BEFORE, students=[BEST], tolerance=0.005, draws=200)
    assert ("average", "average") in {(a["scope"], a["name"]) for a in strict["alarms"]}


def test_teachers_and_controls_raise_no_alarm(table: OutcomeTable) -> None:
    worse = with_quality(
        with_quality(table, "large", of_test(table), 0.0), LABEL, of_test(table), 0
    )
    assert {alarm["row"] for alarm in quick(worse)["alarms"]} <= {"small-best", "small-top5"}


# What is claimed


def test_a_student_that_ends_below_zero_shot_is_told(table: OutcomeTable) -> None:
    worse = with_quality(table, BEST, of_test(table)[::2], 0.0)
    found = quick(worse)
    holds, words = claim(found, BEST, "better-overall")
    assert holds is False
    assert words.startswith("small-best ends below zero-shot overall: −")
    assert words.endswith(", clear of chance.")
    overall = [alarm for alarm in found["alarms"] if alarm["scope"] == "average"]
    assert [(alarm["row"], alarm["queries"]) for alarm in overall] == [(BEST, 400)]
    assert "is worse than before overall: −" in overall[0]["words"]


def test_a_gain_that_may_be_chance_is_an_open_claim(found: dict[str, Any]) -> None:
    good = student_table({"small-label": (0, 0, 0, 0), BEST: (0.3, 0.3, 0.3, 0.3)})
    made = quick(good, students=[BEST], teachers=())
    holds, words = claim(made, BEST, "better-overall")
    assert holds is True
    assert words.startswith("small-best is better than zero-shot overall: +")
    assert claim(made, BEST, "above-label-only")[0] is True
    assert claim(made, BEST, "no-task-worse")[0] is True
    same = with_quality(good, BEST, of_test(good), 0)
    quality = same.quality.copy()
    quality[:, 2] = quality[:, 0]
    right = of_test(good)[quality[of_test(good), 0] == 0]
    quality[right[:2], 2] = 1.0
    luck = quick(replace(good, quality=quality), students=[BEST], teachers=(), draws=500)
    holds, words = claim(luck, BEST, "better-overall")
    assert holds is None
    assert words.endswith(", not clear of chance.")
    quality[:, 2] = quality[:, 0]
    equal = quick(replace(good, quality=quality), students=[BEST], teachers=())
    assert claim(equal, BEST, "better-overall")[0] is None
    assert "ends where it began overall: 0.0 points" in claim(equal, BEST, "better-overall")[1]


def test_a_student_below_the_control_is_told(table: OutcomeTable) -> None:
    better = with_quality(table, LABEL, of_test(table), 1.0)
    holds, words = claim(quick(better), BEST, "above-label-only")
    assert holds is False
    assert words.startswith("small-best is not above the label-only control overall: −")


def test_the_number_of_intervals_is_told(found: dict[str, Any]) -> None:
    assert found["facts"]["intervals"] == 2 * (1 + 3 + 4)


# Coverage


def test_only_queries_that_all_arms_answered_count(table: OutcomeTable) -> None:
    gappy = with_quality(table, "large", of_test(table, "sums")[:8], NAN)
    found = quick(gappy)
    assert (found["queries"], found["asked"]) == (392, 400)
    mine = table.quality[of_test(table, "sums")[8:], 0]
    assert on_task(found, BEFORE, "sums")["quality"] == pytest.approx(mine.mean())


def test_arms_and_tasks_with_gaps_are_left_out_by_name(table: OutcomeTable) -> None:
    gappy = with_quality(table, "large", of_test(table, "quiz")[:50], NAN)
    gappy = with_quality(gappy, LABEL, of_test(table, "quiz")[:50], NAN)
    gappy = with_quality(gappy, BEFORE, of_test(table, "facts"), NAN)
    found = quick(gappy)
    why = "scored on 50% of the test queries of quiz"
    assert found["arms_left_out"] == {"large": why, LABEL: why}
    assert found["control"] is None
    assert claim(found, BEST, "above-label-only")[0] is None
    assert found["tasks_left_out"] == {
        "facts": "small (before) is scored on 0% of its test queries"
    }
    assert found["queries"] == 300


def test_only_the_tasks_that_were_asked_for(table: OutcomeTable) -> None:
    found = quick(table, tasks=["sums", "quiz"])
    assert [task["name"] for task in found["tasks"]] == ["quiz", "sums"]
    assert found["asked"] == 200


# Documents


def test_the_document_is_json_and_the_same_again(table: OutcomeTable) -> None:
    record = {"steps": 10}
    document = quick(table, records={BEST: record, "stranger": {}})
    assert document["kind"] == KIND
    assert document["students"] == {BEST: record}
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert quick(table, records={BEST: record}) == document
    assert quick(table, seed=1) != quick(table)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"students": []}, "name at least one student"),
        ({"students": ["ghost"]}, r"no arm 'ghost' has outcomes: .* there are: small, small-label"),
        ({"before": "ghost"}, "no arm 'ghost'"),
        ({"students": [BEFORE]}, "the arm 'small' is named twice"),
        ({"control": BEST}, "'small-best' is named twice"),
        ({"recommended": "large"}, "'large' is no student; expected one of: small-best"),
        ({"strategy": "think"}, r"no arm 'small\|think'"),
        ({"tasks": ["chess"]}, "no task 'chess'; there are: facts, quiz"),
        ({"test_split": "dev"}, "no query is of the split 'dev'; there are: test, train"),
    ],
)
def test_wrong_use_says_what_was_expected(
    table: OutcomeTable, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DistillError, match=message):
        quick(table, **options)


def test_nothing_to_compare_says_what_is_missing(table: OutcomeTable) -> None:
    nothing = with_quality(table, BEFORE, of_test(table), NAN)
    with pytest.raises(DistillError, match=r"collect and score them first \(facts: small \(before"):
        quick(nothing)
    unscored = with_quality(table, BEST, of_test(table), NAN)
    with pytest.raises(DistillError, match=r"no student .* \(small-best: scored on 0% of the"):
        quick(unscored, students=[BEST])
