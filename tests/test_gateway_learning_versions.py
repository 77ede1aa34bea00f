"""Router versions: added, promoted, rolled back and watched by several processes at once."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fusionfactory.demo import bundled_log
from fusionfactory.errors import ConfigError, NotFittedError, RouterFileError
from fusionfactory.gateway.learning.versions import Versions
from fusionfactory.routers import make_router

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.routers import Router


@pytest.fixture(scope="module")
def router() -> Router:
    return make_router("best_single").fit(bundled_log().rows(np.arange(40)))


def test_a_folder_that_is_not_there_holds_no_version(tmp_path: Path) -> None:
    versions = Versions(tmp_path / "state")
    assert (versions.current, versions.previous, versions.shadows, versions.list()) == (
        None, None, (), (),
    )  # fmt: skip
    assert not (tmp_path / "state").exists()


def test_a_version_is_kept_but_decides_nothing_until_it_is_promoted(
    tmp_path: Path, router: Router
) -> None:
    versions = Versions(tmp_path)
    name = versions.add(router, {"gain": 0.25})
    assert versions.current is None
    (kept,) = versions.list()
    assert (kept.id, kept.router, kept.facts) == (name, "best_single", {"gain": 0.25})
    assert kept.arms == tuple(arm.name for arm in router.arms_)
    assert versions.promote("v1") == name
    assert Versions(tmp_path).current == name
    assert versions.load(name).fingerprint_ == router.fingerprint_


def test_rollback_goes_back_one_promotion_at_a_time(tmp_path: Path, router: Router) -> None:
    versions = Versions(tmp_path)
    first, second, third = (versions.add(router) for _ in range(3))
    for name in (first, second, third):
        versions.promote(name)
    assert versions.previous == second
    assert versions.rollback() == second
    assert versions.rollback() == first
    assert versions.current == first
    with pytest.raises(ConfigError, match="no earlier version to go back to"):
        versions.rollback()


def test_promoting_the_current_version_changes_nothing(tmp_path: Path, router: Router) -> None:
    versions = Versions(tmp_path)
    versions.promote(versions.add(router))
    stamp = versions.stamp()
    versions.promote("v1")
    assert (versions.stamp(), versions.previous) == (stamp, None)


def test_shadows_watch_until_they_are_stopped_or_promoted(tmp_path: Path, router: Router) -> None:
    versions = Versions(tmp_path)
    first, second = versions.add(router), versions.add(router)
    versions.shadow(first)
    versions.shadow(second)
    versions.shadow(second)
    assert list(versions.shadows) == [first, second]
    versions.shadow(first, on=False)
    assert list(versions.shadows) == [second]
    versions.promote(second)
    assert list(versions.shadows) == []
    with pytest.raises(ConfigError, match="decides already"):
        versions.shadow(second)


def test_every_change_changes_the_stamp(tmp_path: Path, router: Router) -> None:
    versions = Versions(tmp_path)
    stamps = [versions.stamp()]
    name = versions.add(router)
    for change in (
        lambda: versions.note(name, {"gain": 1.0}),
        lambda: versions.shadow(name),
        lambda: versions.promote(name),
    ):
        stamps.append(versions.stamp())
        change()
    assert len({*stamps, versions.stamp()}) == 5


def test_notes_add_to_the_facts(tmp_path: Path, router: Router) -> None:
    versions = Versions(tmp_path)
    name = versions.add(router, {"rows": 40})
    versions.note(name, {"gain": 0.5})
    assert versions.find(name).facts == {"rows": 40, "gain": 0.5}


def test_an_unknown_version_is_named_with_the_known_ones(tmp_path: Path, router: Router) -> None:
    versions = Versions(tmp_path)
    name = versions.add(router)
    for change in (versions.promote, versions.shadow, versions.load):
        with pytest.raises(ConfigError, match=f"no version '../v1'; known: {name}"):
            change("../v1")


def test_an_unfitted_router_is_no_version(tmp_path: Path) -> None:
    with pytest.raises(NotFittedError, match="not fitted"):
        Versions(tmp_path).add(make_router("best_single"))
    assert Versions(tmp_path).list() == ()


def test_a_damaged_router_is_not_promoted(tmp_path: Path, router: Router) -> None:
    versions = Versions(tmp_path)
    versions.promote(versions.add(router))
    damaged = versions.add(router)
    with (tmp_path / "routers" / damaged / "router.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(RouterFileError, match="checksum does not match"):
        versions.promote(damaged)
    assert versions.current == versions.find("v1").id


def test_a_damaged_list_is_named(tmp_path: Path) -> None:
    (tmp_path / "versions.json").write_text('{"promoted": 7}')
    with pytest.raises(RouterFileError, match=r"versions\.json.*promoted"):
        _ = Versions(tmp_path).current
    (tmp_path / "versions.json").write_bytes(b"\xff\xfe")
    with pytest.raises(RouterFileError, match=r"versions\.json: cannot be read: .*utf-8"):
        _ = Versions(tmp_path).current
    (tmp_path / "versions.json").write_text('{"schema_version": 9}')
    with pytest.raises(RouterFileError, match="schema version 9"):
        Versions(tmp_path).list()


def test_processes_that_add_at_once_lose_nothing(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np\n"
        "from fusionfactory.demo import bundled_log\n"
        "from fusionfactory.gateway.learning.versions import Versions\n"
        "from fusionfactory.routers import make_router\n"
        "router = make_router('best_single').fit(bundled_log().rows(np.arange(20)))\n"
        "versions = Versions(sys.argv[1])\n"
        "for _ in range(5): versions.shadow(versions.add(router))\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(3)]
    assert [process.wait(timeout=120) for process in running] == [0, 0, 0]
    versions = Versions(tmp_path)
    names = [version.id for version in versions.list()]
    assert [name.partition("-")[0] for name in names] == [f"v{i + 1}" for i in range(15)]
    assert sorted(versions.shadows) == sorted(names)
