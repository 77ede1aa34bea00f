"""Who answers: the router's best, then the next best; and what happens where it cannot decide."""

from __future__ import annotations

import asyncio
import math
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from fusionfactory.errors import ConfigError
from fusionfactory.gateway.refusal import Refusal
from fusionfactory.gateway.routing.decider import ROUTER, Routing
from fusionfactory.policy import Policy
from fusionfactory.routers import make_router
from fusionfactory.serve_settings import RoutingSettings
from fusionfactory.testing import make_table
from spoken_router import SpokenRouter, ask, make_fleet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fusionfactory.gateway.fleet import Fleet
    from fusionfactory.gateway.routing.ask import Ask, Routed

EXPECTED = {"small": (0.6, 0.001), "middle": (0.75, 0.004), "large": (0.9, 0.010)}
BEST = RoutingSettings(auto="performance")


class Desk:
    """Routings that are closed at the end."""

    def __init__(self) -> None:
        self.made: list[Routing] = []

    def __call__(
        self,
        fleet: Fleet | None = None,
        router: SpokenRouter | None = None,
        settings: RoutingSettings = BEST,
        **options: Any,  # noqa: ANN401  any option
    ) -> Routing:
        routing = Routing(fleet or make_fleet(*EXPECTED), settings, **options)
        self.made.append(routing)
        if router is not None:
            routing.use("v1", router)
        return routing


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    for routing in made.made:
        routing.close()


def decide(routing: Routing, asked: Ask) -> Routed:
    return asyncio.run(routing.decide(asked))


# The router decides


def test_the_best_comes_first_and_the_next_best_after_it(desk: Desk) -> None:
    routed = decide(desk(router=SpokenRouter(EXPECTED)), ask())
    assert routed.arms == ("large", "middle", "small")
    assert (routed.why, routed.policy, routed.router) == ("best", "performance", "v1")
    assert routed.propensity == 1.0
    assert routed.propensities == {"large": 1.0}
    assert routed.estimates == EXPECTED
    assert routed.excluded == {}


def test_the_name_sets_the_trade_off(desk: Desk) -> None:
    settings = RoutingSettings(auto="balance", cheap="cost", best="performance")
    routing = desk(router=SpokenRouter(EXPECTED), settings=settings)
    first = {
        model: decide(routing, ask(model=model))
        for model in ("auto", "auto:cheap", "auto:best", "auto:1", "auto:0", "auto:price:0.0001")
    }
    assert first["auto"].policy == "balance"
    assert first["auto:cheap"].arms[0] == "small"
    assert first["auto:best"].arms[0] == "large"
    assert first["auto:1"].arms == ("small", "middle", "large")
    assert first["auto:0"].arms == ("large", "middle", "small")
    assert first["auto:0"].policy == "auto:0"
    assert first["auto:price:0.0001"].policy == "price:0.0001"


def test_the_clients_own_policy_comes_before_the_names(desk: Desk) -> None:
    routing = desk(router=SpokenRouter(EXPECTED))
    routed = decide(routing, ask(model="auto:cheap", policy=Policy.parse("performance")))
    assert routed.arms[0] == "large"


def test_a_ceiling_leaves_dear_arms_out_even_as_a_fallback(desk: Desk) -> None:
    fleet = make_fleet(*EXPECTED, "stranger")
    routing = desk(fleet, SpokenRouter(EXPECTED))
    routed = decide(routing, ask(policy=Policy.parse("performance,max:0.005")))
    assert routed.arms == ("middle", "small")
    assert routed.excluded.keys() == {"large", "stranger"}
    assert "ceiling" in routed.excluded["large"]
    routed = decide(routing, ask(policy=Policy.parse("performance,max:0.0001")))
    assert routed.arms == ("small",)


def test_a_budget_is_kept(desk: Desk) -> None:
    routing = desk(router=SpokenRouter(EXPECTED))
    for usd_per_1000, arm in ((2.0, "small"), (5.0, "middle"), (20.0, "large")):
        routed = decide(routing, ask(policy=Policy.budget(usd_per_1000)))
        assert routed.arms[0] == arm
    with pytest.raises(Refusal, match="cheapest choice costs 1 USD per 1,000") as refused:
        decide(routing, ask(policy=Policy.budget(0.5)))
    assert refused.value.status == 400
    with pytest.raises(Refusal, match="cheapest choice costs"):
        decide(routing, ask(model="auto:budget:0.5"))
    routing = desk(router=SpokenRouter(EXPECTED), settings=RoutingSettings(auto="budget:0.5"))
    routed = decide(routing, ask())
    assert routed.why == "default", "the operator's budget is not the client's fault"
    assert "cheapest choice costs" in routed.excluded[ROUTER]


