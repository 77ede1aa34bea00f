"""Robustness and left-out parts in reports: alarms, ceilings, what is regained, in every form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fusionfactory.errors import FormatError
from fusionfactory.report import render_html, render_markdown
from fusionfactory.report.document import read
from fusionfactory.report.left_out_words import left_out_findings
from fusionfactory.report.robustness_words import robustness_findings
from test_report import ATTACK, Page, sample

if TYPE_CHECKING:
    from collections.abc import Callable


def shift(edit: str, flipped: float, lost: float = 0.01) -> dict[str, Any]:
    return {"edit": edit, "flipped": flipped, "quality_lost": lost,
            "quality_ci95": [lost - 0.005, lost + 0.02], "cost_added_usd": 2e-5,
            "cost_ci95": [1e-5, 3e-5]}  # fmt: skip


def exam(router: str = "knn", worst: float = 0.04, led: float = 0.05, **more: object) -> Any:  # noqa: ANN401  a JSON value
    trigger = {"text": "a b", "target": "arm-0", "place": "suffix", "found_on": 0.5}
    attack = {"trigger": trigger, "already": 0.2, "success": 0.3, "shift": shift("trigger", led)}
    spread = {"decisions": 99, "arms": 4, "top": "arm-1", "share": 0.5, "share_low": 0.4,
              "entropy": 0.6, "entropy_high": 0.7, "idle": [3]}  # fmt: skip
    return {"router": router, "shifts": [shift("upper", worst), shift("typos", 0.01)],
            "attacks": [attack], "spread": spread, "collapsed": None} | more  # fmt: skip


def robustness(*exams: Any, kinds: int = 4) -> dict[str, Any]:  # noqa: ANN401  JSON values
    ceilings = {"queries": 330, "best_single": 0.6, "oracle": 0.9, "corrected": 0.7,
                "kinds": kinds, "replayed": 0.9, "luck": 0.67, "co_failure": 0.1,
                "co_failure_if_independent": 0.05}  # fmt: skip
    found = {"policy": "performance", "seed": 0, "queries": 99, "routers": list(exams),
             "ceilings": ceilings}  # fmt: skip
    return sample() | {"robustness": found}


def left_out() -> dict[str, Any]:
    part = {"queries": 40, "train_queries": 80, "single": "arm-0", "single_quality": 0.6,
            "single_cost_usd": 1e-4, "cost_usd": 2e-4, "top": "a", "top_share": 0.8}  # fmt: skip
    good = part | {"name": "sums", "quality": 0.62, "gain": 0.02, "ci95": [0.01, 0.03]}
    bad = part | {"name": "verbs", "quality": 0.5, "gain": -0.1, "ci95": [-0.2, -0.05]}
    overall = {"gain": -0.04, "ci95": [-0.09, 0.01]}
    tasks = {"by": "task", "policy": "performance", "too_small": {"rules": 3},
             "routers": [{"router": "knn", "rows": [good, bad], "overall": overall}]}  # fmt: skip
    full = {"gain": 0.04, "ci95": [0.01, 0.07]}
    some = {"labels": 100, "gain": 0.03, "ci95": [0.0, 0.06], "reached": 0.75}
    missed = {"name": "arm-2", "queries": 99, "without": 0.6, "full": full, "labelled": [some]}
    useless = missed | {"name": "arm-3", "labelled": [some | {"reached": None, "gain": 0.001}]}
    mean = {"full": full, "labelled": [some]}
    arms = {"by": "arm", "policy": "performance", "seeds": 1, "labels": [100],
            "routers": [{"router": "knn", "rows": [missed, useless], "overall": mean}]}  # fmt: skip
    return sample() | {"left_out": {"task": tasks, "arm": arms}}


def alarms(content: dict[str, Any]) -> list[tuple[str, str]]:
    document = read(content).robustness
    assert document is not None
    return [(note.kind, note.text) for note in robustness_findings(document)[0].notes]


def test_steady_routers_are_said_to_be_steady() -> None:
    (note,) = alarms(robustness(exam(), exam("trees")))
    assert note == ("ok", "No edit and no trigger changes more than 10 % of the decisions.")


def test_who_changes_its_mind_easily_or_collapses_is_warned_of() -> None:
    found = alarms(robustness(exam(worst=0.3), exam("trees", led=0.4, collapsed="top_share")))
    assert found == [
        ("warn", "trees has collapsed: nearly all decisions go to one arm (arm-1, 50 %)."),
        ("warn", "knn is unsteady: the edit upper changes 30 % of its decisions."),
        ("warn", "trees is unsteady: a suffix of a few words changes 40 % of its decisions."),
    ]


@pytest.mark.parametrize("render", [render_html, render_markdown])
def test_every_form_holds_edits_triggers_and_ceilings(render: Callable[..., str]) -> None:
    text = render(robustness(exam(), exam("trees"))).replace("\\", "")
    text = Page(text).text if render is render_html else text
    for words in ("How steady decisions are", "Every edit", "4 % (−1.0)", "Triggers", "a b",
                  "Oracle, corrected for noise", "0.700", "Every arm fails"):  # fmt: skip
        assert words in text


def test_lost_quality_is_shown_as_a_negative_gain() -> None:
    (row,) = render_markdown(robustness(exam())).split("| knn | upper |")[1:]
    assert row.replace("\\", "").startswith(" 4 % | −1.0 [−3.0, −0.5] | 30 % | 5 % |")


def test_a_table_too_small_for_kinds_shows_no_corrected_oracle() -> None:
    text = render_markdown(robustness(exam(), kinds=1))
    assert "Too few queries to tell kinds of them apart" in text
    assert "| Oracle, corrected for noise | – |" in text


def test_without_ceilings_it_says_why() -> None:
    content = robustness(exam())
    content["robustness"]["ceilings"] = None
    assert "No query was answered by every arm" in render_markdown(content)


@pytest.mark.parametrize("render", [render_html, render_markdown])
def test_every_form_holds_what_was_left_out(render: Callable[..., str]) -> None:
    text = render(left_out()).replace("\\", "")
    text = Page(text).text if render is render_html else text
    for words in ("What was left out of training", "knn on left-out tasks", "−10.0 [−20.0, −5.0]",
                  "Too small to be left out: rules (3).", "All queries", "knn with left-out arms",
                  "+3.0 (75 %)", "Mean of the arms"):  # fmt: skip
        assert words in text


def test_a_lost_task_is_warned_of_and_a_regained_share_told() -> None:
    document = read(left_out()).left_out
    assert document is not None
    tasks, arms = left_out_findings(document)
    assert [(note.kind, note.text) for note in tasks.notes] == [
        ("warn", "knn loses more than half a point on 1 of 2 left-out tasks, most on verbs: "
                 "−10.0 [−20.0, −5.0].")
    ]  # fmt: skip
    assert arms.notes[0].text == (
        "Of what an arm is worth to it on average, knn regains 75 % with 100 labels."
    )


def test_names_cannot_break_the_page() -> None:
    page = Page(render_html(robustness(exam(ATTACK))))
    assert page.text.count(ATTACK) >= 2
    assert "alert(1)" not in "".join(name for name, _ in page.tags)


@pytest.mark.parametrize(
    ("part", "content", "message"),
    [
        ("robustness", {"policy": "p", "routers": []}, "robustness.routers"),
        ("left_out", {"task": {"by": "task"}}, "left_out.task.policy"),
    ],
)
def test_a_malformed_part_names_its_key(part: str, content: Any, message: str) -> None:  # noqa: ANN401  a JSON value
    with pytest.raises(FormatError, match=message):
        render_html(sample() | {part: content})
