"""Router versions that several gateways share by a store, each with a copy in its own folder."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import sqlalchemy as sa

from command_line import facts, run
from fusionfactory.demo import bundled_log
from fusionfactory.errors import ConfigError, NotFittedError, RouterFileError, StoreError
from fusionfactory.gateway.learning.shared_book import SharedBook
from fusionfactory.gateway.learning.versions import Versions
from fusionfactory.routers import make_router
from fusionfactory.store import Store
from fusionfactory.store.shared_versions import router_book, router_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fusionfactory.routers import Router
    from postgres_server import PostgresServer


@pytest.fixture(scope="module")
def router() -> Router:
    return make_router("best_single").fit(bundled_log().rows(np.arange(40)))


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with Store(store_url) as opened:
        yield opened


@pytest.fixture
def hosts(store: Store, tmp_path: Path) -> tuple[Versions, Versions]:
    """Two gateways of one store."""
    first, second = (Versions(tmp_path / name, SharedBook(store)) for name in ("one", "two"))
    return first, second


def test_what_one_host_promotes_the_other_can_load(
    hosts: tuple[Versions, Versions], router: Router
) -> None:
    here, there = hosts
    name = here.add(router, {"gain": 0.25})
    here.promote(name)
    assert there.current is None
    assert there.follow()
    assert there.current == name
    assert there.load(name).fingerprint_ == router.fingerprint_
    assert there.find("v1").facts == {"gain": 0.25}
    assert not there.follow()


def test_every_kind_of_change_gets_to_the_other_host(
    hosts: tuple[Versions, Versions], router: Router
) -> None:
    here, there = hosts
    first, second, third = (here.add(router) for _ in range(3))
    here.promote(first)
    there.promote(second)
    here.shadow(third)
    there.note("v1", {"rows": 40})
    for versions in hosts:
        versions.follow()
        assert (versions.current, versions.previous) == (second, first)
        assert versions.shadows == (third,)
        assert versions.find(first).facts == {"rows": 40}
    assert there.rollback() == first
    here.follow()
    assert here.current == first
    with pytest.raises(ConfigError, match="no earlier version to go back to"):
        here.rollback()


def test_a_change_begins_from_what_the_store_says_not_from_an_old_copy(
    hosts: tuple[Versions, Versions], router: Router
) -> None:
    here, there = hosts
    names = [here.add(router), there.add(router), here.add(router)]
    assert [name.partition("-")[0] for name in names] == ["v1", "v2", "v3"]
    there.promote("v3")
    assert there.current == names[2]


def test_the_copy_is_read_while_the_store_is_away(store_url: str, tmp_path: Path) -> None:
    with Store(store_url) as opened:
        versions = Versions(tmp_path / "one", SharedBook(opened))
        fitted = make_router("best_single").fit(bundled_log().rows(np.arange(40)))
        assert versions.begin(fitted)
    assert versions.load(str(versions.current)).fingerprint_ == fitted.fingerprint_
    assert len(versions.list()) == 1
    with pytest.raises(StoreError, match="the store is closed"):
        versions.follow()
    before = versions.stamp()
    with pytest.raises(StoreError, match="the store is closed"):
        versions.rollback()
    assert versions.stamp() == before


def test_only_the_files_that_may_decide_are_copied_until_others_are_wanted(
    hosts: tuple[Versions, Versions], router: Router
) -> None:
    here, there = hosts
    names = [here.add(router) for _ in range(5)]
    for name in names[:3]:
        here.promote(name)
    here.shadow(names[3])
    there.follow()
    copied = {path.name for path in (there.folder / "routers").iterdir()}
    assert copied == set(names[1:4])
    there.load(names[4])
    assert {path.name for path in (there.folder / "routers").iterdir()} == set(names[1:])


def test_old_folders_are_taken_in_once(store: Store, tmp_path: Path, router: Router) -> None:
    old, other = Versions(tmp_path / "one"), Versions(tmp_path / "two")
    kept, deciding, watching = (old.add(router, {"host": 1}) for _ in range(3))
    old.promote(kept)
    old.promote(deciding)
    old.shadow(watching)
    others = other.add(router)
    other.promote(others)
    for folder in (old.folder, other.folder):
        versions = Versions(folder, SharedBook(store))
        assert versions.follow()
        assert not versions.follow()
    shared = [Versions(folder, SharedBook(store)) for folder in (old.folder, other.folder)]
    shared[0].follow()
    for versions in shared:
        assert [one.id for one in versions.list()] == [kept, deciding, watching, others]
        assert (versions.current, versions.previous) == (deciding, kept)
        assert versions.shadows == (watching,)
    shared[0].load(others)
    with pytest.raises(ConfigError, match=f"'v1' may be any of {kept}, {others}, which came"):
        shared[0].promote("v1")
    assert shared[1].add(router).partition("-")[0] == "v4"


def test_an_empty_database_gets_what_the_folder_has(
    store_url: str, tmp_path: Path, router: Router
) -> None:
    with Store(store_url) as first:
        versions = Versions(tmp_path / "one", SharedBook(first))
        versions.begin(router)
        watching = versions.add(router)
        versions.shadow(watching)
    with Store(tmp_path / "another.db") as second:
        moved = Versions(tmp_path / "one", SharedBook(second))
        current = moved.current
        assert moved.follow()
        assert (moved.current, moved.shadows) == (current, (watching,))
        third = Versions(tmp_path / "three", SharedBook(second))
        third.follow()
        assert (third.current, third.shadows) == (current, (watching,))


def test_of_gateways_that_begin_at_once_one_gives_the_first_router(
    hosts: tuple[Versions, Versions], router: Router
) -> None:
    here, there = hosts
    assert here.begin(router)
    assert not there.begin(router)
    assert [version.id for version in there.list()] == [here.current] == [there.current]
    assert {path.name for path in (there.folder / "routers").iterdir()} == {here.current}


def test_an_unfitted_router_is_no_version(hosts: tuple[Versions, Versions]) -> None:
    with pytest.raises(NotFittedError, match="not fitted"):
        hosts[0].begin(make_router("best_single"))
    assert not hosts[0].folder.exists()


def test_files_that_the_store_lost_or_damaged_are_not_used(
    hosts: tuple[Versions, Versions], store: Store, router: Router
) -> None:
    here, there = hosts
    name = here.add(router)
    damaged = router_files.update().where(router_files.c.path == "router.json")
    with store.transaction(write=True) as connection:
        connection.execute(damaged.values(content=b"{}"))
    with pytest.raises(StoreError, match=rf"router\.json of version {name} is damaged"):
        there.promote(name)
    with store.transaction(write=True) as connection:
        connection.execute(router_files.delete())
    with pytest.raises(StoreError, match=f"files of version {name} are not in the store"):
        there.promote(name)
    assert there.current is None
    assert not (there.folder / "routers").exists()


def test_a_damaged_copy_is_not_promoted(hosts: tuple[Versions, Versions], router: Router) -> None:
    here, _ = hosts
    name = here.add(router)
    with (here.folder / "routers" / name / "router.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(RouterFileError, match="checksum does not match"):
        here.promote(name)
    here.follow()
    assert here.current is None


def test_a_list_that_this_program_cannot_read_is_named(
    hosts: tuple[Versions, Versions], store: Store, router: Router
) -> None:
    here, there = hosts
    here.add(router)
    for content, message in (
        (json.dumps({"schema_version": 9}), "schema version 9.*upgrade fusionfactory"),
        (json.dumps({"promoted": 7}), "cannot be read"),
        (json.dumps({"versions": [{"id": "../v1"}]}), "cannot be read"),
    ):
        with store.transaction(write=True) as connection:
            connection.execute(router_book.update().values(content=content))
        with pytest.raises(StoreError, match=message):
            there.follow()


def test_a_failing_change_changes_nothing(
    hosts: tuple[Versions, Versions], store: Store, router: Router
) -> None:
    here, _ = hosts
    here.begin(router)
    before = SharedBook(store).read()
    with pytest.raises(ConfigError, match="decides already"):
        here.shadow("v1")
    with store.transaction() as connection:
        files = connection.execute(sa.select(sa.func.count()).select_from(router_files)).scalar()
    assert (SharedBook(store).read(), files) == (before, 2)


def test_commands_of_any_machine_work_on_the_shared_versions(
    postgres: PostgresServer,
    router: Router,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = postgres.database()
    with Store(url) as store:
        host = Versions(tmp_path / "host", SharedBook(store))
        first, second = host.add(router), host.add(router)
        host.promote(first)
        desk = tmp_path / "desk"
        desk.mkdir()
        monkeypatch.chdir(desk)
        (desk / "fusionfactory.toml").write_text(f'store = "{url}"\n')
        assert run("promote", "--list", "--json", "listed.json") == 0
        assert [one["id"] for one in facts("listed.json")["versions"]] == [first, second]
        assert facts("listed.json")["current"] == first
        assert run("promote", second, "--force") == 0
        assert host.follow()
        assert host.current == second
        (desk / "fusionfactory.toml").write_text(
            f'store = "{url}"\n[serve]\nshared = "machine"\nstate = "own"\n'
        )
        assert run("promote", "--list", "--json", "listed.json") == 0
        assert facts("listed.json")["versions"] == []


def test_hosts_that_change_at_once_lose_nothing(store_url: str, tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np\n"
        "from fusionfactory.demo import bundled_log\n"
        "from fusionfactory.gateway.learning.shared_book import SharedBook\n"
        "from fusionfactory.gateway.learning.versions import Versions\n"
        "from fusionfactory.routers import make_router\n"
        "from fusionfactory.store import Store\n"
        "router = make_router('best_single').fit(bundled_log().rows(np.arange(20)))\n"
        "versions = Versions(sys.argv[2], SharedBook(Store(sys.argv[1])))\n"
        "for _ in range(4): versions.shadow(versions.add(router))\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, store_url, str(tmp_path / name)])
        for name in ("one", "two", "two")
    ]
    assert [process.wait(timeout=120) for process in running] == [0, 0, 0]
    with Store(store_url) as store:
        for name in ("one", "two"):
            versions = Versions(tmp_path / name, SharedBook(store))
            versions.follow()
            names = [version.id for version in versions.list()]
            assert [name.partition("-")[0] for name in names] == [f"v{i + 1}" for i in range(12)]
            assert sorted(versions.shadows) == sorted(names)
