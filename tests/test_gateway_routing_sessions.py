"""A conversation stays on its arm, whichever worker it comes to."""

from __future__ import annotations

import asyncio
import math
import multiprocessing
from typing import TYPE_CHECKING, Any

import pytest

from fusionfactory.errors import ConfigError
from fusionfactory.gateway.routing.decider import Routing
from fusionfactory.gateway.routing.sessions import Sessions
from fusionfactory.policy import Policy
from fusionfactory.serve_settings import ExplorationSettings, RoutingSettings
from spoken_router import SpokenRouter, ask, make_fleet

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.gateway.routing.ask import Routed

ARMS = ("a", "b", "c")


class Clock:
    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        return self.now


# The table


def test_a_conversation_is_remembered_until_it_is_silent_for_too_long() -> None:
    clock = Clock()
    table = Sessions(None, 60, ARMS, clock=clock)
    assert table.get("one") is None
    table.put("one", "b")
    table.put("two\ud800", "c")
    assert (table.get("one"), table.get("two\ud800"), table.get("three")) == ("b", "c", None)
    clock.now += 59
    table.put("one", "a")
    clock.now += 59
    assert (table.get("one"), table.get("two\ud800")) == ("a", None)


def test_the_table_has_room_for_the_latest(tmp_path: Path) -> None:
    clock = Clock()
    table = Sessions(tmp_path / "sessions", 1e9, ARMS, entries=1024, clock=clock)
    for i in range(20_000):
        clock.now += 1
        table.put(f"{i}", ARMS[i % 3])
    (file,) = tmp_path.iterdir()
    assert file.stat().st_size < 50_000
    late = [i for i in range(19_800, 20_000) if table.get(f"{i}") == ARMS[i % 3]]
    assert len(late) > 190
    assert all(table.get(f"{i}") is None for i in range(10_000))


def test_an_arm_that_is_gone_is_no_arm(tmp_path: Path) -> None:
    Sessions(tmp_path / "s", 60, ARMS).put("one", "b")
    assert Sessions(tmp_path / "s", 60, ("a", "c")).get("one") is None
    assert Sessions(tmp_path / "s", 60, ("c", "b", "new")).get("one") == "b"


def test_a_torn_entry_is_read_as_none(tmp_path: Path) -> None:
    table = Sessions(tmp_path / "s", 60, ARMS, entries=8)
    table.put("one", "b")
    (file,) = tmp_path.iterdir()
    content = bytearray(file.read_bytes())
    at = next(i for i, byte in enumerate(content) if byte) + 20
    with file.open("r+b") as opened:
        opened.seek(at)
        opened.write(bytes([content[at] ^ 1]))
    assert table.get("one") is None
    table.put("one", "c")
    assert table.get("one") == "c"


def _write(folder: Path, worker: int) -> None:
    table = Sessions(folder / "s", 1e9, ARMS, entries=8192)
    for i in range(3000):
        table.put(f"{i % 700}", ARMS[(i + worker) % 3])
    table.put(f"last of {worker}", ARMS[worker])


def test_workers_share_the_table(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_write, args=(tmp_path, i)) for i in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    table = Sessions(tmp_path / "s", 1e9, ARMS, entries=8192)
    assert [table.get(f"last of {i}") for i in range(2)] == ["a", "b"]
    assert {table.get(f"{i}") for i in range(700)} <= {*ARMS, None}


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"s\.320: cannot be shared by the workers: "):
        Sessions(tmp_path / "file" / "s", 60, ARMS, entries=8)


# Staying and moving


def decide(routing: Routing, **facts: Any) -> Routed:  # noqa: ANN401  any field
    return asyncio.run(routing.decide(ask(session="one", **facts)))


TEXTS = {
    "first": {"a": (0.70, 0.001), "b": (0.60, 0.002), "c": (0.50, 0.003)},
    "little better": {"a": (0.66, 0.001), "b": (0.70, 0.002), "c": (0.50, 0.003)},
    "much better": {"a": (0.60, 0.001), "b": (0.70, 0.002), "c": (0.50, 0.003)},
    "without its cost": {"a": (0.70, math.nan), "b": (0.60, 0.002), "c": (0.50, 0.003)},
}


