from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from contextlib import contextmanager
from io import StringIO
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from fusionfactory.clients import ChatReply, ChatRequest, EndpointClient
from fusionfactory.clients.chaos import FATAL, TRANSIENT, Chaos, make_app, request_key, serve
from fusionfactory.errors import CallError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUIET = Chaos(faults=0.0, fatal=0.0)


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def request(i: int, model: str = "chaos-small") -> ChatRequest:
    return ChatRequest(model, ({"role": "user", "content": f"Question {i}?"},))


def key(i: int) -> str:
    return request_key("chaos-small", request(i).messages)


async def answers(url: str, count: int, **params: Any) -> list[ChatReply | CallError]:  # noqa: ANN401
    settings = {"concurrency": 64, "timeout_s": 1.0, "backoff_s": 0.01, "retries": 7, **params}
    client = EndpointClient(url, **settings)

    async def one(i: int) -> ChatReply | CallError:
        try:
            return await client.complete(request(i))
        except CallError as error:
            return error

    try:
        return await asyncio.gather(*map(one, range(count)))
    finally:
        await client.close()


def play(chaos: Chaos, count: int) -> tuple[list[ChatReply | CallError], list[dict[str, Any]]]:
    """Outcomes of so many calls, and the endpoint's log."""
    log = StringIO()

    async def body() -> list[ChatReply | CallError]:
        async with serve(make_app(chaos, log)) as url:
            return await answers(url, count)

    outcomes = asyncio.run(body())
    return outcomes, [json.loads(line) for line in log.getvalue().splitlines()]


def test_what_goes_wrong_depends_on_seed_and_request_only() -> None:
    chaos = Chaos(seed=7)
    plan = [[chaos.behaviour(key(i), attempt) for attempt in range(1, 9)] for i in range(2000)]
    again = [[Chaos(seed=7).behaviour(key(i), a) for a in range(1, 9)] for i in range(2000)]
    assert plan == again
    assert plan != [[Chaos(seed=8).behaviour(key(i), a) for a in range(1, 9)] for i in range(2000)]
    met = Counter(behaviour for row in plan for behaviour in row)
    assert set(met) == {"ok", *TRANSIENT, *FATAL}
    never = [row for row in plan if "ok" not in row]
    assert len(never) == pytest.approx(200, abs=60)
    assert all(len(set(row)) == 1 and row[0] in FATAL for row in never)
    late = [row for row in plan if row[0] != "ok" and row[-1] == "ok"]
    assert len(late) == pytest.approx(800, abs=100)
    faults = Counter(row.index("ok") for row in late)
    assert set(faults) == {1, 2, 3}
    assert all(set(row[row.index("ok") :]) == {"ok"} for row in late)


def test_every_call_ends_as_planned() -> None:
    chaos = Chaos(seed=7, faults=0.4, fatal=0.2, retry_after_s=0.01)
    outcomes, log = play(chaos, 80)
    for i, outcome in enumerate(outcomes):
        kind = chaos.behaviour(key(i), 9)
        if kind == "ok":
            assert isinstance(outcome, ChatReply), outcome
            answer = chaos.answer(key(i), "chaos-small")
            assert outcome.text == answer["choices"][0]["message"]["content"]
            assert outcome.usage == answer["usage"]
        else:
            assert isinstance(outcome, CallError)
            assert outcome.retryable == (kind in {"500", "malformed"})
            assert (outcome.input_tokens is not None) == (kind == "empty")
    by_key: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in log:
        by_key[line["key"]].append(line)
    assert set(by_key) == {key(i) for i in range(80)}
    for name, lines in by_key.items():
        assert [line["attempt"] for line in lines] == [*range(1, len(lines) + 1)]
        assert [line["behaviour"] for line in lines] == [
            chaos.behaviour(name, line["attempt"]) for line in lines
        ]
        # The last of a request that was answered, and no other, is a whole 200.
        whole = [line["complete"] for line in lines]
        ended = lines[-1]["behaviour"] in {"ok", "empty"}
        assert whole == [*[False] * (len(lines) - 1), ended]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("429", "answered 429: slow down"),
        ("500", "answered 500: it broke"),
        ("hang", "gave no answer within 0.3 s"),
        ("reset", "cannot be reached: Client"),
        ("malformed", "answered malformed JSON"),
        ("html", "answered text/html instead of application/json"),
    ],
)
def test_each_transient_fault_passes(kind: str, message: str) -> None:
    chaos = Chaos(faults=1.0, fatal=0.0, most_faults=1)
    i = next(i for i in range(1000) if chaos.behaviour(key(i), 1) == kind)

    async def body() -> list[ChatReply | CallError]:
        outcomes: list[ChatReply | CallError] = []
        async with serve(make_app(chaos)) as url:
            for timeout_s in (0.3 if kind == "hang" else 30.0, 30.0):
                client = EndpointClient(url, timeout_s=timeout_s, retries=0)
                try:
                    outcomes.append(await client.complete(request(i)))
                except CallError as error:
                    outcomes.append(error)
                finally:
                    await client.close()
        return outcomes

    first, second = asyncio.run(body())
    assert isinstance(first, CallError)
    assert message in str(first)
    assert first.retryable
    assert isinstance(second, ChatReply)


