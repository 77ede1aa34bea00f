"""What of a request decides who can answer it: its trade-off, its size, its needs, its key."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusionfactory.errors import ConfigError
from fusionfactory.gateway.refusal import Refusal
from fusionfactory.gateway.routing.capabilities import Capabilities
from fusionfactory.gateway.routing.decider import Routing
from fusionfactory.gateway.routing.policies import Policies
from fusionfactory.policy import SCENARIOS, Policy
from fusionfactory.serve_settings import RoutingSettings
from spoken_router import SpokenRouter, ask, make_fleet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fusionfactory.gateway.routing.ask import Routed

POLICIES = Policies(RoutingSettings(auto="price:0.002", cheap="cost", best="performance"))


def excluded(fleet_settings: Mapping[str, Any], **facts: Any) -> dict[str, str]:  # noqa: ANN401
    fleet = make_fleet(*fleet_settings, **fleet_settings)
    return Capabilities(fleet, notes_tokens=500).excluded(ask(**facts))


# Policies


def test_names_numbers_and_the_librarys_policies() -> None:
    assert POLICIES.of(ask()) == Policy.parse("price:0.002")
    assert POLICIES.of(ask(model="auto:cheap")) == SCENARIOS["cost"]
    assert POLICIES.of(ask(model="auto:cost")) == SCENARIOS["cost"]
    assert POLICIES.of(ask(model="auto:budget:1.5,max:0.01")) == Policy.parse("budget:1.5,max:0.01")
    assert POLICIES.of(ask(model="auto:0.25")) == Policy("auto:0.25", 0.75, 0.25, normalised=True)
    assert POLICIES.of(ask(model="autopilot")) is None
    assert POLICIES.read("auto") == Policy.parse("price:0.002")
    own = Policy.parse("balance")
    assert POLICIES.of(ask(model="auto:best", policy=own)) == own


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "unknown policy ''"),
        ("fast", "unknown policy 'fast'"),
        ("1.5", "'1.5' is no weight of cost: it must lie in 0 to 1"),
        ("-0.1", "'-0.1' is no weight of cost"),
        ("nan", "'nan' is no weight of cost"),
        ("price:0", "price.*must be a positive number, got 0"),
        ("price:x", "'x' in policy 'price:x' is no number"),
        ("budget:1,min:2", "'min:2' in 'budget:1,min:2' is no ceiling"),
        ("x" * 101, "it is 101 characters long"),
    ],
)
def test_what_is_no_policy_is_refused(text: str, wrong: str) -> None:
    with pytest.raises(Refusal, match=wrong) as refused:
        POLICIES.of(ask(model=f"auto:{text}"))
    assert (refused.value.status, refused.value.param) == (400, "model")
    assert "Expected cheap, balanced, best, a weight of cost" in refused.value.message
    with pytest.raises(Refusal, match=wrong) as refused:
        POLICIES.read(text, "policy")
    assert refused.value.param == "policy"


@given(text=st.text(max_size=40))
@settings(max_examples=300, deadline=None)
def test_no_text_breaks_the_reading(text: str) -> None:
    with contextlib.suppress(Refusal):
        assert isinstance(POLICIES.read(text), Policy)


def test_a_setting_that_is_no_policy() -> None:
    with pytest.raises(ConfigError, match=r"field 'serve.routing.cheap': unknown policy 'free'"):
        Policies(RoutingSettings(cheap="free"))


# Size


def test_a_conversation_must_fit_with_its_answer() -> None:
    models = {
        "short": {"window_tokens": 1000}, "long": {"window_tokens": 9000}, "unknown": {},
    }  # fmt: skip
    assert excluded(models, input_tokens=1000) == {}
    assert excluded(models, input_tokens=1001) == {
        "short": "its window of 1000 tokens is too short for about 1001"
    }
    assert excluded(models, input_tokens=600, output_tokens=401) == {
        "short": "its window of 1000 tokens is too short for about 1001 with the answer"
    }
    assert excluded(models, input_tokens=10_000).keys() == {"short", "long"}


def test_the_window_of_a_file_is_what_it_is_loaded_with() -> None:
    local = {"gguf": "m.gguf", "endpoint": None, "context_tokens": 2048}
    assert excluded({"local": local, "other": {}}, input_tokens=2049).keys() == {"local"}
    wider = local | {"window_tokens": 4096}
    assert excluded({"local": wider, "other": {}}, input_tokens=2049) == {}


def test_notes_need_room_too() -> None:
    models = {"m": {"window_tokens": 1000, "strategies": ("direct", "thought:3", "gated")}}
    assert excluded(models, input_tokens=501).keys() == {"m|thought:3", "m|gated"}


def test_what_fits_nowhere_is_refused_with_every_reason() -> None:
    models = {"a": {"window_tokens": 300}, "b": {"window_tokens": 400}}
    with pytest.raises(Refusal, match=r"a: its window of 300 .*; b: its window of 400") as refused:
        excluded(models, input_tokens=500)
    assert (refused.value.status, refused.value.code) == (400, "context_length_exceeded")
    many = {f"m{i}": {"window_tokens": 300} for i in range(30)}
    with pytest.raises(Refusal, match=r"; and 22 others$"):
        excluded(many, input_tokens=500)


# Needs and keys


def test_needs_that_a_model_is_known_not_to_meet() -> None:
    models = {"plain": {"can": ()}, "tooled": {"can": ("tools", "json")}, "unknown": {}}
    assert excluded(models, needs=frozenset({"tools"})) == {"plain": "it does not support tools"}
    assert excluded(models, needs=frozenset({"images", "tools"})) == {
        "plain": "it does not support images",
        "tooled": "it does not support images",
    }
    del models["unknown"]
    with pytest.raises(Refusal, match="plain: it does not support images; tooled") as refused:
        excluded(models, needs=frozenset({"images"}))
    assert (refused.value.status, refused.value.code) == (400, "unsupported_request")


def test_a_key_allows_models_and_hears_of_no_others() -> None:
    models = {"open": {"can": ()}, "secret": {"strategies": ("direct", "think")}}
    assert excluded(models, allowed=frozenset({"open"})).keys() == {"secret", "secret|think"}
    assert excluded(models, allowed=frozenset({"secret"})).keys() == {"open"}
    with pytest.raises(Refusal, match=r"this request\. open: it does not") as refused:
        excluded(models, allowed=frozenset({"open"}), needs=frozenset({"tools"}))
    assert "secret" not in refused.value.message
    with pytest.raises(Refusal, match="the key allows no model") as refused:
        excluded(models, allowed=frozenset({"another"}))
    assert refused.value.status == 403


def routed(routing: Routing, **facts: Any) -> Routed:  # noqa: ANN401  any field
    try:
        return asyncio.run(routing.decide(ask(**facts)))
    finally:
        routing.close()


EXPECTED = {"small": (0.6, 0.001), "large": (0.9, 0.010)}


def test_the_router_chooses_among_those_that_can() -> None:
    fleet = make_fleet("small", "large", "other", large={"window_tokens": 500})
    routing = Routing(fleet, RoutingSettings(auto="performance"))
    routing.use("v1", SpokenRouter(EXPECTED))
    found = routed(routing, input_tokens=600)
    assert found.arms == ("small", "other")
    assert found.excluded.keys() == {"large"}
    assert found.estimates == EXPECTED


def test_where_only_strangers_to_the_router_can_one_of_them_answers() -> None:
    fleet = make_fleet("small", "large", "other", small={"can": ()}, large={"can": ()})
    routing = Routing(fleet, RoutingSettings(auto="performance"))
    routing.use("v1", SpokenRouter(EXPECTED))
    found = routed(routing, needs=frozenset({"tools"}))
    assert (found.arms, found.why, found.router) == (("other",), "default", None)
    assert found.excluded["(router)"] == "none of the arms that the router knows can answer this"


def test_arms_that_do_not_answer_at_present_come_last() -> None:
    fleet = make_fleet("small", "large", "other")
    down = {"large"}
    options: dict[str, Any] = {"healthy": lambda target: target.name not in down}
    routing = Routing(fleet, RoutingSettings(auto="performance"), **options)
    routing.use("v1", SpokenRouter(EXPECTED))
    found = routed(routing)
    assert found.arms == ("small", "other", "large")
    assert found.propensities == {"small": 1.0}
    assert "does not answer" in found.excluded["large"]
    down |= {"small", "other"}
    routing = Routing(fleet, RoutingSettings(auto="performance"), **options)
    routing.use("v1", SpokenRouter(EXPECTED))
    assert routed(routing).arms == ("large", "small", "other")
