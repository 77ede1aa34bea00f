"""Breakers and hedges: a model that keeps failing is left alone, one that is slow is overtaken."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusionfactory.gateway.refusal import Refusal
from fusionfactory.gateway.upstream.breaker import Breaker
from stub_upstream import Knobs, stub_upstream
from upstream_calls import calls_to, run, text_of

if TYPE_CHECKING:
    from upstream_calls import Calls


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("STUB_KEY", raising=False)


class Time:
    """Passes when the test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def seen(breaker: Breaker) -> tuple[str, float]:
    """State and wait."""
    return breaker.state, breaker.wait_s


def test_it_opens_after_failures_in_a_row_and_one_probe_closes_it() -> None:
    clock = Time()
    breaker = Breaker(3, 10.0, now=clock)
    for _ in range(2):
        assert breaker.begin()
        breaker.failed("no")
    breaker.succeeded()
    for _ in range(3):
        assert seen(breaker) == ("closed", 0.0)
        assert breaker.begin()
        breaker.failed("no")
    assert seen(breaker) == ("open", 10.0)
    clock.now = 9.0
    assert not breaker.begin()
    assert seen(breaker) == ("open", 1.0)
    clock.now = 10.0
    assert seen(breaker) == ("half_open", 0.0)
    assert breaker.begin()
    assert not breaker.begin(), "there is one probe at a time"
    assert breaker.wait_s > 0
    breaker.failed("still no")
    assert seen(breaker) == ("open", 10.0)
    assert breaker.last == "still no"
    clock.now = 20.0
    assert breaker.begin()
    breaker.abandoned()
    assert breaker.begin(), "a probe that was called off decides nothing"
    breaker.answered()
    assert seen(breaker) == ("closed", 0.0)
    assert breaker.begin()
    breaker.failed("again")
    assert seen(breaker) == ("open", 10.0), "an answer that is not yet whole forgives nothing"
    clock.now = 30.0
    assert breaker.begin()
    breaker.succeeded()
    breaker.failed("once")
    assert seen(breaker) == ("closed", 0.0)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["begin", "succeeded", "failed", "answered", "abandoned"]),
            st.integers(0, 4),
        ),
        max_size=60,
    )
)
def test_whatever_happens_it_lets_somebody_through_in_the_end(steps: list[tuple[str, int]]) -> None:
    clock = Time()
    breaker = Breaker(2, 3.0, now=clock)
    running = 0
    for what, seconds in steps:
        clock.now += seconds
        if what == "begin":
            may_pass = breaker.wait_s == 0.0
            assert breaker.begin() == may_pass
            running += may_pass
        elif running:
            running -= 1
            breaker.failed("no") if what == "failed" else getattr(breaker, what)()
    for _ in range(running):
        breaker.abandoned()
    clock.now += 3.0
    assert breaker.begin()


def test_an_endpoint_that_is_left_alone_is_not_asked_and_its_neighbour_is() -> None:
    async def body() -> None:
        with stub_upstream(bad=Knobs(fault="500")) as stub:
            async with calls_to(
                stub, "bad", "good", breaker_failures=3, breaker_open_s=60.0
            ) as calls:
                for _ in range(10):
                    assert text_of(await calls.whole("bad", "good")) == "good says: what is it?"
                state = calls.upstreams.states()
                assert stub.asked().count("bad") == 3
                with pytest.raises(Refusal, match="stub is left alone after 3 failures") as alone:
                    await calls.open("bad", deadline=5.0)
            assert stub.asked().count("bad") == 3
            assert alone.value.status == 503
            assert 1 <= int(alone.value.headers["retry-after"]) <= 60
            assert state["stub/good"] == {
                "breaker": "closed", "failures": 0, "open_for_s": None, "running": 0, "limit": 16
            }  # fmt: skip
            assert (state["stub/bad"]["breaker"], state["stub/bad"]["failures"]) == ("open", 3)
            assert 0 < state["stub/bad"]["open_for_s"] <= 60
            last = calls.records[-2]
            assert [attempt.arm for attempt in last.attempts] == ["good"]
            assert "left alone after 3 failures" in last.excluded["bad"]

    run(body())