def test_answers_are_the_same_whatever_went_wrong() -> None:
    rough, _ = play(Chaos(seed=3, faults=0.5, fatal=0.0, retry_after_s=0.01), 40)
    quiet, log = play(Chaos(seed=3, faults=0.0, fatal=0.0), 40)
    assert [reply.text for reply in rough if isinstance(reply, ChatReply)] == [
        reply.text for reply in quiet if isinstance(reply, ChatReply)
    ]
    assert len(log) == 40
    assert len({reply.text for reply in quiet if isinstance(reply, ChatReply)}) == 40


async def get(url: str) -> Any:  # noqa: ANN401
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert response.status == 200
        return await response.json()


def test_models_are_listed() -> None:
    async def body() -> Any:  # noqa: ANN401
        async with serve(make_app(QUIET)) as url:
            return await get(f"{url}/models")

    listed = asyncio.run(body())
    assert [model["id"] for model in listed["data"]] == ["chaos-small", "chaos-large"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{", "expected a JSON object with model and messages"),
        ("[]", "expected a JSON object with model and messages"),
        ('{"model": "m"}', "expected a JSON object with model and messages"),
        ('{"model": "m", "messages": [], "stream": true}', "this endpoint does not stream"),
    ],
)
def test_requests_that_are_none(body: str, message: str) -> None:
    async def post() -> tuple[int, Any]:
        async with (
            serve(make_app(QUIET)) as url,
            aiohttp.ClientSession() as session,
            session.post(f"{url}/chat/completions", data=body) as response,
        ):
            return response.status, await response.json()

    status, said = asyncio.run(post())
    assert status == 400
    assert said["error"]["message"] == message


def test_a_client_that_goes_away_is_logged_without_a_whole_answer() -> None:
    log = StringIO()

    async def body() -> None:
        async with serve(make_app(Chaos(faults=0.0, fatal=0.0, latency_s=5.0), log)) as url:
            client = EndpointClient(url, timeout_s=0.05, retries=0)
            with pytest.raises(CallError, match="gave no answer within"):
                await client.complete(request(0))
            await client.close()
            while not log.getvalue():
                await asyncio.sleep(0.001)

    asyncio.run(body())
    assert json.loads(log.getvalue()) == {
        "key": key(0),
        "attempt": 1,
        "behaviour": "ok",
        "complete": False,
    }


@contextmanager
def process(*options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    command = [sys.executable, "-W", "error", "-m", "fusionfactory.clients.chaos", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            yield json.loads(running.stdout.readline())["url"], running
        finally:
            running.kill()


def test_it_runs_as_a_process_and_logs_at_once(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    with process("--seed", "5", "--faults", "0", "--fatal", "0", "--log", str(path)) as (url, run):
        replies = asyncio.run(answers(url, 50, timeout_s=30.0))
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        assert {line["key"] for line in lines} == {key(i) for i in range(50)}
        chaos = Chaos(seed=5)
        for i, reply in enumerate(replies):
            assert isinstance(reply, ChatReply)
            message = chaos.answer(key(i), "chaos-small")["choices"][0]["message"]
            assert reply.text == message["content"]
        run.send_signal(signal.SIGTERM)
        assert run.wait() == 0
