"""A gateway whose PostgreSQL is away: at its first start, at a later one, and while it answers."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from gateway_fleet import arm_of, asked, command, fleet
from gateway_process import settings
from postgres_server import postgres_server
from stub_upstream import stub_upstream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from postgres_server import PostgresServer

WITHIN_S = 60.0


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """One that may be stopped."""
    with postgres_server(durable=True) as started:
        yield started


def test_the_first_start_needs_the_store_and_says_so(tmp_path: Path) -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens there
        store = f"postgresql://postgres:secret@127.0.0.1:{taken.getsockname()[1]}/log"
        text = settings("http://127.0.0.1:9/v1").replace("log.db", store)
        (tmp_path / "fusionfactory.toml").write_text(text)
        line = [sys.executable, "-m", "fusionfactory", "serve"]
        done = subprocess.run(
            line, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
    assert "secret" not in done.stderr
    assert done.stdout == ""


def test_what_was_known_last_answers_until_the_store_is_back(
    server: PostgresServer, tmp_path: Path
) -> None:
    with (
        stub_upstream() as stub,
        fleet(tmp_path, server.database(), stub.url, 1) as hosts,
    ):
        ids = {asked(hosts.hosts[0], hosts.key).headers["x-request-id"]}
        added, arm = hosts.add_version()
        command(hosts.place(0), "promote", added, "--force")
        hosts.hosts[0].wait(lambda it: arm_of(it, hosts.key) == arm, WITHIN_S)
        server.stop("immediate")
        # While it answers:
        ids.add(asked(hosts.hosts[0], hosts.key).headers["x-request-id"])
        assert hosts.hosts[0].end() == 0
        # And when it starts:
        host = hosts.start(0)
        reply = asked(host, hosts.key)
        assert reply.headers["x-fusionfactory-arm"] == arm
        ids.add(reply.headers["x-request-id"])
        assert host.events("starting with the routers and keys that were known last")
        host.wait(lambda it: "trouble" in it.ask("GET", "/ready").json, WITHIN_S)
        body = {"id": reply.headers["x-request-id"], "score": 1.0}
        assert host.ask("POST", "/v1/feedback", body, **hosts.key).status == 503
        refused = subprocess.run(
            [sys.executable, "-m", "fusionfactory", "promote", "--rollback"],
            cwd=hosts.place(0), capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert (refused.returncode, "cannot be reached" in refused.stderr) == (1, True)
        server.start()
        host.wait(lambda it: "trouble" not in it.ask("GET", "/ready").json, WITHIN_S)
        host.wait(lambda _: ids <= hosts.stored(), WITHIN_S)
        command(hosts.place(0), "promote", "--rollback")
        host.wait(lambda it: arm_of(it, hosts.key) != arm, WITHIN_S)
