"""Keys, rates and budgets that gateways share by PostgreSQL: three of them, in one process."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from command_line import run
from fusionfactory.config import Config
from fusionfactory.errors import ConfigError, StoreError
from fusionfactory.gateway.access import Access, Client, Key, KeyFile, Meters
from fusionfactory.gateway.access.shared_keys import SharedKeys
from fusionfactory.gateway.access.usage import all_meters
from fusionfactory.gateway.operations.presence import all_seen
from fusionfactory.gateway.operations.sharing import Sharing
from fusionfactory.gateway.refusal import Refusal
from fusionfactory.gateway.shared import identity, is_shared
from fusionfactory.serve_settings import ServeSection
from fusionfactory.store import Store
from fusionfactory.store.shared_access import gateways

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from fusionfactory.gateway.access import Admission
    from postgres_server import PostgresServer

NOON = 1_780_315_200.0  # 2026-06-01 12:00:00 UTC


class Host:
    """A gateway of two workers and its duty, by a clock that all hosts share."""

    def __init__(self, folder: Path, store: Store, clock: list[float]) -> None:
        self.folder, self.store, self.clock = folder, store, clock
        self.under_way: list[Admission] = []
        self.config = Config(
            store="postgresql://somewhere/log",
            serve=ServeSection(keys="required", state=folder, host="127.0.0.1", port=8000),
        )
        self.sharing = Sharing(self.config, store, clock=self.now)
        self.sharing.exchange()
        self.workers = [
            Access(self.config.serve, folder, worker, 2, shared=True, clock=self.now)
            for worker in range(2)
        ]

    def now(self) -> float:
        return self.clock[0]

    def client(self, token: str, worker: int = 0) -> Client:
        return self.workers[worker].authorise({"authorization": f"Bearer {token}"})

    def ask(self, token: str, worker: int = 0, tokens: int = 0) -> Mapping[str, str]:
        """One request, let in with the duty going on beside it."""
        client = self.client(token, worker)
        with self.duty():
            asyncio.run(self.workers[worker].prepare(client))
        return self.admit(token, worker, tokens)

    def admit(self, token: str, worker: int = 0, tokens: int = 0) -> Mapping[str, str]:
        """One request, let in by what is known."""
        admission = self.workers[worker].admit(self.client(token, worker), tokens)
        self.under_way.append(admission)
        return admission.headers

    def settle(self, usd: float | None) -> None:
        """Ends the request that was let in last."""
        self.under_way.pop().settle(1, usd)

    @contextmanager
    def duty(self) -> Iterator[None]:
        over = threading.Event()

        def answer() -> None:
            while not over.wait(0.002):
                self.sharing.answer()

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


class Hosts:
    """Several hosts of one store."""

    def __init__(self, folder: Path, store: Store, count: int) -> None:
        self.clock = [NOON]
        self.all = [Host(folder / f"host-{n}", store, self.clock) for n in range(count)]
        self.keys = SharedKeys(store)

    def exchange(self, times: int = 2) -> None:
        for _ in range(times):
            for host in self.all:
                host.sharing.exchange()

    def add(self, name: str = "alice", **limits: Any) -> str:  # noqa: ANN401
        _, token = self.keys.add(name, **limits)
        self.exchange()
        self.clock[0] += 1.0  # workers look at their file of keys again
        return token


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.database()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with Store(url) as opened:
        yield opened


@pytest.fixture
def hosts(tmp_path: Path, store: Store) -> Hosts:
    return Hosts(tmp_path, store, 3)


def refusal(host: Host, token: str, worker: int = 0) -> Refusal:
    with pytest.raises(Refusal, match="'alice'") as caught:
        host.ask(token, worker)
    return caught.value


def spend(host: Host, usd: float, let_in: Callable[[], object]) -> tuple[int, Refusal]:
    """Asks until nothing is let in; gives how often, and the refusal."""
    for times in range(5000):
        try:
            let_in()
        except Refusal as refused:
            return times, refused
        host.settle(usd)
    pytest.fail("the budget has no end")


# Keys


def test_a_key_counts_at_every_gateway_until_it_is_revoked(hosts: Hosts) -> None:
    token = hosts.add()
    assert [host.client(token).key for host in hosts.all] == ["alice"] * 3
    hosts.keys.revoke("alice")
    hosts.exchange()
    hosts.clock[0] += 1.0
    for host in hosts.all:
        with pytest.raises(Refusal, match="'alice' was revoked"):
            host.client(token)


def test_a_key_is_added_by_any_gateways_folder(hosts: Hosts, store: Store) -> None:
    file = KeyFile(hosts.all[1].folder, SharedKeys(store))
    key, token = file.add("bob", rpm=5)
    assert file.read() == (key,)
    hosts.exchange()
    hosts.clock[0] += 1.0
    assert hosts.all[0].client(token).rpm == 5
    assert KeyFile(hosts.all[2].folder, SharedKeys(store)).revoke("bob").revoked is not None
    with pytest.raises(ConfigError, match="there is or was a key 'bob'"):
        file.add("bob")


class _LostAfterwards(SharedKeys):
    def add(self, name: str, **limits: Any) -> tuple[Key, str]:  # noqa: ANN401  those of a key
        made = super().add(name, **limits)
        self._store.close()
        return made


def test_a_key_is_told_though_the_store_is_lost_after_it_was_made(hosts: Hosts, url: str) -> None:
    file = KeyFile(hosts.all[0].folder, _LostAfterwards(Store(url)))
    _, token = file.add("alice")
    assert file.read() == ()
    hosts.exchange()
    hosts.clock[0] += 1.0
    assert hosts.all[0].client(token).key == "alice"


def test_keys_of_before_are_taken_in_with_what_they_used(tmp_path: Path, store: Store) -> None:
    clock, tokens = [NOON], []
    for number, names in enumerate((["alice", "bob"], ["carol"], ["dora"])):
        folder = tmp_path / f"host-{number}"
        tokens += [KeyFile(folder).add(name, usd_per_day=1.0)[1] for name in names]
        Meters(folder)(0).charge(NOON, 0.25 * (number + 1))
    hosts = Hosts(tmp_path, store, 3)
    hosts.exchange()
    clock[0] += 1.0
    expected = [("alice", 0.25), ("bob", 0.0), ("carol", 0.5), ("dora", 0.75)]
    for host in hosts.all:
        meters = Meters(host.folder, shared=True)
        keys = KeyFile(host.folder).read()
        found = [(key.name, meters(key.number).spent_usd(NOON)[0]) for key in keys]
        assert found == expected
        assert [host.client(token).key for token in tokens] == ["alice", "bob", "carol", "dora"]


def test_a_copy_of_a_key_is_the_same_key_revoked_if_either_is(tmp_path: Path, store: Store) -> None:
    first = KeyFile(tmp_path / "host-0")
    first.add("alice")
    copy = KeyFile(tmp_path / "host-1")
    copy.path.parent.mkdir()
    copy.path.write_bytes(first.path.read_bytes())
    copy.revoke("alice")
    hosts = Hosts(tmp_path, store, 2)
    hosts.exchange()
    for host in hosts.all:
        (key,) = KeyFile(host.folder).read()
        assert key.revoked is not None


def test_two_keys_of_one_name_are_not_mixed_up(tmp_path: Path, store: Store) -> None:
    for number in range(2):
        KeyFile(tmp_path / f"host-{number}").add("alice")
    with pytest.raises(ConfigError, match="another key 'alice' is among those"):
        Hosts(tmp_path, store, 2)


def test_a_copy_is_not_changed_behind_the_stores_back(hosts: Hosts) -> None:
    hosts.add()
    file = KeyFile(hosts.all[0].folder)
    with pytest.raises(ConfigError, match=r"keys\.json.*is a copy of the keys that several"):
        file.add("bob")
    with pytest.raises(ConfigError, match=r"keys\.json.*is a copy of the keys that several"):
        file.revoke("alice")


def test_keys_survive_a_store_that_was_made_anew(
    hosts: Hosts, tmp_path: Path, postgres: PostgresServer
) -> None:
    token = hosts.add()
    with Store(postgres.database()) as empty:
        again = Hosts(tmp_path, empty, 3)
        again.exchange()
        assert [host.client(token).key for host in again.all] == ["alice"] * 3


def test_a_gateway_of_another_store_has_the_keys_of_that(
    tmp_path: Path, store: Store, postgres: PostgresServer
) -> None:
    token = Hosts(tmp_path / "one", store, 1).add()
    with Store(postgres.database()) as other:
        theirs = Hosts(tmp_path / "two", other, 1).add()
        moved = Hosts(tmp_path / "one", other, 1).all[0]
        assert moved.client(theirs).key == "alice"
        with pytest.raises(Refusal, match="none of this gateway's"):
            moved.client(token)


# Rates


def test_requests_per_minute_count_over_all_gateways(hosts: Hosts) -> None:
    token = hosts.add(rpm=6)
    for turn in range(6):
        hosts.all[turn % 3].ask(token, turn % 2)
        hosts.exchange()
    for host in hosts.all:
        assert refusal(host, token).code == "rate_limit_exceeded"
    hosts.clock[0] += 121.0
    assert hosts.all[0].ask(token)["x-ratelimit-remaining-requests"] == "5"


def test_tokens_of_the_minute_before_count_by_their_share(hosts: Hosts) -> None:
    token = hosts.add(tpm=1000)
    hosts.clock[0] = NOON
    hosts.all[0].ask(token, tokens=600)
    hosts.clock[0] += 30.0
    hosts.all[1].ask(token, tokens=200)
    hosts.exchange()
    hosts.clock[0] += 60.0  # half of the minute before lies in the last 60 seconds
    left = hosts.all[2].ask(token, tokens=100)["x-ratelimit-remaining-tokens"]
    assert left == "500"


# Budgets


def test_a_budget_is_that_of_all_gateways(hosts: Hosts, store: Store) -> None:
    token, turns = hosts.add(usd_per_day=1.0), itertools.count()

    times, last = 0, None
    while last is None:
        host = hosts.all[next(turns) % 3]
        try:
            host.ask(token)
        except Refusal as refused:
            last = refused
        else:
            host.settle(0.03)
            hosts.exchange(1)
            times += 1
    assert last.status == 429
    assert "has spent its 1 USD per day" in last.message
    assert times == 34
    assert all_meters(store)(0).spent_usd(NOON)[0] == pytest.approx(34 * 0.03)
    hosts.exchange()
    for host in hosts.all:
        assert refusal(host, token).code == "insufficient_quota"


def test_a_month_and_a_day_are_both_kept_and_begin_anew(hosts: Hosts) -> None:
    token = hosts.add(usd_per_day=1.0, usd_per_month=1.5)
    first, second, _ = hosts.all
    first.ask(token)
    first.settle(1.0)
    hosts.exchange()
    assert "per day" in refusal(second, token).message
    hosts.clock[0] += 86_400.0
    second.ask(token)
    second.settle(0.5)
    hosts.exchange()
    assert "per month" in refusal(first, token).message
    hosts.clock[0] += 30 * 86_400.0
    first.ask(token)


def test_an_unknown_cost_counts_as_the_mean_of_all_gateways(hosts: Hosts) -> None:
    token = hosts.add(usd_per_day=1.0)
    hosts.all[0].ask(token)
    hosts.all[0].settle(0.5)
    hosts.exchange()
    hosts.all[1].ask(token)
    hosts.all[1].settle(None)
    hosts.exchange()
    assert refusal(hosts.all[2], token).status == 429


def test_a_crowd_behind_one_key_asks_once_and_waits_together(hosts: Hosts) -> None:
    token, host = hosts.add(usd_per_day=1.0), hosts.all[0]
    client = host.client(token)
    assert client.meter is not None
    assert client.meter.elsewhere is not None

    async def crowd() -> None:
        await asyncio.gather(*(host.workers[0].prepare(client) for _ in range(50)))

    before = client.meter.elsewhere.asked
    with host.duty():
        asyncio.run(crowd())
    assert client.meter.elsewhere.asked == before + 1
    host.admit(token)


def test_a_gateway_that_is_cut_off_spends_what_it_was_granted_and_no_more(hosts: Hosts) -> None:
    token = hosts.add(usd_per_day=1.0)
    cut, *others = hosts.all
    for host in hosts.all:
        host.ask(token)
    alone, last = spend(cut, 0.001, lambda: cut.admit(token))
    assert alone > 10
    assert (last.status, last.code) == (503, "budget_unknown")
    assert last.headers["retry-after"] == "1"
    more, last = spend(others[0], 0.001, lambda: others[0].ask(token))
    assert last.status == 503
    assert (alone + more) * 0.001 <= 1.0 + 0.002
    hosts.exchange()
    cut.ask(token)  # it is back, and so is what it had not spent


def later(host: Host) -> None:
    """The duty goes on, so long after that grants may change again."""
    time.sleep(0.5)
    host.sharing.exchange()


def test_what_was_granted_to_a_request_that_left_is_given_back(hosts: Hosts) -> None:
    token = hosts.add(usd_per_day=1.0)
    first, second, _ = hosts.all
    for _ in range(3):
        first.ask(token)
        first.settle(0.3)
    later(first)
    with first.duty():
        asyncio.run(first.workers[0].prepare(first.client(token)))
    second.sharing.exchange()
    assert refusal(second, token).code == "budget_unknown"
    later(first)
    second.ask(token, worker=1)


def held_by_one(hosts: Hosts) -> tuple[str, Host, Host]:
    """A key, the host that has three requests under way for all of its budget, and another one."""
    token = hosts.add(usd_per_day=1.0)
    first, second, _ = hosts.all
    first.ask(token)
    first.settle(0.3)
    for _ in range(3):
        first.ask(token)
    later(first)
    second.sharing.exchange()
    assert refusal(second, token).code == "budget_held"
    return token, first, second


@pytest.mark.parametrize("failing", ["_take", "_hear"])
def test_what_ended_is_told_though_the_store_was_lost_for_a_moment(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def lost(*_: object) -> None:
        msg = "the store is away"
        raise StoreError(msg)

    token, first, second = held_by_one(hosts)
    for _ in range(3):
        first.settle(0.01)
    with monkeypatch.context() as broken:
        broken.setattr(first.sharing, failing, lost)
        with pytest.raises(StoreError, match="is away"):
            later(first)
    later(first)
    second.ask(token, worker=1)


def test_what_ends_at_no_cost_is_told(hosts: Hosts) -> None:
    token, first, second = held_by_one(hosts)
    for _ in range(3):
        first.under_way.pop().settle(None, 0.0)
    later(first)
    second.ask(token, worker=1)


def test_what_is_under_way_at_midnight_counts_for_the_new_day(hosts: Hosts) -> None:
    token = hosts.add(usd_per_day=1.0)
    first, second, _ = hosts.all
    first.ask(token)
    first.settle(0.1)
    for _ in range(8):
        first.ask(token)
    hosts.clock[0] += 86_400.0
    hosts.exchange()
    later(first)
    times, _ = spend(second, 0.1, lambda: second.ask(token))
    for _ in range(8):
        first.settle(0.1)
    assert (times + 8) * 0.1 <= 1.0 + 0.1 + 1e-9


def test_what_a_dead_gateway_was_granted_counts_as_spent_until_it_is_back(
    hosts: Hosts, store: Store
) -> None:
    token = hosts.add(usd_per_day=1.0)
    dead, alive, _ = hosts.all
    dead.ask(token)
    dead.settle(0.01)
    alive.ask(token)
    alive.settle(0.97)
    alive.sharing.exchange()
    assert refusal(alive, token).status == 503
    with store.transaction(write=True) as connection:
        connection.exec_driver_sql(
            "UPDATE gateways SET seen = seen - 60 WHERE id = %s", (identity(dead.folder),)
        )
    assert refusal(alive, token, worker=1).status == 429
    again = Host(dead.folder, store, hosts.clock)
    again.sharing.exchange()
    alive.ask(token, worker=1)


def test_a_gateway_that_ends_leaves_its_part_to_the_others(hosts: Hosts, store: Store) -> None:
    token = hosts.add(usd_per_day=1.0)
    ended, other, _ = hosts.all
    ended.ask(token)
    ended.settle(0.01)
    ended.sharing.leave()
    with pytest.raises(Refusal, match="used up its part"):
        ended.admit(token)
    with store.transaction() as connection:
        rows = connection.exec_driver_sql("SELECT usd, spent_usd FROM budget_grants").all()
    assert rows == [(0.01, 0.01)]
    other.ask(token)


# Themselves


def test_gateways_know_of_each_other(hosts: Hosts, store: Store) -> None:
    seen = all_seen(store)
    assert {gateway.id for gateway in seen} == {identity(host.folder) for host in hosts.all}
    assert {gateway.address for gateway in seen} == {"127.0.0.1:8000"}
    assert all(gateway.silent_s < 20 for gateway in seen)


def test_a_store_that_forgot_a_gateway_hears_of_it_again(hosts: Hosts, store: Store) -> None:
    store.run(lambda connection: connection.execute(gateways.delete()), write=True)
    hosts.all[1].sharing._told_at -= 1.0  # a second later
    hosts.all[1].sharing.exchange()
    assert [gateway.id for gateway in all_seen(store)] == [identity(hosts.all[1].folder)]


def test_a_copied_state_folder_is_noticed(hosts: Hosts, tmp_path: Path, store: Store) -> None:
    first = hosts.all[0]
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "gateway-id").write_text(identity(first.folder))
    Host(tmp_path / "copy", store, hosts.clock)
    first.sharing._told_at -= 1.0  # a second later
    with pytest.raises(StoreError, match=r"another gateway calls itself .* is a copy"):
        first.sharing.exchange()


def test_what_is_shared_follows_the_store() -> None:
    def config(store: str, shared: str) -> Config:
        return Config.model_validate({"store": store, "serve": {"shared": shared}})

    assert is_shared(config("postgresql://db/log", "auto"))
    assert not is_shared(config("postgresql://db/log", "machine"))
    assert not is_shared(config("runs.db", "auto"))
    with pytest.raises(ConfigError, match="this one is not PostgreSQL"):
        is_shared(config("runs.db", "store"))


def test_the_file_says_that_it_is_a_copy(hosts: Hosts) -> None:
    hosts.add()
    content = json.loads((hosts.all[0].folder / "keys.json").read_text())
    assert content["stamp"] == hosts.keys.stamp() > 0


def test_the_verbs_change_keys_for_every_gateway(
    hosts: Hosts,
    tmp_path: Path,
    url: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert run("keys", "add", "alice", "--store", url, "--rpm", "9", "--json") == 0
    token = json.loads(capsys.readouterr().out)["key"]
    hosts.exchange()
    hosts.clock[0] = time.time()
    for host in hosts.all:
        host.ask(token)
        host.settle(0.25)
    hosts.exchange()
    (elsewhere / "fusionfactory.toml").write_text(f'store = "{url}"\n')
    assert run("keys", "list", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["name"], row["spent_today_usd"]) == ("alice", 0.75)
    assert run("keys", "revoke", "alice") == 0
    hosts.exchange()
    hosts.clock[0] += 1.0
    with pytest.raises(Refusal, match="'alice' was revoked"):
        hosts.all[2].client(token)
    assert list(elsewhere.iterdir()) == [elsewhere / "fusionfactory.toml"]