def test_an_arm_of_unknown_cost_comes_last_where_cost_counts(desk: Desk) -> None:
    expected = EXPECTED | {"middle": (0.99, math.nan)}
    routing = desk(router=SpokenRouter(expected), settings=RoutingSettings(auto="balance"))
    routed = decide(routing, ask())
    assert routed.arms[-1] == "middle"
    assert routed.estimates["middle"] == (0.99, None)
    assert decide(routing, ask(model="auto:best")).arms[0] == "middle"


def test_arms_of_the_router_alone_are_passed_over(desk: Desk) -> None:
    router = SpokenRouter(EXPECTED | {"gone": (1.0, 0.0)})
    routed = decide(desk(router=router), ask())
    assert routed.arms == ("large", "middle", "small")
    assert routed.estimates == EXPECTED


def test_arms_of_the_fleet_alone_come_last(desk: Desk) -> None:
    fleet = make_fleet("cheap stranger", *EXPECTED, "dear stranger")
    routing = desk(fleet, SpokenRouter(EXPECTED))
    for policy in ("performance", "cost"):
        routed = decide(routing, ask(policy=Policy.parse(policy)))
        assert routed.arms[3:] == ("cheap stranger", "dear stranger")
        assert routed.estimates.keys() == EXPECTED.keys()


def test_a_router_without_an_arm_of_the_fleet_is_refused_and_the_old_one_stays(desk: Desk) -> None:
    routing = desk(router=SpokenRouter(EXPECTED))
    with pytest.raises(ConfigError, match="v2 knows gone, none of which the settings have"):
        routing.use("v2", SpokenRouter({"gone": (1.0, 0.1)}))
    assert routing.version == "v1"
    assert decide(routing, ask()).router == "v1"


def test_a_model_for_embeddings_is_never_chosen(desk: Desk) -> None:
    fleet = make_fleet("vectors", *EXPECTED, vectors={"embeds": True})
    for router in (None, SpokenRouter(EXPECTED)):
        assert "vectors" not in decide(desk(fleet, router), ask()).arms
    with pytest.raises(Refusal, match="no model of this gateway answers chats") as refused:
        decide(desk(make_fleet("vectors", vectors={"embeds": True})), ask())
    assert refused.value.status == 404


def test_fixed_and_random_routers_choose_in_their_own_way(desk: Desk) -> None:
    table = make_table(60, 3)
    fleet = make_fleet(*table.arm_names)
    routing = Routing(fleet, BEST, seed=0)
    desk.made.append(routing)
    dearest = make_router("dearest").fit(table)
    routing.use("v1", dearest)
    chosen = dearest.arms_[int(dearest.chosen_)].name  # type: ignore[attr-defined]
    routed = decide(routing, ask(policy=Policy.parse("cost")))
    assert (routed.arms[0], routed.propensity) == (chosen, 1.0)
    routing.use("v2", make_router("random").fit(table))
    routed = decide(routing, ask())
    assert routed.propensities == pytest.approx(dict.fromkeys(sorted(table.arm_names), 1 / 3))
    drawn = {decide(routing, ask()).arms[0] for _ in range(60)}
    assert drawn == set(table.arm_names)


def test_a_paper_router_decides_by_its_own_policy_alone(desk: Desk) -> None:
    router = SpokenRouter(
        {"small": (0.3, 0.001), "middle": (0.2, 0.0), "large": (-0.5, 0.2)}, reward_of="balance"
    )
    routing = desk(router=router, settings=RoutingSettings(auto="balance"))
    routed = decide(routing, ask())
    assert routed.arms == ("small", "middle", "large")
    assert routed.estimates["large"] == (-0.5, 0.2)
    for model in ("auto:best", "auto:budget:0.5"):
        routed = decide(routing, ask(model=model))
        assert (routed.why, routed.arms[0]) == ("default", "small")
    routed = decide(routing, ask(model="auto:best"))
    assert "learned the labels of policy 'balance'" in routed.excluded[ROUTER]


def test_costs_that_nobody_knows(desk: Desk) -> None:
    router = SpokenRouter({name: (quality, math.nan) for name, (quality, _) in EXPECTED.items()})
    routing = desk(router=router, settings=RoutingSettings(auto="balance"))
    routed = decide(routing, ask())
    assert (routed.why, routed.arms[0]) == ("default", "small")
    assert "no arm's cost is known" in routed.excluded[ROUTER]
    assert decide(routing, ask(model="auto:best")).arms[0] == "large"


