"""State on disk is there whole, or refused."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fusionfactory.errors import RouterFileError
from fusionfactory.sealed import STAGING, SealedState, digest

if TYPE_CHECKING:
    from pathlib import Path

FILES = SealedState("thing", 3, RouterFileError)


def write(directory: Path, value: float = 1.0) -> None:
    others = {"thing.extra": lambda to: to.write_text(f"extra {value}")}
    FILES.write(directory, {"value": value}, {"a": np.full(3, value)}, others)


def test_what_is_written_comes_back_and_is_replaced(tmp_path: Path) -> None:
    for value in (1.0, 2.0):
        write(tmp_path / "new" / "place", value)
        manifest, tensors = FILES.read(tmp_path / "new" / "place", network=False)
        assert (manifest["value"], manifest["schema_version"]) == (value, 3)
        assert tensors["a"].tolist() == [value] * 3
    names = {"thing.json", "thing.safetensors", "thing.extra"}
    assert {file.name for file in (tmp_path / "new" / "place").iterdir()} == names
    assert {file.name for file in (tmp_path / "new").iterdir()} == {"place"}


def test_a_failed_write_leaves_the_old_files_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path)

    def fail(path: Path) -> None:
        path.write_text("half")
        msg = "disk full"
        raise OSError(msg)

    with pytest.raises(OSError, match="disk full"):
        FILES.write(tmp_path, {"value": 2.0}, {"a": np.zeros(3)}, {"thing.extra": fail})
    assert FILES.read(tmp_path, network=False)[0]["value"] == 1
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(STAGING)]
    with pytest.raises(OSError, match="disk full"):
        FILES.write(tmp_path / "never", {}, {"a": np.zeros(3)}, {"thing.extra": fail})
    assert not (tmp_path / "never").exists()


def test_every_file_is_checked(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "thing.extra").write_text("extra 2.0")
    with pytest.raises(RouterFileError, match=r"thing\.extra: was changed or cut short"):
        FILES.read(tmp_path, network=False)
    (tmp_path / "thing.extra").unlink()
    with pytest.raises(RouterFileError, match=r"thing\.extra: No such file"):
        FILES.read(tmp_path, network=False)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2]", "is no JSON object"),
        ("{", "cannot be read"),
        ('{"schema_version": 2, "fusionfactory": "0.0"}', r"reads 3: make it again \(written"),
        ('{"schema_version": 4, "fusionfactory": "9.9"}', r"reads up to 3: .*\(written by 9\.9\)"),
        ('{"schema_version": 3}', "was changed after it was saved"),
        (None, "no saved thing here"),
    ],
)
def test_a_manifest_that_cannot_be_trusted(
    tmp_path: Path, content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "thing.json").write_text(content)
    with pytest.raises(RouterFileError, match=message):
        FILES.read(tmp_path, network=False)


def test_what_lies_there_instead_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    other = SealedState("other", 1, RouterFileError)
    with pytest.raises(RouterFileError, match=r"no saved other here, but a saved thing$"):
        other.read(tmp_path, network=False)


def test_arrays_that_are_no_safetensors(tmp_path: Path) -> None:
    write(tmp_path)
    body = b"no safetensors"
    manifest = json.loads((tmp_path / "thing.json").read_text())
    (tmp_path / "thing.safetensors").write_bytes(body)
    manifest["tensors_sha256"] = hashlib.sha256(body).hexdigest()
    manifest["files_sha256"] = {}
    manifest["manifest_sha256"] = digest(manifest)
    (tmp_path / "thing.json").write_text(json.dumps(manifest))
    with pytest.raises(RouterFileError, match=r"thing\.safetensors: cannot be read"):
        FILES.read(tmp_path, network=False)


def test_what_a_killed_run_left_does_not_block_a_router(tmp_path: Path) -> None:
    from fusionfactory.routers.files import check_directory

    (tmp_path / f"{STAGING}abc").mkdir()
    check_directory(tmp_path)
    (tmp_path / "stranger").touch()
    with pytest.raises(RouterFileError, match="something other than a router"):
        check_directory(tmp_path)
