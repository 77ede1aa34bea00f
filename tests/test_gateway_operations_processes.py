"""The real `fusionfactory serve`: killed, drained, reloaded and promoted under traffic."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from command_line import run
from fusionfactory.encoders.endpoint import EndpointEncoder
from fusionfactory.gateway.access import KeyFile, Meters
from fusionfactory.gateway.learning.versions import Versions
from fusionfactory.routers import load_router, make_router
from fusionfactory.testing import make_table
from gateway_process import Traffic, children, router_that_prefers, serving, settings
from stub_upstream import Knobs, StubUpstream, stub_upstream

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def stub() -> Iterator[StubUpstream]:
    with stub_upstream() as started:
        yield started


@pytest.fixture
def folder(tmp_path: Path, stub: StubUpstream) -> Path:
    (tmp_path / "fusionfactory.toml").write_text(settings(stub.url))
    router_that_prefers("arm-1", tmp_path / "router")
    return tmp_path


def stored(folder: Path) -> set[str]:
    """Ids of the requests in the store."""
    with sqlite3.connect(folder / "log.db") as connection:
        found = connection.execute(
            "SELECT queries.id FROM requests JOIN queries ON queries.no = requests.query_no"
        )
        return {row[0] for row in found}


def test_from_the_command_to_an_answer_to_the_store(folder: Path) -> None:
    with serving(folder, "--router", "router") as gateway:
        versions = Versions(folder / "gateway")
        assert gateway.line.startswith(f"{gateway.url}  arms: arm-0, arm-1, arm-2  ")
        assert f"router: {versions.current}  no key needed" in gateway.line
        reply = gateway.chat()
        assert reply.status == 200, reply
        assert reply.json["choices"][0]["message"]["content"] == "arm-1 says: What is 7 * 8?"
        assert reply.headers["x-fusionfactory-router"] == versions.current
        assert "server" not in reply.headers
        streamed = gateway.chat("again", stream=True)
        assert streamed.body.endswith(b"data: [DONE]\n\n")
        assert gateway.ask("GET", "/health").json == {"status": "alive"}
        assert gateway.ask("GET", "/ready").json == {
            "status": "ready", "router": versions.current, "arms": 3,
        }  # fmt: skip
        figures = gateway.ask("GET", "/metrics").body.decode()
        assert 'fusionfactory_requests_total{api="chat",arm="arm-1",status="200"} 2.0' in figures
        assert gateway.end() == 0
    ids = {answer.headers["x-request-id"] for answer in (reply, streamed)}
    assert stored(folder) == ids
    lines = gateway.events("request")
    assert {line["id"] for line in lines} == ids
    assert "7 * 8" not in json.dumps(gateway.log)


def test_a_store_that_the_environment_names_is_in_no_command_line(folder: Path) -> None:
    with serving(folder, environment={"FUSIONFACTORY_SERVE_STORE": "secret.db"}) as gateway:
        processes = [gateway.process.pid, *children(gateway.process.pid)]
        assert len(processes) == 4
        for process in processes:
            assert b"secret.db" not in Path(f"/proc/{process}/cmdline").read_bytes()
        assert gateway.chat().status == 200
        assert gateway.end() == 0
    assert (folder / "secret.db").exists()


def test_a_second_start_keeps_the_version_and_says_so(folder: Path) -> None:
    with serving(folder, "--router", "router") as gateway:
        assert gateway.end(signal.SIGINT) == 0
    first = Versions(folder / "gateway").current
    with serving(folder, "--router", "router") as gateway:
        assert Versions(folder / "gateway").list()[-1].id == first
        gateway.wait(lambda it: it.events(f"--router was passed over: {first} decides"))


def test_a_killed_worker_is_started_again_and_others_answer(folder: Path) -> None:
    with serving(folder, "--router", "router") as gateway:
        first, second = gateway.workers(2)
        with Traffic(gateway) as traffic:
            gateway.wait(lambda _: len(traffic.good) > 20)
            os.kill(first, signal.SIGKILL)
            assert len(gateway.workers(3)) == 3
            then = len(traffic.good)
            gateway.wait(lambda _: len(traffic.good) > then + 20)
        assert gateway.workers()[-1] not in {first, second}
        # At most what the worker had in hand is lost: a request per thread that asked.
        assert len(traffic.bad) <= traffic.threads, traffic.bad
        figures = gateway.ask("GET", "/metrics").body.decode()
        counted = [line for line in figures.splitlines() if "requests_total{" in line]
        assert sum(float(line.split()[-1]) for line in counted) >= len(traffic.good)
        assert gateway.end() == 0
    assert stored(folder) >= set(traffic.asked)


def test_what_a_killed_worker_had_in_hand_is_charged_to_its_key(
    folder: Path, stub: StubUpstream
) -> None:
    more = 'keys = "required"\n'
    (folder / "fusionfactory.toml").write_text(settings(stub.url, more, workers=1))
    key, token = KeyFile(folder / "gateway").add("team", usd_per_day=1.0)
    asked = {"model": "arm-1", "messages": [{"role": "user", "content": "What is 7 * 8?"}]}
    with serving(folder, "--router", "router") as gateway:

        def ask() -> int:
            bearer = {"authorization": f"Bearer {token}"}
            return gateway.ask("POST", "/v1/chat/completions", asked, **bearer).status

        def spent_usd() -> float:
            return Meters(folder / "gateway")(key.number).spent_usd(time.time())[0]

        assert ask() == 200
        cost_usd = spent_usd()
        stub.models["arm-1"] = Knobs(latency_s=30.0)
        place = urlsplit(gateway.url)
        with socket.create_connection((place.hostname, place.port)) as connection:
            body = json.dumps(asked)
            connection.sendall(
                f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer "
                f"{token}\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()
            )
            stub.wait(lambda it: len(it.ledger) == 2)
            os.kill(gateway.workers()[0], signal.SIGKILL)
            gateway.workers(2)
        assert 0 < cost_usd < spent_usd() == pytest.approx(2 * cost_usd)


def test_sigterm_lets_requests_under_way_end(folder: Path, stub: StubUpstream) -> None:
    stub.models["arm-1"] = Knobs(text="one two three four five six", chunk_s=0.3)
    with serving(folder, "--router", "router") as gateway:
        replies: list[bytes] = []
        asking = threading.Thread(
            target=lambda: replies.append(gateway.chat("slowly", stream=True).body)
        )
        asking.start()
        stub.wait(lambda it: it.ledger and it.ledger[0].output_tokens)
        gateway.process.send_signal(signal.SIGTERM)
        gateway.wait(lambda it: it.events("draining"))
        time.sleep(0.3)
        place = urlsplit(gateway.url)
        with pytest.raises(ConnectionRefusedError, match="refused"):
            socket.create_connection((place.hostname, place.port), 5)
        asking.join(20)
        assert gateway.process.wait(20) == 0
    assert replies[0].endswith(b"data: [DONE]\n\n")
    assert b"six" in replies[0]
    assert len(stored(folder)) == 1


def test_a_drain_ends_what_does_not_end_itself(folder: Path, stub: StubUpstream) -> None:
    stub.models["arm-1"] = Knobs(fault="endless", chunk_s=0.05)
    (folder / "fusionfactory.toml").write_text(
        settings(stub.url).replace("drain_s = 10.0", "drain_s = 1.0")
    )
    with serving(folder, "--router", "router") as gateway:
        replies: list[bytes] = []

        def ask() -> None:
            try:
                replies.append(gateway.chat("for ever", stream=True).body)
            except Exception as error:  # noqa: BLE001  a cut connection is an end, too
                replies.append(repr(error).encode())

        asking = threading.Thread(target=ask)
        asking.start()
        stub.wait(lambda it: it.ledger and it.ledger[0].output_tokens)
        assert gateway.end() == 0
        asking.join(10)
    assert b"[DONE]" not in replies[0]
    assert len(stored(folder)) == 1


def test_the_workers_follow_a_supervisor_that_was_killed(folder: Path) -> None:
    with serving(folder, "--router", "router") as gateway:
        workers = gateway.workers(2)
        gateway.process.kill()
        gateway.process.wait(10)

        def gone(pid: int) -> bool:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return True
            return False

        gateway.wait(lambda _: all(map(gone, workers)))


def test_new_settings_without_a_lost_request_and_wrong_ones_without_effect(
    folder: Path, stub: StubUpstream
) -> None:
    file = folder / "fusionfactory.toml"
    with serving(folder, "--router", "router") as gateway, Traffic(gateway) as traffic:
        gateway.wait(lambda _: len(traffic.good) > 10)
        file.write_text("[serve]\nport = 'x'\n")
        gateway.process.send_signal(signal.SIGHUP)
        gateway.wait(lambda it: it.events("the settings are wrong, so the old ones stay"))
        then = len(traffic.good)
        gateway.wait(lambda _: len(traffic.good) > then + 10)
        more = settings(stub.url) + '[[models]]\nname = "new"\nendpoint = "stub"\n'
        file.write_text(more)
        gateway.wait(lambda it: len(it.events("the new settings are in force")) >= 2)
        then = len(traffic.good)
        gateway.wait(lambda _: len(traffic.good) > then + 10)
        for _ in range(6):
            assert (
                gateway.chat(model="new")
                .json["choices"][0]["message"]["content"]
                .startswith("new says")
            )
    assert traffic.bad == []


def test_a_promotion_reaches_every_worker_without_a_failed_request(folder: Path) -> None:
    with serving(folder, "--router", "router") as gateway, Traffic(gateway) as traffic:
        gateway.wait(lambda _: len(traffic.good) > 20)
        assert set(traffic.good) == {"arm-1"}
        versions = Versions(folder / "gateway")
        other = load_router(router_that_prefers("arm-2", folder / "other"))
        new = versions.promote(versions.add(other))
        gateway.wait(lambda it: len(it.events("other routers are in force")) == 2)
        time.sleep(0.2)
        then = len(traffic.good)
        gateway.wait(lambda _: len(traffic.good) > then + 20)
        assert set(traffic.good[then + traffic.threads :]) == {"arm-2"}
        assert gateway.chat().headers["x-fusionfactory-router"] == new
        versions.rollback()
        gateway.wait(lambda it: len(it.events("other routers are in force")) == 4)
        assert gateway.chat("back").headers["x-fusionfactory-arm"] == "arm-1"
    assert traffic.bad == []


def test_what_counts_from_the_next_start_leaves_workers_and_ingester_where_they_are(
    folder: Path, stub: StubUpstream
) -> None:
    fewer = settings(stub.url, 'state = "elsewhere"\n', workers=1)
    with serving(folder, "--router", "router") as gateway:
        (folder / "fusionfactory.toml").write_text(fewer)
        gateway.process.send_signal(signal.SIGHUP)
        gateway.wait(lambda it: len(it.events("the new settings are in force")) >= 2)
        told = gateway.events("the new settings are in force")
        assert {tuple(line["from_the_next_start"]) for line in told} == {("workers", "state")}
        os.kill(gateway.workers(2)[-1], signal.SIGKILL)
        assert len(gateway.workers(3)) == 3
        reply = gateway.chat()
        assert reply.headers["x-fusionfactory-router"] == Versions(folder / "gateway").current
        gateway.wait(lambda _: reply.headers["x-request-id"] in stored(folder))
        assert not gateway.events("the settings are wrong")
    assert not (folder / "elsewhere").exists()


def test_a_list_of_versions_that_cannot_be_read_is_passed_over_and_the_next_one_counts(
    folder: Path,
) -> None:
    with serving(folder, "--router", "router") as gateway:
        versions = Versions(folder / "gateway")
        file, first = folder / "gateway" / "versions.json", versions.current
        good = file.read_bytes()
        file.write_bytes(b"\xff\xfe")
        gateway.wait(lambda it: len(it.events("the routers stay as they were")) == 2)
        assert gateway.ask("GET", "/ready").json["router"] == first
        assert gateway.chat().headers["x-fusionfactory-router"] == first
        file.write_bytes(good)
        other = load_router(router_that_prefers("arm-2", folder / "other"))
        new = versions.promote(versions.add(other))
        gateway.wait(lambda it: len(it.events("other routers are in force")) == 2)
        assert gateway.chat().headers["x-fusionfactory-router"] == new


def test_without_its_encoder_a_router_lets_the_default_arm_answer_until_it_is_back(
    folder: Path, stub: StubUpstream
) -> None:
    encoder = EndpointEncoder(
        model="tiny", base_url=stub.url, api_key_env="", retries=0, cache=False
    )
    versions = Versions(folder / "gateway")
    fitted = make_router("knn", encoder=encoder).fit(make_table(60))
    name = versions.promote(versions.add(fitted))
    stub.models["tiny"] = Knobs(fault="400")
    with serving(folder) as gateway:
        gateway.wait(lambda it: it.events(f"router {name} cannot decide at present"))
        assert gateway.chat("one").headers["x-fusionfactory-why"] == "default"
        stub.models["tiny"] = Knobs()
        gateway.wait(lambda it: it.chat(str(time.time())).headers["x-fusionfactory-why"] == "best")


def test_a_stream_goes_on_by_the_settings_it_began_with(folder: Path, stub: StubUpstream) -> None:
    """Also where the new settings no longer have its arm."""
    stub.models["arm-1"] = Knobs(text="one two three four five six seven eight", chunk_s=0.4)
    with serving(folder, "--router", "router") as gateway:
        replies: list[bytes] = []
        asking = threading.Thread(
            target=lambda: replies.append(gateway.chat("slowly", stream=True).body)
        )
        asking.start()
        stub.wait(lambda it: it.ledger and it.ledger[0].output_tokens)
        without = settings(stub.url).replace('name = "arm-1"', 'name = "arm-9"')
        (folder / "fusionfactory.toml").write_text(without)
        gateway.process.send_signal(signal.SIGHUP)
        gateway.wait(lambda it: len(it.events("the new settings are in force")) == 2)
        assert gateway.chat(model="arm-1").status == 404
        assert not replies
        asking.join(20)
    assert replies[0].endswith(b"data: [DONE]\n\n")
    assert b"eight" in replies[0]


def test_a_killed_ingester_is_started_again_and_nothing_is_lost(folder: Path) -> None:
    with serving(folder, "--router", "router") as gateway:
        with Traffic(gateway, threads=2) as traffic:
            gateway.wait(lambda _: len(traffic.good) > 10)
            os.kill(gateway.events("the ingester is ready")[-1]["process"], signal.SIGKILL)
            gateway.wait(lambda it: it.events("the ingester died"))
            then = len(traffic.good)
            gateway.wait(lambda _: len(traffic.good) > then + 10)
        assert gateway.end() == 0
    assert traffic.bad == []
    assert stored(folder) == set(traffic.asked)


def test_a_sample_of_the_answers_is_judged(folder: Path, stub: StubUpstream) -> None:
    stub.models["judge"] = Knobs(text='{"reason": "fine", "grade": 9, "score": 0.9}')
    judge = '[[models]]\nname = "judge"\nendpoint = "stub"\nstrategies = []\n'
    more = f'{judge}[serve.judge]\nmodel = "judge"\nshare = 1.0\n'
    (folder / "fusionfactory.toml").write_text(settings(stub.url, more))
    with serving(folder, "--router", "router") as gateway:
        assert gateway.chat().status == 200
        stub.wait(lambda it: "judge" in it.asked(), within_s=30)
        assert gateway.end() == 0


def test_figures_of_all_clients_are_an_administrators(folder: Path, stub: StubUpstream) -> None:
    (folder / "fusionfactory.toml").write_text(settings(stub.url, 'keys = "required"\n'))
    file = KeyFile(folder / "gateway")
    (_, alice), (_, root) = file.add("alice"), file.add("root", admin=True)
    with serving(folder, "--router", "router") as gateway:
        assert gateway.line.rstrip().endswith("clients need a key")
        assert gateway.ask("GET", "/ready").status == 200
        assert gateway.chat().status == 401
        for key, status in ((None, 401), (alice, 403), (root, 200)):
            headers = {} if key is None else {"authorization": f"Bearer {key}"}
            assert gateway.ask("GET", "/metrics", **headers).status == status
        assert alice not in json.dumps(gateway.log)


def test_the_walk_through_of_a_client(folder: Path) -> None:
    """The block of docs/gateway.md, at another port."""
    pytest.importorskip("openai")
    page = (ROOT / "docs" / "gateway.md").read_text("utf-8")
    (block,) = re.findall(r"^```py\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    with serving(folder, "--router", "router") as gateway:
        code = block.replace("http://127.0.0.1:8377/v1", gateway.url)
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
    assert done.stdout == "arm-1 best\n"


# What cannot start


def test_off_loopback_needs_a_key_unless_it_is_said_otherwise(
    folder: Path, stub: StubUpstream, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(folder)
    assert run("serve", "--host", "0.0.0.0") == 2  # noqa: S104  it is refused
    said = capsys.readouterr().err
    assert "clients need a key at '0.0.0.0', and there is none" in said
    assert 'keys = "off"' in said
    (folder / "fusionfactory.toml").write_text(settings(stub.url, 'keys = "off"\n'))
    with serving(folder, "--host", "0.0.0.0") as gateway:  # noqa: S104  in a test
        assert "no key needed" in gateway.line
        assert gateway.ask("GET", "/ready").status == 200


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ('[serve.routing]\nauto = "nonsense"\n', "nonsense"),
        ('[serve.routing]\ndefault_arm = "arm-9"\n', "arm-9"),
    ],
)
def test_settings_that_no_worker_can_start_with(
    folder: Path, stub: StubUpstream, more: str, message: str
) -> None:
    (folder / "fusionfactory.toml").write_text(settings(stub.url, more))
    with (
        pytest.raises(AssertionError, match=f"it did not start: .*{message}"),
        serving(folder),
    ):
        pass


def test_a_router_for_other_arms_is_refused(
    folder: Path, stub: StubUpstream, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(folder)
    text = settings(stub.url)
    for number in range(3):
        text = text.replace(f'"arm-{number}"', f'"other-{number}"')
    (folder / "fusionfactory.toml").write_text(text)
    assert run("serve", "--router", "router") == 2
    said = capsys.readouterr().err
    assert "the router knows none of the arms of the settings: it knows arm-0" in said
    assert Versions(folder / "gateway").list() == ()