# The client decides


def test_a_name_bypasses_the_router(desk: Desk) -> None:
    fleet = make_fleet(
        "small", "large", small={"strategies": ("think", "direct")},
        large={"strategies": ("think", "format")},
    )  # fmt: skip
    routing = desk(fleet, SpokenRouter(EXPECTED))
    named = {name: decide(routing, ask(model=name)) for name in ("small", "small|think", "large")}
    assert {name: routed.arms for name, routed in named.items()} == {
        "small": ("small",), "small|think": ("small|think",), "large": ("large|think",),
    }  # fmt: skip
    routed = named["small"]
    assert (routed.why, routed.router, routed.propensity) == ("fixed", None, None)


def test_a_name_that_there_is_not(desk: Desk) -> None:
    routing = desk()
    with pytest.raises(Refusal, match="no model 'gpt-9'; there are auto, small, mid") as refused:
        decide(routing, ask(model="gpt-9"))
    assert (refused.value.status, refused.value.code) == (404, "model_not_found")
    with pytest.raises(Refusal, match=r"there are auto, large$"):
        decide(routing, ask(model="gpt-9", allowed=frozenset({"large"})))
    planned, allowed = desk(plans={"careful": ("small",)}), frozenset({"large", "careful"})
    with pytest.raises(Refusal, match=r"there are auto, large, careful$"):
        decide(planned, ask(model="gpt-9", allowed=allowed))
    with pytest.raises(Refusal, match=r"no model 'x{199};") as refused:
        decide(routing, ask(model="x" * 10_000_000))
    assert len(refused.value.message) < 400


def test_a_name_that_the_key_does_not_allow(desk: Desk) -> None:
    with pytest.raises(Refusal, match="does not allow the model 'large'") as refused:
        decide(desk(), ask(model="large", allowed=frozenset({"small"})))
    assert refused.value.status == 403


def test_no_model_may_be_called_auto(desk: Desk) -> None:
    with pytest.raises(ConfigError, match="a model is called 'auto:fast'"):
        desk(make_fleet("small", "auto:fast"))


# Nobody decides


def test_the_cheapest_arm_answers_where_there_is_no_router(desk: Desk) -> None:
    fleet = make_fleet(
        "dear", "cheap", "unpriced",
        dear={"input_price": 50.0}, unpriced={"input_price": None, "output_price": None},
        cheap={"strategies": ("think", "direct")},
    )  # fmt: skip
    routed = decide(desk(fleet), ask())
    assert routed.arms == ("cheap", "cheap|think", "dear", "unpriced")
    assert (routed.why, routed.router, routed.propensity) == ("default", None, None)
    assert "no router" in routed.excluded[ROUTER]
    named = desk(fleet, settings=RoutingSettings(default_arm="dear"))
    assert decide(named, ask()).arms == ("dear", "cheap", "cheap|think", "unpriced")
    with pytest.raises(ConfigError, match="'large' is no arm that answers chats; there are cheap"):
        desk(fleet, settings=RoutingSettings(default_arm="large"))


def test_a_router_that_fails_leaves_it_to_the_default_arm(desk: Desk) -> None:
    routing = desk(router=SpokenRouter(EXPECTED))
    routed = decide(routing, ask("poison"))
    assert (routed.why, routed.arms[0]) == ("default", "small")
    assert routed.excluded[ROUTER] == "EncoderError: this text cannot be read"
    assert decide(routing, ask("fine")).why == "best"


def test_an_estimate_that_is_no_number_leaves_it_to_the_default_arm(desk: Desk) -> None:
    routing = desk(router=SpokenRouter(EXPECTED | {"small": (math.nan, 0.1)}))
    routed = decide(routing, ask())
    assert routed.why == "default"
    assert "no finite number" in routed.excluded[ROUTER]


def test_a_router_that_is_too_slow_leaves_it_to_the_default_arm(desk: Desk) -> None:
    gate = Event()
    router = SpokenRouter(EXPECTED, gate=gate)
    routing = desk(router=router, settings=RoutingSettings(decide_within_s=0.05))
    routed = decide(routing, ask())
    assert (routed.why, routed.arms[0]) == ("default", "small")
    assert routed.excluded[ROUTER] == "it took longer than 0.05 s"
    gate.set()


# Estimates


