"""Folders of killed runs: the next run removes them, and none of a run that lives."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fusionfactory.errors import ConfigError
from fusionfactory.scale.leftovers import owned_folder, sweep
from fusionfactory.scale.shards import laid_out

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("fsspec")
pytest.importorskip("pyarrow")

_OWNER = """
import sys
from fusionfactory.scale.leftovers import owned_folder
with owned_folder(sys.argv[1]) as (files, folder):
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FUSIONFACTORY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@contextmanager
def owner(place: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that owns a folder, and the folder."""
    command = [sys.executable, "-c", _OWNER, place]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()


def shards(place: Path) -> list[Path]:
    return list(place.glob("fusionfactory-shards-*"))


def lay_out(place: str) -> None:
    import pyarrow as pa

    with laid_out([{"n": 1}], pa.schema([("n", pa.int64())]), place, 1):
        pass


def test_the_next_run_removes_what_a_killed_one_left_and_nothing_of_one_that_lives(
    tmp_path: Path,
) -> None:
    place = tmp_path / "place"
    with owner(str(place)) as (living, its), owner(f"file://{place}") as (dead, left):
        assert {Path(its), Path(left)} == set(shards(place))
        lay_out(str(place))
        assert {Path(its), Path(left)} == set(shards(place))
        kill(dead)
        lay_out(str(place))
        assert shards(place) == [Path(its)]
        living.communicate("")
        assert shards(place) == []


def test_what_a_killed_run_left_in_a_bucket_goes_when_one_is_used_again(
    tmp_path: Path, cache: Path
) -> None:
    import fsspec

    bucket = fsspec.filesystem("memory")
    with owner("memory://bucket") as (dead, left):
        # What the other process has in memory, in this one's.
        bucket.pipe(f"{left}/00000000.parquet", b"rows")
        sweep("memory://another")
        assert bucket.exists(left)
        kill(dead)
    sweep(str(tmp_path))
    assert bucket.exists(left)
    sweep("memory://another")
    assert not bucket.exists(left)
    assert list((cache / "shards").iterdir()) == []


def test_a_run_in_a_bucket_leaves_nothing_here(cache: Path) -> None:
    with owned_folder("memory://bucket") as (files, folder):
        assert len(list((cache / "shards").iterdir())) == 1
        sweep("memory://bucket")
        assert files.exists(folder)
    assert list((cache / "shards").iterdir()) == []
    assert not files.exists(folder)


@pytest.mark.parametrize(
    "change",
    [
        '{"machine": "another", "boot": "another"}',  # over a network its lock may not count
        '{"machine": "another", "boot": ""}',
        "",  # of an owner that could hold no lock
        "[]",  # of nobody
    ],
)
def test_where_it_is_not_sure_that_the_owner_is_gone_the_folder_stays(
    tmp_path: Path, change: str
) -> None:
    with owner(str(tmp_path)) as (dead, left):
        kill(dead)
    lock = Path(left) / "owner.lock"
    facts = json.loads(lock.read_text(encoding="utf-8"))
    written = json.dumps(facts | json.loads(change)) if "machine" in change else change
    lock.write_text(written, encoding="utf-8")
    sweep(str(tmp_path))
    assert shards(tmp_path) == [Path(left)]
    lock.write_text(json.dumps(facts), encoding="utf-8")
    sweep(str(tmp_path))
    assert shards(tmp_path) == []


@pytest.mark.parametrize("place", ["memory://bucket", "memory://", "place/"])
def test_work_goes_on_without_a_cache_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FUSIONFACTORY_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.chdir(tmp_path)
    lay_out(place)
    assert shards(tmp_path / "place") == []
    monkeypatch.delenv("FUSIONFACTORY_CACHE")
    monkeypatch.setattr(Path, "home", nowhere)
    lay_out(place)
    assert {path.name for path in tmp_path.iterdir()} <= {"file", "place"}


def nowhere() -> Path:
    """As of a user that the machine does not know."""
    msg = "Could not determine home directory."
    raise RuntimeError(msg)


def test_logins_are_not_told() -> None:
    with pytest.raises(ConfigError, match=r"'ftp://127.0.0.1:1/x' cannot be written") as refused:
        lay_out("ftp://me:secret@127.0.0.1:1/x")
    assert "secret" not in str(refused.value)


def test_a_folder_without_a_lock_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "fusionfactory-shards-0").mkdir()
    sweep(str(tmp_path))
    assert len(shards(tmp_path)) == 1


def test_a_lock_cannot_have_another_folder_removed(tmp_path: Path, cache: Path) -> None:
    with owner("memory://bucket") as (dead, left):
        kill(dead)
    (lock,) = (cache / "shards").iterdir()
    facts = json.loads(lock.read_text(encoding="utf-8"))
    (tmp_path / "mine").mkdir()
    lock.write_text(json.dumps(facts | {"folder": str(tmp_path / "mine")}), encoding="utf-8")
    sweep("memory://bucket")
    assert (tmp_path / "mine").is_dir()
    assert left
