"""A plan online: the calls and answers of its replay, and the metric that answers agree by."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from answered_table import answered_table
from fusionfactory.answers import make_equivalence
from fusionfactory.clients import ChatRequest
from fusionfactory.errors import UnknownNameError
from fusionfactory.plans import load_plan, replay, save_plan
from fusionfactory.plans.cascade import CascadePlan
from fusionfactory.plans.online import Run
from fusionfactory.plans.select import SelectPlan
from fusionfactory.plans.vote import VotePlan
from test_plans_select import KnowingJudge, collected

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.plans import Plan
    from fusionfactory.table import OutcomeTable

STAGES = [["small-a", "small-b"], ["small-c", "small-d"], ["large"]]
SMALL = ["small-a", "small-b", "small-c", "small-d"]


@pytest.fixture(scope="module")
def train() -> OutcomeTable:
    return answered_table(300, seed=1)


@pytest.fixture(scope="module")
def test() -> OutcomeTable:
    return answered_table(60, seed=2)


@pytest.fixture(scope="module")
def cascade(train: OutcomeTable) -> CascadePlan:
    return CascadePlan(stages=STAGES).fit(train).at(9)


def run_of(plan: Plan, text: str) -> Run:
    return Run(plan, plan.begin([text]), question=text, equivalence=make_equivalence("number"))


@pytest.mark.parametrize("kind", ["cascade", "vote"])
def test_it_calls_and_answers_as_its_replay_does(
    kind: str, cascade: CascadePlan, train: OutcomeTable, test: OutcomeTable
) -> None:
    plan: Plan = cascade if kind == "cascade" else VotePlan(voters=SMALL).fit(train)
    names = [arm.name for arm in plan.arms_]
    done = replay(plan, test)
    assert test.responses is not None
    lengths = set()
    for row, text in enumerate(test.texts):
        run = run_of(plan, text)
        asked: list[str] = []
        while run.call:
            asked += run.call
            run.told({
                name: test.responses[row, test.arm_names.index(name)] for name in run.call
            })  # fmt: skip
        assert sorted(asked) == sorted(np.array(names)[done.called[row]])
        assert run.answer == names[done.answered[row]]
        assert run.confidence == pytest.approx(done.confidence[row])
        lengths.add(len(asked))
    assert len(lengths) > 1


@pytest.mark.parametrize("synthesis", [False, True])
def test_a_judge_is_asked_what_its_replay_asked(
    synthesis: bool, train: OutcomeTable, test: OutcomeTable, tmp_path: Path
) -> None:
    plan = SelectPlan(
        judge="judge", candidates=SMALL[:3], log=str(tmp_path / "log.db"), synthesis=synthesis
    )
    collected(tmp_path / "log.db", plan, train)
    plan.fit(train)
    collected(tmp_path / "log.db", plan, test)
    done, judge, judged = replay(plan, test), KnowingJudge(), 0
    assert test.responses is not None
    names = [arm.name for arm in plan.arms_]
    for row, text in enumerate(test.texts):
        run = run_of(plan, text)
        while run.call:
            said = {
                name: test.responses[row, test.arm_names.index(name)]
                for name in run.call
                if name != "judge"
            }
            if run.lineup is not None:
                requests = [ChatRequest("judge", prompt) for prompt in run.lineup.prompts()]
                replies = [asyncio.run(judge.complete(request)).text for request in requests]
                said = {"judge": run.lineup.heard(replies)}
                judged += 1
            run.told(said)
        assert run.answer == names[done.answered[row]]
        assert run.confidence == pytest.approx(done.confidence[row])
    assert judged == done.called[:, -1].sum() > 0


def test_an_arm_that_fails_gives_no_answer_and_never_answers(cascade: CascadePlan) -> None:
    run = run_of(cascade, "add the two numbers 3")
    first = run.call
    run.told({first[0]: None, first[1]: "The answer is 4"})
    assert run.answer == first[1]
    silent = run_of(cascade, "add the two numbers 3")
    while silent.call:
        silent.told(dict.fromkeys(silent.call))
    assert silent.answer is None
    assert silent.confidence == 0


def test_a_plan_knows_the_metric_of_what_it_is_asked(train: OutcomeTable, tmp_path: Path) -> None:
    metric = pl.when(pl.col("task") == "sums").then(pl.lit("number")).otherwise(pl.lit("contains"))
    table = replace(train, queries=train.queries.with_columns(metric.alias("metric")))
    save_plan(CascadePlan(stages=[["small-a"], ["large"]]).fit(table), tmp_path / "plan")
    tasks = load_plan(tmp_path / "plan").tasks_
    plan = load_plan(tmp_path / "plan")
    for text, expected in (
        ("add the two numbers 7", "number"),
        ("who wrote the novel about 7", "contains"),
    ):
        assert tasks.nearest(plan.begin([text]).outlook.topics[0]) == expected
    assert tasks.metric("names") == "contains"
    with pytest.raises(UnknownNameError, match="no task 'poems'; it knows names, sums"):
        tasks.metric("poems")


def test_the_best_arms_of_a_plan_are_known(cascade: CascadePlan, train: OutcomeTable) -> None:
    best = cascade.arms_[int(np.argmax(cascade.quality_))]
    assert best == train.arms[train.best_single()]