def test_what_waits_is_estimated_at_once_and_kept(desk: Desk) -> None:
    router = SpokenRouter(EXPECTED)
    routing = desk(router=router)

    async def run() -> list[Routed]:
        return await asyncio.gather(*(routing.decide(ask(f"text {i}")) for i in range(40)))

    assert all(routed.arms[0] == "large" for routed in asyncio.run(run()))
    assert sum(len(texts) for texts in router.asked) == 40
    assert len(router.asked) < 20
    asyncio.run(run())
    assert sum(len(texts) for texts in router.asked) == 40


def test_a_text_that_fails_fails_alone(desk: Desk) -> None:
    routing = desk(router=SpokenRouter(EXPECTED))

    async def run() -> list[Routed]:
        texts = [*(f"text {i}" for i in range(10)), "poison", *(f"{i}" for i in range(10))]
        return await asyncio.gather(*(routing.decide(ask(text)) for text in texts))

    whys = [routed.why for routed in asyncio.run(run())]
    assert whys == ["best"] * 10 + ["default"] + ["best"] * 10


def test_a_very_long_text_is_looked_at_from_both_ends(desk: Desk) -> None:
    router = SpokenRouter(EXPECTED)
    routed = decide(desk(router=router), ask("begin " + "x" * 5_000_000 + " end"))
    assert routed.why == "best"
    ((seen,),) = router.asked
    assert len(seen) <= 20_000
    assert (seen[:5], seen[-3:]) == ("begin", "end")


@pytest.mark.parametrize("text", ["", "\x00", "a\ud800b", "漢" * 100, " \n"])
def test_odd_texts(desk: Desk, text: str) -> None:
    table = make_table(40, 3)
    routing = Routing(make_fleet(*table.arm_names), BEST)
    desk.made.append(routing)
    routing.use("v1", make_router("ridge").fit(table))
    assert decide(routing, ask(text)).why == "best"


def test_a_new_version_decides_from_the_next_request_on(desk: Desk) -> None:
    gate = Event()
    old, new = SpokenRouter(EXPECTED, gate=gate), SpokenRouter(EXPECTED | {"small": (1.0, 0.0)})
    routing = desk(router=old, settings=RoutingSettings(auto="performance", decide_within_s=10))

    async def run() -> tuple[Routed, Routed]:
        early = asyncio.create_task(routing.decide(ask()))
        await asyncio.sleep(0.01)
        routing.use("v2", new)
        late = await routing.decide(ask())
        gate.set()
        return await early, late

    early, late = asyncio.run(run())
    assert (early.router, early.arms[0]) == ("v1", "large")
    assert (late.router, late.arms[0]) == ("v2", "small")
    routing.use(None, None)
    assert decide(routing, ask()).why == "default"


def test_the_task_of_a_text(desk: Desk) -> None:
    routing = desk(router=SpokenRouter(EXPECTED, odds=(0.4, 0.6)))
    assert asyncio.run(routing.task("hello")) == "sums"
    assert asyncio.run(routing.task("poison")) is None
    assert asyncio.run(desk().task("hello")) is None


# Shadows


def test_shadow_routers_are_recorded_and_waited_for_by_nobody(desk: Desk) -> None:
    gate = Event()
    slow = SpokenRouter(EXPECTED | {"small": (1.0, 0.0)}, gate=gate)
    routing = desk(router=SpokenRouter(EXPECTED))
    routing.shadow("s1", slow)
    routing.shadow("s2", SpokenRouter({"middle": (1.0, 0.0), "other": (1.0, 0.0)}))
    assert routing.shadows == ("s1", "s2")

    async def run() -> tuple[Routed, dict[str, str], Routed]:
        routed = await routing.decide(ask())
        early = dict(routed.shadow)
        gate.set()
        async with asyncio.timeout(10):
            while not {"s1", "s2"} <= set(routed.shadow):
                await asyncio.sleep(0.001)
        return routed, early, await routing.decide(ask())

    routed, early, again = asyncio.run(run())
    assert routed.arms[0] == "large"
    assert "s1" not in early
    assert routed.shadow == again.shadow == {"s1": "small", "s2": "middle"}
    routing.shadow("s1", None)
    assert decide(routing, ask()).shadow == {"s2": "middle"}


def test_a_shadow_router_that_fails_is_not_recorded(desk: Desk) -> None:
    routing = desk()
    routing.shadow("s1", SpokenRouter(EXPECTED))

    async def run() -> Routed:
        routed = await routing.decide(ask("poison"))
        await asyncio.sleep(0.05)
        return routed

    routed = asyncio.run(run())
    assert (routed.shadow, routed.why) == ({}, "default")
