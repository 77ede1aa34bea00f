"""The gateway's calls of endpoints: what is sent, who answers, and when another one is asked."""

from __future__ import annotations

import asyncio
import socket

import pytest

from fusionfactory.errors import InputError
from fusionfactory.gateway.refusal import Refusal
from stub_upstream import Fault, Knobs, stub_upstream
from upstream_calls import BODY, calls_to, run, text_of

BEFORE: list[Fault] = ["408", "409", "429", "500", "503", "reset", "html", "malformed", "empty",
                       "error", "no_choices"]  # fmt: skip
"""Faults before the first byte, after which another arm is asked."""

FREE = {"408", "409", "429", "500", "503"}
OURS: list[Fault] = ["401", "404"]


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("STUB_KEY", "sk-hidden-0123456789")


def test_a_request_is_passed_on_under_the_models_name_with_its_parameters() -> None:
    async def body() -> None:
        model = {
            "name": "small",
            "model": "vendor/small-1",
            "params": {"temperature": 0.5, "max_tokens": 9, "top_p": 0.9},
            "strategy_params": {"direct": {"top_p": 0.8}},
        }
        with stub_upstream(key="sk-hidden-0123456789") as stub:
            async with calls_to(stub, model) as calls:
                answer = await calls.open("small", temperature=1.0, max_completion_tokens=7)
                assert answer.body is not None
                assert text_of(answer.body) == "vendor/small-1 says: what is it?"
                assert answer.target.name == answer.arm == "small"
                assert answer.status == 200
                assert answer.headers["content-type"].startswith("application/json")
            (served,) = stub.ledger
            assert served.body == {
                **BODY,
                "model": "vendor/small-1",
                "temperature": 1.0,
                "top_p": 0.8,
                "max_completion_tokens": 7,
            }
            assert served.headers["authorization"] == "Bearer sk-hidden-0123456789"
            assert BODY["model"] == "auto"
            (attempt,) = calls.records[0].attempts
            assert (attempt.arm, attempt.status, attempt.error) == ("small", 200, None)
            assert attempt.latency_s > 0

    run(body())


def test_connections_are_used_again() -> None:
    async def body() -> None:
        with stub_upstream(bad=Knobs(fault="422")) as stub:
            async with calls_to(stub, "small", "large", "bad") as calls:
                for i in range(10):
                    await calls.whole(("small", "large")[i % 2])
                    assert (await calls.streamed("small")).endswith(b"data: [DONE]\n\n")
                    with pytest.raises(Refusal, match="answered 422"):
                        await calls.open("bad")
            assert len(stub.ledger) == 30
            # A stream's last bytes may still be on their way when the next call begins.
            assert stub.connections <= 2

    run(body())


