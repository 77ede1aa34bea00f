"""Three gateways through a long row of failures, one upon the other.

Takes minutes: `make test-scale` runs it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from gateway_fleet import Fleet, arm_of, command, fleet
from postgres_server import postgres_server
from round_robin import RoundRobin
from stub_upstream import stub_upstream

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from postgres_server import PostgresServer

pytestmark = pytest.mark.scale

ROUNDS = 12
WITHIN_S = 60.0


def killed(hosts: Fleet, number: int, _: PostgresServer) -> None:
    hosts.kill(number)
    time.sleep(2.0)
    hosts.start(number)


def cut_off(hosts: Fleet, number: int, _: PostgresServer) -> None:
    hosts.ways[number].cut()
    time.sleep(8.0)
    hosts.ways[number].mend()


def slow(hosts: Fleet, number: int, _: PostgresServer) -> None:
    hosts.ways[number].delay_s = 0.5
    time.sleep(8.0)
    hosts.ways[number].delay_s = 0.0


def without_store(_: Fleet, __: int, server: PostgresServer) -> None:
    server.stop("immediate")
    time.sleep(5.0)
    server.start()


FAILURES: tuple[Callable[[Fleet, int, PostgresServer], None], ...] = (
    killed, cut_off, slow, without_store,
)  # fmt: skip


@pytest.mark.parametrize("seed", [0])
def test_clients_see_no_failure_and_every_answer_is_kept(tmp_path: Path, seed: int) -> None:
    draw = np.random.default_rng(seed)
    order = [FAILURES[turn % len(FAILURES)] for turn in draw.permutation(ROUNDS)]
    with (
        postgres_server(durable=True) as server,
        stub_upstream() as stub,
        fleet(tmp_path, server.database(), stub.url) as hosts,
    ):
        with RoundRobin(hosts.hosts, hosts.key) as clients:
            clients.wait_for(50)
            for failure in order:
                added, arm = hosts.add_version()
                failure(hosts, int(draw.integers(len(hosts.hosts))), server)
                command(hosts.place(0), "promote", added, "--force")
                for host in hosts.hosts:
                    host.wait(lambda it, arm=arm: arm_of(it, hosts.key) == arm, WITHIN_S)  # type: ignore[misc]
                clients.wait_for(30)
        assert clients.bad == []
        clients.wait(lambda: clients.ids() <= hosts.stored())
