"""A router that chooses among arms and plans: which of them answers a request for `auto`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from answered_table import answered_table
from fusionfactory.cli.gateway_log import choices_of
from fusionfactory.config import Config
from fusionfactory.gateway.access.keys import KeyFile
from fusionfactory.gateway.build import build, close
from fusionfactory.gateway.routing.decider import Routing
from fusionfactory.plans import save_plan
from fusionfactory.plans.cascade import CascadePlan
from fusionfactory.serve_settings import ExplorationSettings, RoutingSettings
from gateway_parts import Served, served_gateway
from spoken_router import SpokenRouter, make_fleet
from spoken_router import ask as asked
from stub_upstream import Knobs, StubUpstream, stub_upstream
from test_gateway_plans import AGREED, calls
from test_gateway_routing import decide

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ARMS = ("small-a", "small-b", "large")
MODELS = tuple(
    {"name": name, "endpoint": "stub", "input_price": 1.0, "output_price": 2.0} for name in ARMS
)
SUM, NOVEL = "add the two numbers 3", "who wrote the novel about 4"
FOR_SUMS = {"careful": (0.9, 0.003), "large": (0.8, 0.002), "small-a": (0.5, 0.001)}
FOR_NOVELS = {**FOR_SUMS, "careful": (0.4, 0.003)}
PLANS = {"careful": ("large", "small-a")}
BEST = RoutingSettings(auto="performance")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "plan"
    table = answered_table(240, seed=1).select_arms(ARMS)
    plan = CascadePlan(stages=[["small-a", "small-b"], ["large"]]).fit(table)
    steps = [plan.at(step) for step in range(len(plan.price_))]
    save_plan(next(step for step in steps if len(calls(step, AGREED)) > 1), path)
    return path


@pytest.fixture
def stub() -> Iterator[StubUpstream]:
    with stub_upstream() as stub:
        stub.models |= {name: Knobs(text="The answer is 7") for name in ARMS}
        yield stub


@pytest.fixture
def served(stub: StubUpstream, folder: Path, tmp_path: Path) -> Iterator[Served]:
    """By a router that expects most of the plan for sums, and of an arm for novels."""
    with serving(stub, folder, tmp_path) as served:
        yield served


def serving(stub: StubUpstream, folder: Path, state: Path, **serve: Any) -> Any:  # noqa: ANN401
    plans = [{"name": "careful", "path": str(folder)}]
    return served_gateway(stub.url, state, models=MODELS, routing=True, plans=plans, **serve)


def let_decide(served: Served) -> None:
    decider = served.gateway.decider
    assert isinstance(decider, Routing)
    decider.use("v1", SpokenRouter(FOR_SUMS, texts={NOVEL: FOR_NOVELS}))


def ask(served: Served, text: str, **more: Any) -> Any:  # noqa: ANN401
    return served.client(more.pop("key", "none")).chat.completions.with_raw_response.create(
        model=more.pop("model", "auto:best"), messages=[{"role": "user", "content": text}], **more
    )


def test_the_router_chooses_a_plan_for_some_questions_and_an_arm_for_others(
    served: Served, stub: StubUpstream
) -> None:
    let_decide(served)
    raw = ask(served, SUM)
    record = served.last
    assert raw.parse().model == record.arm == record.chosen == "careful"
    assert (record.why, record.router, record.policy) == ("best", "v1", "performance")
    assert (record.propensity, record.propensities) == (1.0, {"careful": 1.0})
    assert record.plan is not None
    arms = [arm for stage in record.plan.stages for arm in stage]
    assert sorted(stub.asked()) == sorted(arms)
    assert len(arms) > 1
    assert raw.headers["x-fusionfactory-plan"] == "careful"
    assert raw.headers["x-fusionfactory-expected-quality"] == "0.9"
    assert raw.headers["x-fusionfactory-plan-answer"] in arms
    stub.ledger.clear()
    raw = ask(served, NOVEL)
    assert stub.asked() == ["large"]
    assert served.last.chosen == "large"
    assert "x-fusionfactory-plan" not in raw.headers


def test_it_runs_as_when_it_is_named(served: Served, stub: StubUpstream) -> None:
    let_decide(served)
    chosen = ask(served, SUM)
    first = sorted(stub.asked())
    stub.ledger.clear()
    named = ask(served, SUM, model="careful")
    assert sorted(stub.asked()) == first
    for name in ("asked", "answer", "confidence", "metric"):
        header = f"x-fusionfactory-plan-{name}"
        assert chosen.headers[header] == named.headers[header]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools cannot be compared"),
        ({"n": 2}, "n cannot be compared"),
    ],
)
def test_where_it_cannot_run_the_best_other_arm_answers(
    more: dict[str, Any], reason: str, served: Served, stub: StubUpstream
) -> None:
    let_decide(served)
    raw = ask(served, SUM, **more)
    assert stub.asked() == ["large"]
    assert raw.parse().model == "large"
    assert served.last.why == "best"
    assert reason in served.last.excluded["careful"]


def test_where_it_cannot_begin_the_best_other_arm_answers(
    served: Served, stub: StubUpstream
) -> None:
    let_decide(served)
    served.gateway.plans["careful"].plan.tasks_.metrics_ = [None, None]
    raw = ask(served, SUM)
    assert stub.asked() == ["large"]
    assert raw.headers["x-fusionfactory-plan"] == "careful"
    assert "cannot be compared" in raw.headers["x-fusionfactory-plan-passed-over"]
    assert served.last.chosen == "large"
    assert served.last.propensities == {"large": 1.0}


def test_a_key_without_all_of_its_arms_gets_an_arm(
    stub: StubUpstream, folder: Path, tmp_path: Path
) -> None:
    _, some = KeyFile(tmp_path).add("some", models=("small-a", "large"))
    _, every = KeyFile(tmp_path).add("every", models=ARMS)
    with serving(stub, folder, tmp_path, keys="required") as served:
        let_decide(served)
        assert ask(served, SUM, key=some).parse().model == "large"
        assert "key does not allow" in served.last.excluded["careful"]
        assert ask(served, SUM, key=every).parse().model == "careful"


def test_the_plans_of_the_settings_are_those_of_a_gateway_that_is_built(
    stub: StubUpstream, folder: Path, tmp_path: Path
) -> None:
    config = Config.model_validate(
        {
            "store": f"sqlite:///{tmp_path / 'log.db'}",
            "endpoints": [{"name": "stub", "base_url": stub.url, "api_key_env": ""}],
            "models": MODELS,
            "serve": {
                "state": str(tmp_path),
                "plans": [{"name": "careful", "path": str(folder)}],
                "routing": {"auto": "performance"},
            },
        }
    )

    async def chosen() -> str | None:
        built = build(config, 0)
        built.decider.use("v1", SpokenRouter(FOR_SUMS))
        try:
            return (await built.decider.decide(asked(SUM))).plan
        finally:
            await close(built)

    assert asyncio.run(chosen()) == "careful"


# Decisions


@pytest.fixture
def routing() -> Iterator[Routing]:
    made = Routing(make_fleet(*ARMS), BEST, plans=PLANS)
    made.use("v1", SpokenRouter(FOR_SUMS))
    yield made
    made.close()


def test_a_plan_stands_before_arms_alone(routing: Routing) -> None:
    routed = decide(routing, asked())
    assert routed.arms == ("careful", "large", "small-a", "small-b")
    assert routed.plan == "careful"
    assert routed.estimates["careful"] == (0.9, 0.003)


def test_a_plan_that_is_not_best_is_nobody_to_fall_back_on(routing: Routing) -> None:
    routing.use("v2", SpokenRouter(FOR_NOVELS))
    routed = decide(routing, asked())
    assert (routed.arms, routed.plan) == (("large", "small-a", "small-b"), None)


def test_what_is_neither_arm_nor_plan_is_passed_over(routing: Routing) -> None:
    routing.use("v2", SpokenRouter({"elsewhere": (1.0, 0.0), **FOR_NOVELS}))
    assert decide(routing, asked()).arms[0] == "large"


def test_a_plan_whose_arm_does_not_answer_is_passed_over() -> None:
    healthy = {"large": False}
    routing = Routing(
        make_fleet(*ARMS), BEST, plans=PLANS, healthy=lambda target: healthy.get(target.name, True)
    )
    routing.use("v1", SpokenRouter(FOR_SUMS))
    routed = decide(routing, asked())
    assert (routed.arms[0], routed.plan) == ("small-a", None)
    assert "of its arm large: its endpoint does not answer" in routed.excluded["careful"]
    routing.close()


def test_a_policys_ceiling_holds_for_plans(routing: Routing) -> None:
    routed = decide(routing, asked(model="auto:price:1,max:0.0025"))
    assert routed.arms[0] == "large"
    assert "ceiling" in routed.excluded["careful"]


def test_plans_are_not_explored() -> None:
    explore = ExplorationSettings(method="epsilon", share=1.0)
    routing = Routing(make_fleet(*ARMS), BEST, plans=PLANS, exploration=explore, seed=0)
    routing.use("v1", SpokenRouter(FOR_SUMS, texts={NOVEL: FOR_NOVELS}))
    sums = [decide(routing, asked(SUM)) for _ in range(20)]
    assert {routed.propensities["careful"] for routed in sums} == {1.0}
    novels = [decide(routing, asked(NOVEL)) for _ in range(20)]
    assert {routed.arms[0] for routed in novels} == {"large", "small-a"}
    assert all(routed.propensities == {"large": 0.5, "small-a": 0.5} for routed in novels)
    routing.close()


def test_a_conversation_keeps_arms_and_not_plans(routing: Routing) -> None:
    assert decide(routing, asked(session="s")).plan == "careful"
    barred = {"careful": "it cannot"}
    assert decide(routing, asked(session="s", barred=barred)).why == "best"
    routed = decide(routing, asked(session="s", barred=barred))
    assert (routed.arms[0], routed.why) == ("large", "session")
    assert routed.excluded == barred


def test_a_shadow_router_may_choose_a_plan(routing: Routing) -> None:
    routing.use("v2", SpokenRouter({"large": (0.9, 0.1), "small-a": (0.5, 0.1)}))
    routing.shadow("v3", SpokenRouter(FOR_SUMS))

    async def shadow(**more: Any) -> dict[str, str]:  # noqa: ANN401  any field
        routed = await routing.decide(asked(**more))
        async with asyncio.timeout(10):
            while not routed.shadow:
                await asyncio.sleep(0.002)
        return routed.shadow

    assert asyncio.run(shadow()) == {"v3": "careful"}
    assert asyncio.run(shadow(barred={"careful": "it cannot"})) == {"v3": "large"}


def test_a_comparison_of_routers_knows_the_plans_that_may_be_chosen() -> None:
    config = Config.model_validate(
        {
            "endpoints": [{"name": "stub", "base_url": "http://127.0.0.1:9/v1"}],
            "models": MODELS,
            "serve": {"plans": [{"name": "careful", "path": "plan"}]},
        }
    )
    assert choices_of(config) == (*ARMS, "careful")
    assert choices_of(Config()) is None