def test_strategies_of_a_model_share_its_breaker() -> None:
    async def body() -> None:
        model = {"name": "bad", "strategies": ["direct", "think"]}
        with stub_upstream(bad=Knobs(fault="500")) as stub:
            async with calls_to(
                stub, model, "good", breaker_failures=2, breaker_open_s=60.0
            ) as calls:
                await calls.whole("bad", "bad|think", "good")
                await calls.whole("bad|think", "good")
            assert stub.asked() == ["bad", "bad", "good", "good"]

    run(body())


def test_one_probe_at_a_time_brings_an_endpoint_back() -> None:
    async def body() -> None:
        with stub_upstream(bad=Knobs(fault="500")) as stub:
            async with calls_to(
                stub, "bad", "good", breaker_failures=1, breaker_open_s=0.1
            ) as calls:
                await calls.whole("bad", "good")
                await asyncio.sleep(0.15)
                stub.models["bad"] = Knobs(latency_s=0.2)
                before = stub.asked().count("bad")
                answers = await asyncio.gather(*(calls.whole("bad", "good") for _ in range(8)))
                said = [text_of(answer).split()[0] for answer in answers]
                assert sorted(said) == ["bad", *["good"] * 7]
                assert stub.asked().count("bad") == before + 1
                assert text_of(await calls.whole("bad", "good")) == "bad says: what is it?"

    run(body())


def test_a_caller_waits_for_the_probe_where_there_is_no_other_arm() -> None:
    async def body() -> None:
        with stub_upstream(small=Knobs(fault="500", faulty_calls=2)) as stub:
            async with calls_to(stub, "small", breaker_failures=2, breaker_open_s=0.2) as calls:
                assert text_of(await calls.whole("small")) == "small says: what is it?"
                assert len(stub.ledger) == 3

    run(body())


def test_a_refused_request_says_nothing_against_an_endpoint() -> None:
    async def body() -> None:
        with stub_upstream(small=Knobs(fault="422")) as stub:
            async with calls_to(stub, "small", breaker_failures=1) as calls:
                for _ in range(3):
                    with pytest.raises(Refusal, match="answered 422"):
                        await calls.open("small")
                assert calls.upstreams.states()["stub/small"]["breaker"] == "closed"

    run(body())


def attempts(calls: Calls) -> list[tuple[str, bool, str | None]]:
    """Arm, hedge and error of the first call's attempts."""
    return [(item.arm, item.hedge, item.error) for item in calls.records[0].attempts]


LOST = "dropped before it answered"


@pytest.mark.parametrize("stream", [False, True])
def test_a_slow_arm_is_overtaken_by_the_next_one(stream: bool) -> None:
    async def body() -> None:
        with stub_upstream(slow=Knobs(latency_s=60.0)) as stub:
            async with calls_to(stub, "slow", "fast", hedge_after_s=0.05) as calls:
                answer = await calls.open("slow", "fast", stream=stream)
                assert answer.arm == "fast"
                assert attempts(calls) == [("slow", False, LOST), ("fast", True, None)]
                await asyncio.to_thread(stub.wait, lambda stub: stub.ledger[0].gone)
                await answer.close()

    run(body())


def test_the_first_arm_may_still_win() -> None:
    async def body() -> None:
        with stub_upstream(slow=Knobs(latency_s=0.2), slower=Knobs(latency_s=60.0)) as stub:
            async with calls_to(stub, "slow", "slower", hedge_after_s=0.05) as calls:
                assert text_of(await calls.whole("slow", "slower")) == "slow says: what is it?"
                assert attempts(calls) == [("slow", False, None), ("slower", True, LOST)]

    run(body())