def made(tmp_path: Path | None = None, policy: str = "performance", **options: Any) -> Routing:  # noqa: ANN401
    routing = Routing(make_fleet(*ARMS), RoutingSettings(auto=policy), shared=tmp_path, **options)
    routing.use("v1", SpokenRouter(TEXTS["first"], texts=TEXTS))
    return routing


def test_it_stays_unless_the_gain_exceeds_the_cost_of_a_change() -> None:
    routing = made()
    assert (decide(routing, text="first").why, decide(routing, text="first").why) == (
        "best",
        "session",
    )
    stayed = decide(routing, text="little better")
    assert (stayed.arms, stayed.why) == (("a", "b", "c"), "session")
    assert (stayed.propensity, stayed.propensities) == (1.0, {"a": 1.0})
    moved = decide(routing, text="much better")
    assert (moved.arms, moved.why) == (("b", "a", "c"), "best")
    assert decide(routing, text="first", model="auto:0").arms[0] == "a"
    routing.close()


def test_the_cost_of_a_change_counts_by_the_policy() -> None:
    """At 10 USD a point, .05 are worth 50 USD; by normalised weights, what .05 are worth there."""
    routing = made()
    decide(routing, text="first")
    dear = Policy.price(10.0)
    assert decide(routing, text="little better", policy=dear).arms[0] == "a"
    assert decide(routing, text="much better", policy=dear).arms[0] == "b"
    # By cost alone quality is worth nothing, so any saving moves the conversation.
    assert decide(routing, text="first", model="auto:1").arms[0] == "a"
    routing.close()


def test_it_moves_on_where_its_arm_cannot_answer() -> None:
    down: set[str] = set()
    routing = made(healthy=lambda target: target.name not in down)
    decide(routing, text="first")
    found = decide(routing, text="first", allowed=frozenset({"b", "c"}))
    assert (found.arms[0], found.why) == ("b", "best")
    routing.answered("one", "a")
    assert decide(routing, text="first").why == "session"
    down.add("a")
    found = decide(routing, text="first")
    assert (found.arms, found.why) == (("b", "c", "a"), "best")
    routing.close()


def test_it_moves_on_where_the_policy_rules_its_arm_out() -> None:
    routing = made(policy="balance")
    decide(routing, text="first")
    found = decide(routing, text="without its cost")
    assert (found.arms[0] != "a", found.why) == (True, "best")
    routing.close()


def test_it_keeps_its_arm_where_the_router_cannot_decide() -> None:
    routing = made()
    decide(routing, text="much better")
    found = decide(routing, text="poison")
    assert (found.arms[0], found.why, found.propensity) == ("b", "session", None)
    routing.close()


def test_what_answered_in_place_of_the_chosen_arm_becomes_its_own() -> None:
    routing = made()
    decide(routing, text="first")
    routing.answered("one", "b")
    routing.answered(None, "c")
    routing.answered("one", "no arm of the fleet")
    routing.use("v2", SpokenRouter(TEXTS["little better"]))
    found = decide(routing, text="first")
    assert (found.arms[0], found.why) == ("b", "session")
    routing.close()


def test_a_name_leaves_the_conversation_where_it_is() -> None:
    routing = made()
    decide(routing, text="first")
    assert decide(routing, text="first", model="c").arms == ("c",)
    assert decide(routing, text="first").arms[0] == "a"
    routing.close()


def test_a_conversation_is_not_explored_with_twice(tmp_path: Path) -> None:
    always = ExplorationSettings(method="epsilon", share=1.0)
    routing, other = (made(tmp_path, exploration=always, seed=i) for i in range(2))
    first = decide(routing, text="little better")
    assert first.propensities == pytest.approx(dict.fromkeys(ARMS, 1 / 3))
    routing.answered("one", "a")
    for worker in [routing, other] * 20:
        found = decide(worker, text="little better")
        assert (found.arms[0], found.why, found.propensity) == ("a", "session", 1.0)
    routing.close()
    other.close()
