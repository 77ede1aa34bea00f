"""Models in GGUF files behind the gateway: served by a process of its own, on first use."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from fusionfactory.config import Config
from fusionfactory.errors import ConfigError
from fusionfactory.gateway.fleet import Fleet
from fusionfactory.gateway.refusal import Refusal
from fusionfactory.gateway.upstream.local import LlamaServer
from fusionfactory.gateway.upstream.upstreams import Upstreams
from fusionfactory.serve_settings import UpstreamSettings
from upstream_calls import Calls, run, text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytest.importorskip("xllamacpp")

ASKED = [{"role": "user", "content": "Name a colour."}]
SHORT: dict[str, Any] = {"messages": ASKED, "temperature": 0.0, "seed": 1}


@asynccontextmanager
async def serving(path: Path, **model: object) -> AsyncIterator[Calls]:
    config = Config.model_validate(
        {"models": [{"name": "tiny", "gguf": path, "context_tokens": 1024, "threads": 1, **model}]}
    )
    upstreams = Upstreams(Fleet(config), UpstreamSettings(first_byte_s=60.0))
    try:
        yield Calls(upstreams)
    finally:
        await upstreams.close()


def server_of(calls: Calls) -> LlamaServer:
    (pool,) = vars(calls.upstreams)["_pools"].values()
    server: LlamaServer = pool.server
    return server


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")


async def until_gone(pid: int) -> None:
    end = time.monotonic() + 20.0
    while is_running(pid):
        assert time.monotonic() < end, f"{pid} still runs"
        await asyncio.sleep(0.01)


def test_a_model_file_answers_whole_and_as_a_stream(gguf: Path) -> None:
    async def body() -> None:
        async with serving(gguf, input_price=1.0, output_price=2.0) as calls:
            assert server_of(calls).pid is None, "it starts on first use"
            whole = await calls.whole("tiny", max_tokens=8, **SHORT)
            assert text_of(whole).strip()
            assert whole["usage"]["completion_tokens"] <= 8
            stream = (await calls.streamed("tiny", max_tokens=8, **SHORT)).decode()
            *events, done, _ = stream.split("\n\n")
            assert done == "data: [DONE]"
            chunks: list[dict[str, Any]] = [json.loads(event[6:]) for event in events]
            deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
            assert "".join(delta.get("content") or "" for delta in deltas) == text_of(whole)
            assert chunks[-1]["usage"]["total_tokens"] == whole["usage"]["total_tokens"]
            pid = server_of(calls).pid
            assert pid is not None
            assert is_running(pid)
            state = calls.upstreams.states()[f"{gguf.name}/tiny"]
            assert (state["breaker"], state["limit"], state["running"]) == ("closed", 1, 0)
        await until_gone(pid)

    run(body())


def test_many_calls_at_a_time_wait_for_each_other_and_start_one_process(gguf: Path) -> None:
    async def body() -> None:
        async with serving(gguf) as calls:
            answers = await asyncio.gather(
                *(calls.whole("tiny", max_tokens=4, **SHORT) for _ in range(6))
            )
            assert len({text_of(answer) for answer in answers}) == 1

    run(body())


def test_a_caller_that_leaves_frees_the_model(gguf: Path) -> None:
    async def body() -> None:
        async with serving(gguf) as calls:
            answer = await calls.open("tiny", stream=True, max_tokens=900, **SHORT)
            await anext(answer.events)
            await answer.close()
            assert text_of(await calls.whole("tiny", max_tokens=4, **SHORT))
            (dropped,) = calls.records[0].attempts
            assert dropped.error == "the caller went away"

    run(body())


def test_a_process_that_dies_is_started_again(gguf: Path) -> None:
    async def body() -> None:
        async with serving(gguf) as calls:
            before = text_of(await calls.whole("tiny", max_tokens=4, **SHORT))
            first = server_of(calls).pid
            assert first is not None
            os.kill(first, signal.SIGKILL)
            await until_gone(first)
            assert text_of(await calls.whole("tiny", max_tokens=4, **SHORT)) == before
            assert server_of(calls).pid not in {None, first}

    run(body())


def test_a_mute_process_is_replaced(gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fusionfactory.gateway.upstream.local._CHECK_EVERY_S", 0.0)
    monkeypatch.setattr("fusionfactory.gateway.upstream.local._HEALTHY_WITHIN_S", 0.5)
    monkeypatch.setattr("fusionfactory.gateway.upstream.local._END_S", 0.2)

    async def body() -> None:
        async with serving(gguf) as calls:
            await calls.whole("tiny", max_tokens=4, **SHORT)
            first = server_of(calls).pid
            assert first is not None
            os.kill(first, signal.SIGSTOP)
            assert text_of(await calls.whole("tiny", max_tokens=4, **SHORT))
            assert server_of(calls).pid not in {None, first}
            await until_gone(first)

    run(body())


def test_only_who_has_the_key_is_answered(gguf: Path) -> None:
    async def body() -> None:
        async with serving(gguf) as calls:
            await calls.whole("tiny", max_tokens=4, **SHORT)
            url, key = await server_of(calls).ready()
            async with aiohttp.ClientSession() as session:
                for given, status in (("wrong", 401), (key, 200)):
                    async with session.post(
                        f"{url}/chat/completions",
                        json={"messages": ASKED, "max_tokens": 1},
                        headers={"Authorization": f"Bearer {given}"},
                    ) as response:
                        assert response.status == status
            assert key not in repr(vars(calls.upstreams))

    run(body())


def test_it_ends_with_the_gateway_however_that_ends(gguf: Path) -> None:
    code = (
        "import asyncio, sys, pathlib\n"
        "from fusionfactory.gateway.upstream.local import LlamaServer\n"
        "async def main():\n"
        "    server = LlamaServer(pathlib.Path(sys.argv[1]), context_tokens=256, threads=1)\n"
        "    await server.ready()\n"
        "    print(server.pid, flush=True)\n"
        "    await asyncio.sleep(3600)\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", code, str(gguf)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as gateway:
        assert gateway.stdout is not None
        pid = int(gateway.stdout.readline())
        assert is_running(pid)
        gateway.kill()
    asyncio.run(until_gone(pid))


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "none.gguf"
    path.write_bytes(b"GGUF, or not")

    async def body() -> None:
        async with serving(path) as calls:
            with pytest.raises(Refusal, match=r"the model file none\.gguf cannot be served") as no:
                await calls.open("tiny", deadline=30.0)
            assert no.value.status == 503
            assert server_of(calls).pid is None

    run(body())


def test_a_file_that_is_not_there_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.gguf, field 'gguf': no such model file"):
        LlamaServer(tmp_path / "none.gguf", context_tokens=256, threads=1)
