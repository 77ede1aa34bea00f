"""The fused choice on disk: fitted on a whole table, and what a gateway does with it."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fake_outcomes import outcome_table
from fusionfactory.encoders import make_encoder
from fusionfactory.errors import RouterFileError, TableError
from fusionfactory.fuse import Fused, fit_fused, save_fused
from fusionfactory.fuse.planned import Planning
from fusionfactory.fuse.saved import check_directory
from fusionfactory.gateway.routing.decider import Routing
from fusionfactory.plans.files import load_plan
from fusionfactory.policy import Policy
from fusionfactory.routers import load_router
from fusionfactory.serve_settings import ServeSection
from fusionfactory.types import Arm, Query
from gateway_parts import served_gateway
from stub_upstream import Knobs, stub_upstream
from test_cli import Run, run

if TYPE_CHECKING:
    from fusionfactory.table import OutcomeTable

__all__ = ["run"]

ARMS = ("ann", "bob", "cid")
PRICE = "price:0.001"
VOTE = 'vote:voters=["ann","bob","cid"]'
QUICK: dict[str, Any] = {"router": "ridge", "scenario": PRICE, "folds": 2}


def table_of(each: int = 60) -> OutcomeTable:
    """Names that every arm knows, and sums on which they err apart: a vote pays for these alone."""
    rng = np.random.default_rng(0)
    queries, quality, answers = [], [], []
    for number in range(each):
        for task, share in (("sums", 0.7), ("names", 1.0)):
            words = "add the two numbers" if task == "sums" else "who wrote the novel about"
            text = f"{words} {number} {'abcdefgh'[number % 8]}"
            target = str(100 + number)
            queries.append(Query(f"{task}-{number}", text, task, "d", target, "number"))
            right = rng.random(len(ARMS)) < share
            quality.append(right.astype(float).tolist())
            wrong = rng.permutation(90)[: len(ARMS)]
            answers.append(
                [f"It is {target if r else w}." for r, w in zip(right, wrong, strict=True)]
            )
    cost = [[1e-3] * len(ARMS)] * len(queries)
    return outcome_table(queries, ARMS, quality, cost=cost, responses=answers)


@pytest.fixture(scope="module")
def table() -> OutcomeTable:
    return table_of()


@pytest.fixture(scope="module")
def fused(table: OutcomeTable) -> Fused:
    return fit_fused(table, plans=[VOTE], **QUICK)


@pytest.fixture(scope="module")
def folder(fused: Fused, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "fused"
    save_fused(fused, path)
    return path


def test_the_router_knows_plans_by_what_they_did_out_of_fold(
    fused: Fused, table: OutcomeTable
) -> None:
    router = fused.router
    assert [arm.name for arm in router.arms_] == [*ARMS, "vote"]
    encoder = make_encoder("text").fit(table.texts)
    planning = Planning.of(table, [VOTE], 2)
    inside = planning.inside(VOTE, table, 0, encoder, [Policy.parse(PRICE)])[PRICE]
    estimates = router.estimate(table.texts)
    assert estimates.cost_usd[:, 3].mean() == pytest.approx(inside.cost_usd.mean(), rel=0.05)
    assert fused.plans["vote"].metrics_["quality"] == pytest.approx(inside.quality.mean())
    sums = table.tasks == "sums"
    assert estimates.quality[sums, 3].mean() > estimates.quality[sums, :3].mean(axis=0).max() + 0.03


def test_it_is_known_by_the_real_table(fused: Fused, table: OutcomeTable) -> None:
    assert fused.router.fingerprint_ == table.fingerprint()
    assert fused.plans["vote"].fingerprint_ == table.fingerprint()
    assert (fused.router.seen_ == table.text_digests()).all()


def test_what_is_read_back_decides_alike(fused: Fused, folder: Path, table: OutcomeTable) -> None:
    assert sorted(str(p.relative_to(folder)) for p in folder.glob("*/*") if p.is_dir()) == [
        "plans/vote"
    ]
    router = load_router(folder / "router")
    policy = Policy.parse(PRICE)
    read = [decision.arm for decision in router.decide(table.texts, policy)]
    assert read == [decision.arm for decision in fused.router.decide(table.texts, policy)]
    assert load_plan(folder / "plans" / "vote").state()[0] == fused.plans["vote"].state()[0]


def test_several_plans_of_a_kind_are_numbered(table: OutcomeTable) -> None:
    found = fit_fused(table, plans=["vote:most=2", VOTE], **QUICK)
    assert list(found.plans) == ["vote-1", "vote-2"]


def test_without_responses_the_router_is_over_arms_alone(table: OutcomeTable) -> None:
    found = fit_fused(replace(table, responses=None), **QUICK)
    assert found.plans == {}
    assert "no responses" in str(found.left_out)
    assert [arm.name for arm in found.router.arms_] == list(ARMS)


def test_an_arm_may_not_be_called_as_a_plan(table: OutcomeTable) -> None:
    odd = replace(table, arms=(Arm("vote"), *table.arms[1:]))
    with pytest.raises(TableError, match="an arm is called 'vote', as a plan is"):
        fit_fused(odd, plans=[VOTE], **QUICK)


def test_saving_replaces_an_older_one_and_nothing_else(fused: Fused, tmp_path: Path) -> None:
    path = tmp_path / "fused"
    save_fused(Fused(fused.router, {"old": fused.plans["vote"]}, fused.policy), path)
    save_fused(fused, path)
    assert [plan.name for plan in (path / "plans").iterdir()] == ["vote"]
    assert [file.name for file in tmp_path.iterdir()] == ["fused"]
    (path / "plans" / "vote" / "notes.txt").write_text("mine")
    with pytest.raises(RouterFileError, match="something other than a plan"):
        save_fused(fused, path)
    (tmp_path / "mine.txt").write_text("mine")
    for other in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(RouterFileError, match="something other than a fused choice"):
            check_directory(other)
    assert (path / "router" / "router.json").exists()


def test_a_gateway_runs_the_plan_for_one_kind_of_question_and_an_arm_for_the_other(
    folder: Path, tmp_path: Path
) -> None:
    models = tuple({"name": name, "endpoint": "stub"} for name in ARMS)
    plans = [{"name": "vote", "path": str(folder / "plans" / "vote")}]
    with stub_upstream() as stub:
        stub.models |= {name: Knobs(text="It is 7.") for name in ARMS}
        served_by = served_gateway(stub.url, tmp_path, models=models, routing=True, plans=plans)
        with served_by as served:
            decider = served.gateway.decider
            assert isinstance(decider, Routing)
            decider.use("v1", load_router(folder / "router"))

            def ask(text: str, **more: Any) -> list[str]:  # noqa: ANN401  any field
                stub.ledger.clear()
                messages = [{"role": "user", "content": text}]
                body = {"model": f"auto:{PRICE}", "messages": messages, **more}
                assert served.ask("POST", "/v1/chat/completions", body).status == 200
                return stub.asked()

            calls = ask("add the two numbers 3 d")
            record = served.last
            assert record.plan is not None
            assert calls == [arm for stage in record.plan.stages for arm in stage]
            assert (record.arm, record.why, record.router) == ("vote", "best", "v1")
            assert record.estimates["vote"][0] > record.estimates["ann"][0]
            assert len(ask("who wrote the novel about 3 d")) == 1
            assert served.last.arm in ARMS
            tools = [{"type": "function", "function": {"name": "f"}}]
            assert len(ask("add the two numbers 3 d", tools=tools)) == 1
            assert served.last.arm in ARMS
            assert "tools cannot be compared" in served.last.excluded["vote"]


def test_the_command_saves_and_tells_the_settings(
    run: Run, table: OutcomeTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table_of(30).write(Path("log.parquet"))
    quick = ("--router", "ridge", "--plan", VOTE, "--scenario", PRICE)
    assert run("fuse", "log.parquet", *quick, "--save", "out", "--json", "f.json") == 0
    assert "saved in out: a router that chooses among all arms, vote" in run.out
    lines = run.out[run.out.index("[serve.routing]") :]
    settings = ServeSection.model_validate(tomllib.loads(lines.partition("wrote")[0])["serve"])
    assert settings.routing.auto == PRICE
    assert [plan.name for plan in settings.plans] == ["vote"]
    load_plan(settings.plans[0].path)
    load_router("out/router")
    assert run("report", "f.json", "--out", "f.html") == 0
    assert run("fuse", "log.parquet", *quick, "--save", ".") == 2
    assert "something other than a fused choice" in run.err
