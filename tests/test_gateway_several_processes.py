"""Three gateways and one PostgreSQL: they share, and one that is killed, cut off or slow is borne.

Clients are behind a plain round robin: what one host does not answer, the next one is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gateway_fleet import arm_of, asked, command, fleet
from gateway_process import ARMS
from round_robin import RoundRobin
from stub_upstream import Knobs, stub_upstream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway_fleet import Fleet
    from gateway_process import Serving
    from postgres_server import PostgresServer
    from stub_upstream import StubUpstream

CHANGE = {"x-fusionfactory-dashboard": "1"}
WITHIN_S = 30.0
"""Far more than a change needs to get to every host, for machines that do much else."""


BUDGET_USD = 0.01
PRICES = Knobs(input_price=1.0, output_price=2.0)
"""As in `settings`, so that the stub counts what keys are charged."""


@pytest.fixture(scope="module")
def stub() -> Iterator[StubUpstream]:
    with stub_upstream() as made:
        made.models = dict.fromkeys(ARMS, PRICES)
        yield made


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer, stub: StubUpstream
) -> Iterator[Fleet]:
    with fleet(tmp_path_factory.mktemp("hosts"), postgres.database(), stub.url) as made:
        yield made


@pytest.fixture
def hosts(running: Fleet) -> Fleet:
    """All of them in good order, however the test before this one ended."""
    running.restore()
    return running


def until_all_choose(arm: str, hosts: Fleet) -> None:
    for host in hosts.hosts:
        host.wait(lambda it: arm_of(it, hosts.key) == arm, WITHIN_S)


def test_what_is_changed_at_one_host_holds_at_all(hosts: Fleet) -> None:
    before = arm_of(hosts.hosts[0], hosts.key)
    until_all_choose(before, hosts)
    added, arm = hosts.add_version()
    command(hosts.place(1), "promote", added, "--force")
    until_all_choose(arm, hosts)
    back = hosts.hosts[2].ask("POST", "/dashboard/api/rollback", {}, **hosts.key, **CHANGE)
    assert back.status == 200, back
    until_all_choose(before, hosts)
    told = [host.ask("GET", "/dashboard/api/versions", **hosts.key).json for host in hosts.hosts]
    assert [one["current"] for one in told] == [back.json["current"]] * 3
    assert all(added in {version["id"] for version in one["versions"]} for one in told)


def test_an_answer_of_one_host_is_known_at_the_others(hosts: Fleet) -> None:
    id_ = asked(hosts.hosts[0], hosts.key).headers["x-request-id"]
    said = hosts.hosts[1].ask("POST", "/v1/feedback", {"id": id_, "score": 0.5}, **hosts.key)
    assert said.json == {"object": "feedback", "id": id_, "score": 0.5, "new": True}

    def quality(host: Serving) -> Any:  # noqa: ANN401  whatever the API says
        return host.ask("GET", f"/v1/decisions/{id_}", **hosts.key).json["quality"]

    hosts.hosts[2].wait(lambda it: quality(it) == 0.5, WITHIN_S)


def test_every_host_lists_all_and_names_itself(hosts: Fleet) -> None:
    def told(host: Serving) -> Any:  # noqa: ANN401  whatever the API says
        return host.ask("GET", "/dashboard/api/gateways", **hosts.key).json

    hosts.hosts[0].wait(lambda it: len(told(it)["gateways"]) == 3, WITHIN_S)
    said = [told(host) for host in hosts.hosts]
    names = {one["here"] for one in said}
    assert len(names) == 3
    assert all({seen["id"] for seen in one["gateways"]} == names for one in said)
    hosts.hosts[0].wait(lambda _: len(hosts.duties()) == 3, WITHIN_S)
    assert hosts.duties().keys() == {"alarms", "judging", "retention"}
    assert set(hosts.duties().values()) <= names
    for host, one in zip(hosts.hosts, said, strict=True):
        figures = host.ask("GET", "/metrics", **hosts.key).body.decode()
        assert f'fusionfactory_gateway_info{{gateway="{one["here"]}"}} 1.0' in figures
        assert "fusionfactory_store_seen_timestamp_seconds 1." in figures


def test_a_key_holds_at_every_host_until_it_is_revoked_at_one(hosts: Fleet) -> None:
    key = hosts.add_key("guest")

    def status(host: Serving) -> int:
        return host.ask("GET", "/v1/models", **key).status

    for host in hosts.hosts:
        host.wait(lambda it: status(it) == 200, WITHIN_S)
    command(hosts.place(2), "keys", "revoke", "guest")
    for host in hosts.hosts:
        host.wait(lambda it: status(it) == 401, WITHIN_S)


def test_a_budget_holds_though_hosts_are_killed_and_cut_off(
    hosts: Fleet, stub: StubUpstream
) -> None:
    key = hosts.add_key("thrifty", "--usd-per-day", str(BUDGET_USD))
    for host in hosts.hosts:
        host.wait(lambda it: it.ask("GET", "/v1/models", **key).status == 200, WITHIN_S)
    known = len(stub.ledger)
    with RoundRobin(hosts.hosts, key) as clients:
        clients.wait_for(30)
        hosts.kill(1)
        hosts.ways[2].cut()
        clients.wait_for(30)
        hosts.start(1)
        hosts.ways[2].mend()
        clients.wait(lambda: len(clients.bad) > 30 and clients.answered[-30:] == clients.bad[-30:])
    costs = [served.cost_usd for served in stub.ledger[known:]]
    under_way = clients.threads * max(costs)
    assert BUDGET_USD / 2 < sum(costs) <= BUDGET_USD + under_way
    assert {one.reply.status for one in clients.bad if one.reply is not None} <= {429, 503}


def test_one_host_is_killed(hosts: Fleet) -> None:
    with RoundRobin(hosts.hosts, hosts.key) as clients:
        clients.wait_for(30)
        hosts.kill(1)
        clients.wait_for(60)
        hosts.start(1)
        clients.wait(lambda: any(one.host == 1 for one in clients.good[-10:]))
        clients.wait_for(20)
    assert clients.bad == []
    assert any(one.tried for one in clients.answered)
    # What its journal held when it was killed, its next life takes in.
    clients.wait(lambda: clients.ids() <= hosts.stored())


def test_one_host_is_cut_off_from_the_store(hosts: Fleet) -> None:
    key, alone = hosts.key, hosts.hosts[1]
    before = arm_of(alone, key)
    added, arm = hosts.add_version()
    with RoundRobin(hosts.hosts, key) as clients:
        clients.wait_for(30)
        hosts.ways[1].cut()
        command(hosts.place(0), "promote", added, "--force")
        for number in (0, 2):
            hosts.hosts[number].wait(lambda it: arm_of(it, key) == arm, WITHIN_S)
        alone.wait(lambda it: "trouble" in it.ask("GET", "/ready").json, WITHIN_S)
        ready = alone.ask("GET", "/ready")
        assert ready.status == 200
        assert "the store was not reached for" in ready.json["trouble"][0]
        assert arm_of(alone, key) == before
        hosts.ways[1].mend()
        alone.wait(lambda it: arm_of(it, key) == arm, WITHIN_S)
        alone.wait(lambda it: "trouble" not in it.ask("GET", "/ready").json, WITHIN_S)
    assert [one for one in clients.answered if one.tried] == []
    assert clients.bad == []
    clients.wait(lambda: clients.ids() <= hosts.stored())


def test_feedback_at_a_host_that_is_cut_off_is_taken_by_the_next_one(hosts: Fleet) -> None:
    id_ = asked(hosts.hosts[1], hosts.key).headers["x-request-id"]
    hosts.hosts[0].wait(lambda it: it.ask("GET", f"/v1/decisions/{id_}", **hosts.key).status == 200)
    hosts.ways[1].cut()
    body = {"id": id_, "score": 1.0}
    replies = [hosts.hosts[n].ask("POST", "/v1/feedback", body, **hosts.key) for n in (1, 2)]
    assert [reply.status for reply in replies] == [503, 200]
    assert replies[0].json["error"]["code"] == "store_unavailable"


def test_one_host_has_a_slow_way_to_the_store(hosts: Fleet) -> None:
    added, arm = hosts.add_version()
    with RoundRobin(hosts.hosts, hosts.key) as clients:
        clients.wait_for(30)
        hosts.ways[2].delay_s = 0.3
        command(hosts.place(0), "promote", added, "--force")
        until_all_choose(arm, hosts)
        clients.wait_for(30)
        hosts.ways[2].delay_s = 0.0
    assert [one for one in clients.answered if one.tried] == []
    assert clients.bad == []
    clients.wait(lambda: clients.ids() <= hosts.stored())
