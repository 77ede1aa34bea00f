"""Judge-select: verdicts are asked once, kept, and weighed against who gave the answers."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from answered_table import answered_table
from fusionfactory.clients import ChatReply
from fusionfactory.errors import ConfigError, TableError
from fusionfactory.judge import Judge
from fusionfactory.plans import load_plan, make_plan, replay, save_plan
from fusionfactory.plans.candidates import choose_candidates, texts
from fusionfactory.plans.lineup import Lineup
from fusionfactory.plans.select import SelectPlan
from fusionfactory.plans.verdicts import collect_verdicts
from fusionfactory.pricing import CallPrice
from fusionfactory.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.clients import ChatRequest
    from fusionfactory.table import OutcomeTable

SMALL = ["small-a", "small-b", "small-c"]
PRICE = CallPrice(None, input_price=1.0, output_price=1.0)


class KnowingJudge:
    """Picks the right answer where it is shown, else the first; or writes the right one."""

    concurrency = 8

    def __init__(self, *, first: bool = False) -> None:
        self.first = first
        self.calls = 0

    async def complete(self, request: ChatRequest) -> ChatReply:
        self.calls += 1
        text = str(request.messages[0]["content"])
        asked = re.search(r"<question-\w+>\n.*(\d)\n", text)
        right = f"The answer is {asked[1] if asked else ''}"
        if "write one answer" in text:
            return ChatReply(right, "stop", 100, 5)
        found = re.search(rf"<([A-J])-\w+>\n{right}\n", text)
        letter = "A" if self.first or found is None else found[1]
        return ChatReply(f'{{"reason": "sums", "best": "{letter}"}}', "stop", 100, 10)

    def drop_waiting(self) -> None:
        pass

    async def close(self) -> None:
        pass


def collected(
    path: Path, plan: SelectPlan, table: OutcomeTable, client: KnowingJudge | None = None
) -> int:
    """How many calls it took to collect what the plan asks about a table."""
    client = client or KnowingJudge()
    with Store(path) as store:
        collect_verdicts(store, plan, table, Judge("judge-1", client, PRICE, name="judge"))
    return client.calls


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "verdicts.db"


def test_a_judge_that_knows_lifts_the_plan_above_its_candidates(log: Path) -> None:
    train, test = answered_table(200, seed=1), answered_table(200, seed=2)
    plan = SelectPlan(judge="judge", candidates=SMALL, log=str(log))
    asked = collected(log, plan, train)
    assert collected(log, plan, train) == 0
    plan.fit(train)
    assert 0 < collected(log, plan, test) <= asked * 1.5
    done = replay(plan, test)
    columns = [test.arm_names.index(name) for name in SMALL]
    best = test.quality[:, columns].max(axis=1)
    assert done.quality.mean() > best.mean() - 0.03
    assert done.quality.mean() > test.quality[:, columns].mean(axis=0).max() + 0.1
    judged = done.called[:, -1]
    said = np.array(texts(test))[:, columns]
    agreed = (said == said[:, :1]).all(axis=1)
    assert not judged[agreed].any()
    paid = test.cost_usd[:, columns].sum(axis=1) + np.where(judged, 2 * 110e-6, 0.0)
    assert np.allclose(done.cost_usd, paid)


def test_how_sure_candidates_were_is_read_from_what_is_recorded(log: Path) -> None:
    known = np.random.default_rng(0).uniform(-2, 0, (120, 5))
    table = replace(answered_table(120, seed=13), logprob=known)
    plan = SelectPlan(judge="judge", candidates=SMALL, log=str(log))
    collected(log, plan, table)
    logprobs = plan.fit(table).own(table, None)[1].logprobs
    assert np.array_equal(logprobs[:, :-1], known[:, : len(SMALL)])
    assert np.isnan(logprobs[:, -1]).all()


def test_a_judge_that_follows_the_order_is_not_asked(log: Path) -> None:
    train, test = answered_table(200, seed=3), answered_table(100, seed=4)
    plan = SelectPlan(judge="judge", candidates=SMALL, log=str(log))
    collected(log, plan, train, KnowingJudge(first=True))
    plan.fit(train)
    assert plan.lineups(test) == []
    assert not replay(plan, test).called[:, -1].any()


def test_free_text_is_judged_where_it_is_not_the_same(log: Path) -> None:
    table = answered_table(160, seed=5)
    free = replace(
        table, queries=table.queries.with_columns(pl.lit(None, pl.String).alias("metric"))
    )
    plan = SelectPlan(judge="judge", candidates=SMALL, log=str(log))
    collected(log, plan, free)
    done = replay(plan.fit(free), free)
    single = free.quality[:, : len(SMALL)].mean(axis=0).max()
    assert done.called[:, -1].any()
    assert done.quality.mean() > single + 0.1


def test_a_synthesis_is_an_answer_of_its_own(log: Path) -> None:
    train, test = answered_table(160, seed=6), answered_table(100, seed=7)
    plan = SelectPlan(judge="judge", candidates=SMALL, log=str(log), synthesis=True)
    collected(log, plan, train)
    plan.fit(train)
    collected(log, plan, test)
    done = replay(plan, test)
    columns = [test.arm_names.index(name) for name in SMALL]
    nobody = (test.quality[:, columns] == 0).all(axis=1) & done.called[:, -1]
    assert nobody.any()
    assert done.quality[nobody].mean() > 0.9
    assert (done.answered[nobody] == len(SMALL)).any()


def test_saved_and_loaded_it_does_the_same(log: Path, tmp_path: Path) -> None:
    train, test = answered_table(120, seed=8), answered_table(60, seed=9)
    plan = SelectPlan(judge="judge", candidates=SMALL, log=str(log))
    collected(log, plan, train)
    plan.fit(train)
    collected(log, plan, test)
    save_plan(plan, tmp_path / "plan")
    again = load_plan(tmp_path / "plan")
    one, other = replay(plan, test), replay(again, test)
    assert np.array_equal(one.answered, other.answered)
    assert np.array_equal(one.called, other.called)
    assert [arm.name for arm in again.arms_] == [*SMALL, "judge"]


def test_a_verdict_that_is_not_recorded_is_not_made_up(log: Path) -> None:
    train, test = answered_table(120, seed=10), answered_table(60, seed=11)
    plan = SelectPlan(judge="judge", candidates=SMALL, log=str(log))
    with pytest.raises(TableError, match=r"'judge' has verdicts on 0 of the \d+ training queries"):
        plan.fit(train)
    collected(log, plan, train)
    plan.fit(train)
    with pytest.raises(TableError, match=r"verdicts on \d+ are not recorded: collect them"):
        replay(plan, test)


def test_two_orders_must_agree() -> None:
    made = Lineup.of("sum?", ["it is 4", None, "it is 5", "4"], [0, -1, 1, 0], turns=2,
                     synthesis=False)  # fmt: skip
    assert made is not None
    assert made.shown == ("it is 4", "it is 5")
    assert made.heard(["Best: A", "Best: A"]) is None
    first = made.heard(["Best: A", "Best: B"])
    assert first in made.shown
    assert made.heard(["Best: A", None]) is None
    assert Lineup.of("sum?", ["4", "4"], [0, 0], turns=2, synthesis=False) is None


def test_candidates_are_chosen_on_what_a_judge_may_reach() -> None:
    table = answered_table(300, seed=12)
    names = choose_candidates(table, 3)
    assert names[0] == "large"
    assert len(set(names)) == len(names) == 2
    assert len(choose_candidates(table.select_arms(SMALL), 3)) == 3


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        ("select", "field 'select:judge': no judge is named"),
        ("select:judge=large,most=1", "field 'select:most': expected at least 2"),
        ("select:judge=large,orders=3", "field 'select:orders': expected 1 or 2, got 3"),
        ('select:judge=large,candidates=["large","small-a"]', "none of them the judge"),
    ],
)
def test_settings_that_cannot_work_are_refused(spec: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        make_plan(spec).fit(answered_table(60))