def test_a_connection_that_was_closed_meanwhile_costs_no_fallback() -> None:
    async def body() -> None:
        asked: list[int] = []

        async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            """Answers the first request of a connection, and closes it at the second one."""
            said = b'{"choices": [{"index": 0, "message": {"content": "once"}}]}'
            for number in (1, 2):
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(line for line in head.split(b"\r\n") if b"Content-Length" in line)
                await reader.readexactly(int(length.split(b":")[1]))
                asked.append(number)
                if number == 1:
                    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(said)
                    writer.write(head + said)
            writer.close()

        server = await asyncio.start_server(once, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        with stub_upstream() as stub:
            async with calls_to(stub, "small", "large", endpoint={"base_url": url}) as calls:
                for _ in range(3):
                    assert text_of(await calls.whole("small", "large")) == "once"
        server.close()
        assert asked == [1, 2, 1, 2, 1]
        assert [len(record.attempts) for record in calls.records] == [1, 1, 1]

    run(body())


def test_many_calls_at_a_time_share_their_connections() -> None:
    async def body() -> None:
        with stub_upstream() as stub:
            async with calls_to(stub, "small", endpoint={"concurrency": 8}) as calls:
                for _ in range(4):
                    await asyncio.gather(*(calls.whole("small") for _ in range(8)))
            assert stub.connections == 8

    run(body())


def test_an_endpoint_is_asked_as_often_at_a_time_as_it_bears() -> None:
    async def body(workers: int) -> int:
        most = 0
        with stub_upstream(small=Knobs(latency_s=0.05)) as stub:
            async with calls_to(
                stub, "small", endpoint={"concurrency": 4}, workers=workers
            ) as calls:
                tasks = [asyncio.create_task(calls.whole("small")) for _ in range(12)]
                while not all(task.done() for task in tasks):
                    most = max(most, sum(not served.ended for served in stub.ledger))
                    await asyncio.sleep(0.002)
                assert [text_of(await task) for task in tasks] == ["small says: what is it?"] * 12
        return most

    assert run(body(1)) == 4
    assert run(body(2)) == 2, "two workers share the endpoint's limit"


def test_where_no_turn_is_free_the_next_arm_is_asked_after_a_while() -> None:
    async def body() -> None:
        with stub_upstream(small=Knobs(latency_s=30.0)) as stub:
            async with calls_to(
                stub, "small", "large", endpoint={"concurrency": 1}, connect_s=0.05
            ) as calls:
                slow = asyncio.create_task(calls.open("small"))
                await asyncio.to_thread(stub.wait, lambda stub: stub.ledger)
                with pytest.raises(Refusal, match="takes no more calls than the 1 under") as no:
                    await calls.open("small", "large", deadline=0.3)
                assert no.value.status == 503
                slow.cancel()
                assert calls.records[1].attempts == []
                assert set(calls.records[1].excluded) == {"small", "large"}

    run(body())


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", BEFORE)
def test_before_the_first_byte_the_next_arm_answers(fault: Fault, stream: bool) -> None:
    async def body() -> None:
        with stub_upstream(bad=Knobs(fault=fault)) as stub:
            async with calls_to(stub, "bad", "good", "spare") as calls:
                if stream:
                    assert b"good " in await calls.streamed("bad", "good", "spare")
                else:
                    assert text_of(await calls.whole("bad", "good")) == "good says: what is it?"
            assert stub.asked() == ["bad", "good"]
            first, second = calls.records[0].attempts
            assert (first.arm, second.arm) == ("bad", "good")
            assert first.error is not None
            assert first.error.startswith("stub ")
            assert "sk-hidden" not in first.error
            assert first.cost_usd == (0.0 if fault in FREE else None)
            assert (second.error, second.status) == (None, 200)

    run(body())


@pytest.mark.parametrize("fault", ["400", "422"])
def test_the_first_endpoint_that_blames_the_request_is_passed_on(fault: Fault) -> None:
    async def body() -> None:
        knobs = {"bad": Knobs(fault=fault), "worse": Knobs(fault="422"), "ill": Knobs(fault="500")}
        with stub_upstream() as stub:
            stub.models.update(knobs)
            async with calls_to(stub, "bad", "worse", "ill") as calls:
                with pytest.raises(Refusal, match=f"stub answered {fault}: the stub") as refused:
                    await calls.open("bad", "worse", "ill", deadline=2.0)
            assert stub.asked()[:3] == ["bad", "worse", "ill"]
            assert set(stub.asked()[3:]) <= {"ill"}
            assert refused.value.status == int(fault)
            assert refused.value.body()["error"] == {
                "message": f"the stub answers {fault}",
                "type": "stub_error",
                "param": None,
                "code": "stub",
            }
            assert calls.upstreams.states()["stub/bad"]["failures"] == 0

    run(body())


def test_a_request_that_one_model_cannot_take_is_answered_by_another() -> None:
    async def body() -> None:
        with stub_upstream(short=Knobs(fault="400")) as stub:
            async with calls_to(stub, "short", "long") as calls:
                assert text_of(await calls.whole("short", "long")) == "long says: what is it?"
            assert stub.asked() == ["short", "long"]

    run(body())


@pytest.mark.parametrize("fault", OURS)
def test_what_is_wrong_with_the_settings_is_tried_elsewhere_once(fault: Fault) -> None:
    async def body() -> None:
        with stub_upstream(bad=Knobs(fault=fault)) as stub:
            async with calls_to(stub, "bad", "good") as calls:
                assert text_of(await calls.whole("bad", "good")) == "good says: what is it?"
                with pytest.raises(Refusal, match=f"stub answered {fault}") as refused:
                    await calls.open("bad")
            assert stub.asked() == ["bad", "good", "bad"]
            assert refused.value.status == 502, "the client's own key and model are not at fault"
            assert ("$STUB_KEY" in str(refused.value)) == (fault == "401")

    run(body())


def test_the_same_arm_is_asked_again_where_there_is_no_other() -> None:
    async def body() -> None:
        with stub_upstream(small=Knobs(fault="500", faulty_calls=2)) as stub:
            async with calls_to(stub, "small") as calls:
                assert text_of(await calls.whole("small")) == "small says: what is it?"
            errors = [attempt.error for attempt in calls.records[0].attempts]
            assert errors == ["stub answered 500: the stub answers 500"] * 2 + [None]

    run(body())


def test_attempts_are_counted_over_all_arms() -> None:
    async def body() -> None:
        with stub_upstream(a=Knobs(fault="500"), b=Knobs(fault="503")) as stub:
            async with calls_to(stub, "a", "b", attempts=3, breaker_failures=10) as calls:
                with pytest.raises(Refusal, match="stub answered 500") as refused:
                    await calls.open("a", "b")
            assert stub.asked() == ["a", "b", "a"]
            assert refused.value.status == 500

    run(body())


@pytest.mark.parametrize(
    ("fault", "advice", "asked"),
    [("500", "false", ["bad", "good"]), ("422", "true", ["bad", "good"])],
)
def test_the_endpoint_knows_best_what_to_try_again(
    fault: Fault, advice: str, asked: list[str]
) -> None:
    async def body() -> None:
        knobs = Knobs(fault=fault, headers={"x-should-retry": advice})
        with stub_upstream(bad=knobs, good=Knobs(fault="500")) as stub:
            async with calls_to(stub, "bad", "good", attempts=2) as calls:
                with pytest.raises(Refusal, match=r"stub answered (500|422)"):
                    await calls.open("bad", "good")
                assert stub.asked() == asked
                with pytest.raises(Refusal, match=f"stub answered {fault}"):
                    await calls.open("bad")
                again = 2 if advice == "true" else 1
                assert stub.asked()[2:] == ["bad"] * again

    run(body())


def test_nobody_is_kept_waiting_for_a_long_pause() -> None:
    async def body() -> None:
        with stub_upstream(small=Knobs(fault="429", headers={"retry-after": "7200"})) as stub:
            async with calls_to(stub, "small") as calls, asyncio.timeout(10.0):
                with pytest.raises(Refusal, match="stub answered 429") as refused:
                    await calls.open("small", deadline=600.0)
            assert refused.value.headers == {"retry-after": "7200"}

    run(body())


def test_an_endpoint_that_wants_a_pause_is_left_alone_and_the_wait_is_passed_on() -> None:
    async def body() -> None:
        slow = Knobs(fault="429", headers={"retry-after": "7"})
        with stub_upstream(small=slow) as stub, stub_upstream() as spare:
            async with calls_to(stub, "small") as calls:
                with pytest.raises(Refusal, match="stub answered 429") as refused:
                    await calls.open("small", deadline=1.0)
                assert refused.value.status == 429
                assert refused.value.headers == {"retry-after": "7"}
                with pytest.raises(Refusal, match=r"asked for a pause, of which [67]") as paused:
                    await calls.open("small", deadline=1.0)
                assert (paused.value.status, paused.value.headers) == (503, {"retry-after": "7"})
            assert len(stub.ledger) == 1
            assert not spare.ledger

    run(body())


def test_a_pause_within_the_deadline_is_waited_for() -> None:
    async def body() -> None:
        slow = Knobs(fault="429", faulty_calls=1, headers={"retry-after-ms": "50"})
        with stub_upstream(small=slow) as stub:
            async with calls_to(stub, "small") as calls:
                assert text_of(await calls.whole("small")) == "small says: what is it?"
            assert len(stub.ledger) == 2

    run(body())


def test_a_spent_quota_is_not_waited_for() -> None:
    async def body() -> None:
        with stub_upstream(small=Knobs(fault="quota")) as stub:
            async with calls_to(stub, "small", "large") as calls:
                assert text_of(await calls.whole("small", "large")) == "large says: what is it?"
                with pytest.raises(Refusal, match="stub answered 429") as refused:
                    await calls.open("small")
            assert refused.value.body()["error"]["code"] == "insufficient_quota"
            assert stub.asked() == ["small", "large", "small"]

    run(body())


def test_silence_is_given_up_and_the_next_arm_answers() -> None:
    async def body() -> None:
        with stub_upstream(mute=Knobs(fault="hang")) as stub:
            async with calls_to(stub, "mute", "good", first_byte_s=0.1) as calls:
                assert text_of(await calls.whole("mute", "good")) == "good says: what is it?"
                assert b"good " in await calls.streamed("mute", "good")
            first = calls.records[0].attempts[0]
            assert first.error == "stub gave no answer within 0.1 s"
            assert first.cost_usd is None, "whether it is paid is not known"
            stub.wait(
                lambda stub: [served.gone for served in stub.ledger if served.fault] == [True] * 2
            )

    run(body())


def test_the_deadline_ends_all_attempts() -> None:
    async def body() -> None:
        with stub_upstream(mute=Knobs(fault="hang"), bad=Knobs(fault="500")) as stub:
            async with calls_to(stub, "bad", "mute") as calls:
                with pytest.raises(
                    Refusal, match="no answer before the request's deadline"
                ) as late:
                    await calls.open("bad", "mute", deadline=0.3)
            assert late.value.status == 504
            assert stub.asked() == ["bad", "mute"]

    run(body())


def test_an_endpoint_that_is_not_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"

    async def body() -> None:
        with stub_upstream() as stub:
            async with calls_to(stub, "small", endpoint={"base_url": url}, attempts=1) as calls:
                with pytest.raises(Refusal, match=r"stub cannot be reached: \w+") as refused:
                    await calls.open("small")
            assert refused.value.status == 502
            assert refused.value.body()["error"]["type"] == "api_error"
            assert "127.0.0.1" not in refused.value.message
            assert calls.records[0].attempts[0].cost_usd == 0.0

    run(body())


def test_an_answer_that_is_cut_in_its_body_is_asked_for_elsewhere() -> None:
    async def body() -> None:
        with stub_upstream(bad=Knobs(fault="cut")) as stub:
            async with calls_to(stub, "bad", "good") as calls:
                assert text_of(await calls.whole("bad", "good")) == "good says: what is it?"
            first = calls.records[0].attempts[0]
            assert first.error is not None
            assert first.error.startswith("stub broke off its answer: Client")

    run(body())


def test_an_answer_that_is_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fusionfactory.gateway.upstream.attempt.LARGEST_BODY", 2**20)

    async def body() -> None:
        with stub_upstream(long=Knobs(text="w" * 2**21)) as stub:
            async with calls_to(stub, "long", "good") as calls:
                assert text_of(await calls.whole("long", "good")) == "good says: what is it?"
            assert calls.records[0].attempts[0].error == "stub answered more than 1 MiB"

    run(body())


@pytest.mark.parametrize("stream", [False, True])
def test_a_caller_that_is_cancelled_cancels_the_endpoints_call_at_once(stream: bool) -> None:
    async def body() -> None:
        with stub_upstream(slow=Knobs(latency_s=60.0)) as stub:
            async with calls_to(stub, "slow", endpoint={"concurrency": 1}) as calls:
                task = asyncio.create_task(calls.open("slow", stream=stream))
                await asyncio.to_thread(stub.wait, lambda stub: stub.ledger)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                await asyncio.to_thread(stub.wait, lambda stub: stub.ledger[0].gone)
                (attempt,) = calls.records[0].attempts
                assert attempt.error == "dropped before it answered"
                assert attempt.cost_usd is None
                stub.models["slow"] = Knobs()
                assert text_of(await calls.whole("slow")) == "slow says: what is it?"

    run(body())


def test_embeddings_and_completions() -> None:
    async def body() -> None:
        embedder = {"name": "e", "embeds": True, "params": {"temperature": 0.0}}
        with stub_upstream() as stub:
            async with calls_to(stub, embedder) as calls:
                answer = await calls.open("e", path="embeddings", input=["a", "b"])
                assert answer.body is not None
                assert [len(item["embedding"]) for item in answer.body["data"]] == [8, 8]
                assert "temperature" not in stub.ledger[0].body
                said = await calls.whole("e", path="completions", prompt="and?")
                assert said["choices"][0]["text"] == "e says: and?"
                pieces = await calls.streamed("e", path="completions", prompt="and?")
                assert b"[DONE]" in pieces

    run(body())


def test_an_arm_that_nobody_knows() -> None:
    async def body() -> None:
        with stub_upstream() as stub:
            async with calls_to(stub, "small") as calls:
                with pytest.raises(Refusal, match="no arm 'large': known are small") as refused:
                    await calls.open("large")
                assert refused.value.status == 404

    run(body())


def test_a_key_that_is_none_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUB_KEY", "sk-\u2026")

    async def body() -> None:
        with stub_upstream() as stub:
            async with calls_to(stub, "small"):
                pass

    with pytest.raises(InputError, match="STUB_KEY holds characters that no key has"):
        run(body())


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY")

    async def body() -> None:
        with stub_upstream() as stub:
            monkeypatch.setenv("http_proxy", stub.url.removesuffix("/v1"))
            elsewhere = {"base_url": "http://endpoint.invalid/v1"}
            async with calls_to(stub, "small", endpoint=elsewhere) as calls:
                assert text_of(await calls.whole("small")) == "small says: what is it?"
            assert stub.ledger[0].headers["host"] == "endpoint.invalid"

    run(body())


def test_calls_after_the_end_are_refused() -> None:
    async def body() -> None:
        with stub_upstream() as stub:
            async with calls_to(stub, "small") as calls:
                await calls.whole("small")
            with pytest.raises(Refusal, match="stub is not asked any more") as refused:
                await calls.open("small")
            assert refused.value.status == 503

    run(body())


def test_no_message_and_no_representation_shows_the_key() -> None:
    async def body() -> None:
        with stub_upstream(bad=Knobs(fault="echo")) as stub:
            async with calls_to(stub, "bad") as calls:
                with pytest.raises(Refusal, match="stub answered 400") as refused:
                    await calls.open("bad")
                shown = [str(refused.value), refused.value.body(), calls.records[0]]
                shown += [vars(pool) for pool in vars(calls.upstreams)["_pools"].values()]
                assert "sk-hidden" not in str(shown)
                assert "***" in refused.value.body()["error"]["message"]

    run(body())
