"""The engine of paid calls and the collector, against clients that behave as they are told."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from fusionfactory.calls import Answer, Progress, run_calls
from fusionfactory.clients import ChatReply, ChatRequest
from fusionfactory.collect import ArmCall, collect, interleaved
from fusionfactory.errors import CallError, ConfigError, StoreError
from fusionfactory.pricing import CallPrice
from fusionfactory.store import Store
from fusionfactory.types import Arm, Outcome, Query

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PRICE = CallPrice("made-up", input_price=1.0, output_price=2.0)
COST_USD = (100 * 1.0 + 50 * 2.0) * 1e-6


@dataclass
class Scripted:
    """Answers by a function of the question; counts what it was asked and what was in flight."""

    answer: Callable[[str], ChatReply]
    concurrency: int = 4
    asked: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    most_in_flight: int = 0
    closed: bool = False
    dropped: int = 0

    async def complete(self, request: ChatRequest) -> ChatReply:
        text = str(request.messages[-1]["content"])
        self.asked[text] += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(0)
            return self.answer(text)
        finally:
            self.in_flight -= 1

    def drop_waiting(self) -> None:
        self.dropped += 1

    async def close(self) -> None:
        self.closed = True


def echo(text: str) -> ChatReply:
    return ChatReply(f"re: {text}", "stop", 100, 50, 0.25)


def make_calls(
    count: int, *, arms: tuple[str, ...] = ("m",), endpoint: str = "e", price: CallPrice = PRICE
) -> list[ArmCall]:
    return [
        ArmCall(
            Query(f"q{i}", f"question {i}", task="t"),
            Arm.parse(arm),
            ChatRequest(arm, ({"role": "user", "content": f"{arm} {i}"},)),
            endpoint,
            price,
        )
        for i in range(count)
        for arm in arms
    ]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs.db")


def test_outcomes_hold_what_came_back(store: Store) -> None:
    client = Scripted(echo)
    summary = collect(store, make_calls(10, arms=("m", "m|think")), {"e": client})
    assert (summary.done, summary.failed, summary.left) == (20, 0, 0)
    assert summary.spent_usd == pytest.approx(20 * COST_USD)
    outcome = next(store.outcomes())
    assert (outcome.response, outcome.finish_reason) == ("re: m 0", "stop")
    assert (outcome.input_tokens, outcome.output_tokens, outcome.latency_s) == (100, 50, 0.25)
    assert outcome.cost_usd == pytest.approx(COST_USD)
    assert outcome.created is not None
    assert outcome.created.tzinfo is not None
    assert client.closed
    assert 1 < client.most_in_flight <= client.concurrency
    assert [arm.input_price for arm in store.arms()] == [1.0, 1.0]


def test_a_second_run_asks_nothing(store: Store) -> None:
    collect(store, make_calls(5), {"e": Scripted(echo)})
    again = Scripted(echo)
    assert collect(store, make_calls(7), {"e": again}).done == 2
    assert set(again.asked) == {"m 5", "m 6"}


def test_a_failed_call_is_an_outcome_and_discards_no_other(store: Store) -> None:
    def answer(text: str) -> ChatReply:
        if text == "m|think 1":
            msg = "500: boom"
            raise CallError(msg, status=500, input_tokens=100, output_tokens=0)
        return echo(text)

    summary = collect(store, make_calls(3, arms=("m", "m|think")), {"e": Scripted(answer)})
    assert (summary.done, summary.failed, summary.errors) == (6, 1, {"500: boom": 1})
    failed = [outcome for outcome in store.outcomes() if outcome.error]
    assert [(o.query_id, o.arm, o.error, o.response) for o in failed] == [
        ("q1", "m|think", "500: boom", None)
    ]
    assert failed[0].cost_usd == pytest.approx(100e-6)
    held = Scripted(echo)
    assert collect(store, make_calls(3, arms=("m", "m|think")), {"e": held}).done == 0
    calls = make_calls(3, arms=("m", "m|think"))
    assert collect(store, calls, {"e": held}, retry_failed=True).done == 1
    assert set(held.asked) == {"m|think 1"}
    assert not store.failures()


def test_several_samples_are_several_outcomes(store: Store) -> None:
    calls = [replace(call, sample=number) for call in make_calls(2) for number in range(3)]
    assert collect(store, calls, {"e": Scripted(echo)}).done == 6
    assert {key[2] for key in store.keys()} == {0, 1, 2}  # noqa: SIM118  no dict


def test_a_call_is_told_apart_by_its_outcome_and_what_is_retried_from_what_failed(
    store: Store,
) -> None:
    occasions: list[str | None] = []

    @dataclass
    class Failing(Scripted):
        async def complete(self, request: ChatRequest) -> ChatReply:
            occasions.append(request.occasion)
            msg = "no"
            raise CallError(msg)

    calls = [replace(make_calls(1)[0], sample=number) for number in range(2)]
    collect(store, calls, {"e": Failing(echo)})
    assert occasions == ["q0 m 0", "q0 m 1"]
    for _ in range(2):
        collect(store, calls, {"e": Failing(echo)}, retry_failed=True)
    assert len(set(occasions)) == len(occasions) == 6


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_budget_is_overrun_by_the_calls_in_flight_at_most(store: Store, concurrency: int) -> None:
    budget = 10.5 * COST_USD
    client = Scripted(echo, concurrency=concurrency)
    summary = collect(store, make_calls(100), {"e": client}, budget_usd=budget)
    assert budget <= summary.spent_usd < budget + concurrency * COST_USD
    assert summary.left == 100 - summary.done
    spent = f"the budget of {budget:g} USD is spent"
    assert summary.stopped == (spent,)
    # What the store holds counts: running again with the same budget buys nothing.
    again = collect(store, make_calls(100), {"e": Scripted(echo)}, budget_usd=budget)
    assert (again.done, again.stopped) == (0, (spent,))


def test_a_budget_ends_an_endpoint_that_does_not_say_what_it_used(store: Store) -> None:
    mute = Scripted(lambda text: ChatReply(text), concurrency=2)
    summary = collect(store, make_calls(50), {"e": mute}, budget_usd=1.0)
    assert summary.done == summary.unpriced <= mute.concurrency
    assert summary.left == 50 - summary.done
    assert summary.stopped == ("e does not say what a call used: no budget holds",)


def test_a_budget_needs_prices(store: Store) -> None:
    calls = make_calls(1, price=CallPrice(None))
    with pytest.raises(ConfigError, match="'m' is unknown: set its input_price"):
        collect(store, calls, {"e": Scripted(echo)}, budget_usd=1.0)


def test_an_unknown_cost_stays_unknown(store: Store) -> None:
    summary = collect(store, make_calls(3, price=CallPrice(None)), {"e": Scripted(echo)})
    assert (summary.spent_usd, summary.unpriced) == (0.0, 3)
    assert [outcome.cost_usd for outcome in store.outcomes()] == [None] * 3


def test_a_client_must_be_there(store: Store) -> None:
    with pytest.raises(ConfigError, match="no client for the endpoint 'e'; known: other"):
        collect(store, make_calls(1), {"other": Scripted(echo)})


def test_a_refused_key_ends_the_endpoint_and_leaves_no_outcome(store: Store) -> None:
    def refuse(text: str) -> ChatReply:
        msg = "401: bad key"
        raise CallError(msg, status=401)

    calls = make_calls(50, endpoint="closed")
    closed = Scripted(refuse)
    with pytest.raises(CallError, match="401: bad key"):
        collect(store, calls, {"closed": closed})
    assert store.count() == 0
    assert sum(closed.asked.values()) <= closed.concurrency
    mixed = [*calls, *make_calls(5, arms=("n",), endpoint="open")]
    summary = collect(store, mixed, {"closed": closed, "open": Scripted(echo)})
    assert (summary.done, summary.left) == (5, 50)
    assert summary.stopped == ("closed refuses: 401: bad key",)


def test_a_refusal_is_told_where_every_call_was_in_flight(store: Store) -> None:
    def refuse(text: str) -> ChatReply:
        msg = "401: bad key"
        raise CallError(msg, status=401)

    calls = [*make_calls(3, endpoint="closed"), *make_calls(2, arms=("n",), endpoint="open")]
    clients = {"closed": Scripted(refuse, concurrency=8), "open": Scripted(echo)}
    summary = collect(store, calls, clients)
    assert (summary.done, summary.left) == (2, 3)
    assert summary.stopped == ("closed refuses: 401: bad key",)


@pytest.mark.parametrize("status", [401, 402])
def test_an_account_that_may_not_ask_leaves_no_outcome(store: Store, status: int) -> None:
    def refuse(text: str) -> ChatReply:
        msg = f"{status}: no more"
        raise CallError(msg, status=status)

    with pytest.raises(CallError, match=f"{status}: no more"):
        collect(store, make_calls(50), {"e": Scripted(refuse)})
    assert store.count() == 0


def test_an_unknown_model_ends_its_own_calls_alone(store: Store) -> None:
    def answer(text: str) -> ChatReply:
        if text.startswith("typo"):
            msg = "404: no such model"
            raise CallError(msg, status=404)
        return echo(text)

    client = Scripted(answer)
    summary = collect(store, make_calls(50, arms=("typo", "m")), {"e": client})
    assert (summary.done, summary.failed, summary.left) == (50, 0, 50)
    assert summary.stopped == ("e refuses: 404: no such model",)
    assert sum(count for text, count in client.asked.items() if text.startswith("typo")) <= 4


def test_a_moderated_prompt_is_a_failure_like_any_other(store: Store) -> None:
    def answer(text: str) -> ChatReply:
        if text == "m 1":
            msg = "403: moderated"
            raise CallError(msg, status=403)
        return echo(text)

    summary = collect(store, make_calls(4), {"e": Scripted(answer)})
    assert (summary.done, summary.errors) == (4, {"403: moderated": 1})


def test_an_endpoint_that_only_fails_is_given_up(store: Store) -> None:
    def fail(text: str) -> ChatReply:
        msg = "connection refused"
        raise CallError(msg)

    summary = collect(store, make_calls(500), {"e": Scripted(fail)})
    assert 25 <= summary.done == summary.failed <= 28
    assert "given up after 25 failures in a row: connection refused" in summary.stopped[0]
    assert summary.left == 500 - summary.done


def test_progress_tells_how_far(store: Store) -> None:
    seen: list[tuple[int, int]] = []

    def note(progress: Progress) -> None:
        seen.append((progress.done, progress.total))
        assert (progress.left_s is None) == (progress.done == 0)

    collect(store, make_calls(9), {"e": Scripted(echo)}, progress=note)
    assert seen[0] == (0, 9)
    assert seen[-1] == (9, 9)
    assert seen == sorted(seen)


def test_the_first_interrupt_waits_for_the_calls_in_flight(store: Store) -> None:
    def answer(text: str) -> ChatReply:
        if text == "m 20":
            os.kill(os.getpid(), signal.SIGINT)
        return echo(text)

    client = Scripted(answer, concurrency=4)
    summary = collect(store, make_calls(100), {"e": client})
    assert summary.stopped == ("interrupted",)
    assert summary.done == sum(client.asked.values()) == store.count()
    assert summary.left == 100 - summary.done > 0
    assert collect(store, make_calls(100), {"e": Scripted(echo)}).done == summary.left


def test_the_second_interrupt_drops_them(store: Store) -> None:
    @dataclass
    class Slow(Scripted):
        async def complete(self, request: ChatRequest) -> ChatReply:
            self.asked[str(request.messages[-1]["content"])] += 1
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(3600)
            raise AssertionError

    summary = collect(store, make_calls(10), {"e": Slow(echo, concurrency=2)})
    assert (summary.done, summary.left) == (0, 10)


def test_a_sink_that_fails_ends_the_run() -> None:
    def sink(answers: list[Answer[ArmCall]]) -> None:
        msg = "disk full"
        raise StoreError(msg)

    with pytest.raises(StoreError, match="disk full"):
        asyncio.run(run_calls(make_calls(50), {"e": Scripted(echo)}, sink))


def test_a_run_beside_another_one_ends_and_keeps_what_that_one_lacks(store: Store) -> None:
    def answer(text: str) -> ChatReply:
        if text == "m 2":
            store.append([Outcome("q0", "m", response="of the other run")])
        return echo(text)

    with pytest.raises(StoreError, match="another run makes the same calls"):
        collect(store, make_calls(100), {"e": Scripted(answer)})
    responses = {outcome.query_id: outcome.response for outcome in store.outcomes()}
    assert responses["q0"] == "of the other run"
    assert {"q1", "q2"} <= set(responses)


def test_a_slow_sink_holds_further_calls_back() -> None:
    written, most_unwritten = 0, 0

    def sink(answers: list[Answer[ArmCall]]) -> None:
        nonlocal written, most_unwritten
        time.sleep(0.05)
        most_unwritten = max(most_unwritten, sum(client.asked.values()) - written)
        written += len(answers)

    client = Scripted(echo)
    summary = asyncio.run(run_calls(make_calls(5_000), {"e": client}, sink))
    assert summary.done == written == 5_000
    assert most_unwritten <= 1_000 + client.concurrency


def test_tasks_take_turns() -> None:
    queries = [
        Query(f"{task}{i}", "x", task=task) for task, n in (("a", 3), ("b", 1)) for i in range(n)
    ]
    assert [query.id for query in interleaved(queries)] == ["a0", "b0", "a1", "a2"]