def test_an_arm_that_answers_in_time_is_the_only_one_that_is_paid() -> None:
    async def body() -> None:
        with stub_upstream() as stub:
            async with calls_to(stub, "fast", "other", hedge_after_s=5.0) as calls:
                await calls.whole("fast", "other")
            assert stub.asked() == ["fast"]

    run(body())


def test_a_hedge_that_fails_leaves_the_first_arm_to_answer() -> None:
    async def body() -> None:
        with stub_upstream(slow=Knobs(latency_s=0.3), bad=Knobs(fault="500")) as stub:
            async with calls_to(stub, "slow", "bad", hedge_after_s=0.05) as calls:
                assert text_of(await calls.whole("slow", "bad")) == "slow says: what is it?"
            error = "stub answered 500: the stub answers 500"
            assert attempts(calls) == [("slow", False, None), ("bad", True, error)]

    run(body())


def test_where_both_fail_the_third_answers() -> None:
    async def body() -> None:
        with stub_upstream(slow=Knobs(latency_s=0.2, fault="500"), bad=Knobs(fault="503")) as stub:
            async with calls_to(stub, "slow", "bad", "good", hedge_after_s=0.05) as calls:
                answer = await calls.whole("slow", "bad", "good")
                assert text_of(answer) == "good says: what is it?"
            assert [item.arm for item in calls.records[0].attempts] == ["slow", "bad", "good"]

    run(body())


def test_a_model_that_cannot_take_the_request_does_not_end_a_race() -> None:
    async def body() -> None:
        with stub_upstream(
            slow=Knobs(latency_s=0.1, fault="422"), slower=Knobs(latency_s=0.2)
        ) as s:
            async with calls_to(s, "slow", "slower", hedge_after_s=0.02) as calls:
                whole = await calls.whole("slow", "slower")
                assert text_of(whole) == "slower says: what is it?"

    run(body())


def test_a_cancelled_race_cancels_both() -> None:
    async def body() -> None:
        with stub_upstream(a=Knobs(latency_s=60.0), b=Knobs(latency_s=60.0)) as stub:
            async with calls_to(stub, "a", "b", hedge_after_s=0.02) as calls:
                task = asyncio.create_task(calls.open("a", "b"))
                await asyncio.to_thread(stub.wait, lambda stub: len(stub.ledger) == 2)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                await asyncio.to_thread(
                    stub.wait, lambda stub: all(served.gone for served in stub.ledger)
                )
                assert calls.upstreams.states()["stub/a"]["running"] == 0

    run(body())


def test_random_cancellations_and_faults_leave_nothing_behind() -> None:
    async def body() -> None:
        knobs: dict[str, Any] = {
            "slow": Knobs(latency_s=0.03),
            "bad": Knobs(fault="500", latency_s=0.01),
            "cut": Knobs(fault="cut"),
        }
        with stub_upstream(**knobs) as stub:
            async with calls_to(
                stub, "slow", "bad", "cut", "good", hedge_after_s=0.015, breaker_failures=1000,
                endpoint={"concurrency": 8},
            ) as calls:  # fmt: skip

                async def one(i: int) -> None:
                    arms = [["slow", "bad", "cut", "good"][(i + k) % 4] for k in range(4)]
                    ask = calls.streamed if i % 2 else calls.whole
                    try:
                        async with asyncio.timeout(0.005 + i % 17 / 200):
                            await ask(*arms)
                    except (TimeoutError, Refusal):
                        pass

                end = time.monotonic() + 3.0
                while time.monotonic() < end:
                    await asyncio.gather(*(one(i) for i in range(64)))
                await asyncio.sleep(0.1)
                assert {state["running"] for state in calls.upstreams.states().values()} == {0}
                for record in calls.records:
                    won = [item for item in record.attempts if item.error is None]
                    assert len(won) <= 1
                said = await asyncio.gather(*(calls.whole("good") for _ in range(8)))
                assert len(said) == 8

    run(body())
