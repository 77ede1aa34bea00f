"""Where a large table's Parquet files are: a file, a folder, a glob, or a URL that fsspec knows."""

from __future__ import annotations

import glob
import hashlib
import json
import re
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING, Any

from fusionfactory.errors import MissingExtraError, TableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "SourceFile",
    "find_files",
    "holds_parquet",
    "is_url",
    "key_of",
    "local_copy",
    "open_remote",
    "without_login",
]

_WILD = "*?["


@dataclass(frozen=True)
class SourceFile:
    """One Parquet file to read.

    Attributes:
        name: Its path or URL.
        size: Bytes.
        version: What changes with its content: its time, or the storage's tag.
        system: The fsspec file system that it must be fetched from, if any.
        path: There.
    """

    name: str
    size: int
    version: str
    system: Any = None
    path: str = ""


def find_files(source: str | Path) -> tuple[SourceFile, ...]:
    """The Parquet files of a place, in order of their names.

    In a folder these are all `*.parquet` below it but for hidden ones.

    Raises:
        TableError: There is none.
        MissingExtraError: A URL without fsspec.
    """
    files = _remote(str(source)) if is_url(source) else _local(source)
    empty = [file for file in files if not file.size]
    if empty:
        msg = "the file is empty"
        raise TableError(msg, file=empty[0].name)
    if not files:
        msg = "no Parquet files: expected a file, a folder of *.parquet, a glob or a URL"
        raise TableError(msg, file=without_login(source))
    return tuple(sorted(files, key=lambda file: file.name))


def is_url(place: str | Path) -> bool:
    """Whether a place is one for fsspec."""
    return isinstance(place, str) and "://" in place


def holds_parquet(folder: str | Path) -> bool:
    """Whether there are Parquet files in a folder, which need not exist."""
    if is_url(folder):
        system, path = _file_system(str(folder))
        return bool(system.exists(path) and system.glob(f"{path.rstrip('/')}/*.parquet"))
    return next(Path(folder).glob("*.parquet"), None) is not None


def without_login(place: str | Path) -> str:
    """A place as it may be shown and kept: its URL without user and password."""
    return re.sub(r"(?<=://)[^/@]*@", "", str(place))


@contextmanager
def open_remote(url: str) -> Iterator[Any]:
    """A file at a URL, open for writing; it is there once all of it is written.

    Raises:
        TableError: It cannot be written.
    """
    system, path = _file_system(url)
    try:
        system.makedirs(path.rpartition("/")[0], exist_ok=True)
        with system.open(path, "wb") as file:
            yield file
    except OSError as error:
        msg = f"cannot be written ({error})"
        raise TableError(msg, file=without_login(url)) from None


def key_of(files: Sequence[SourceFile]) -> str:
    """A digest of the files' names, sizes and versions."""
    content = json.dumps([(file.name, file.size, file.version) for file in files])
    return hashlib.sha256(content.encode()).hexdigest()[:24]


def _local(source: str | Path) -> list[SourceFile]:
    path = Path(source)
    if path.is_dir():
        found = [file for file in path.rglob("*.parquet") if _is_shown(file.relative_to(path))]
    elif path.is_file():
        found = [path]
    elif any(mark in str(source) for mark in _WILD):
        found = [Path(name) for name in glob.glob(str(source), recursive=True)]  # noqa: PTH207
        found = [file for file in found if file.is_file()]
    else:
        msg = "no such file or folder"
        raise TableError(msg, file=without_login(source))
    stats = [(file, file.stat()) for file in found]
    return [SourceFile(str(file), stat.st_size, str(stat.st_mtime_ns)) for file, stat in stats]


def _is_shown(path: PurePath) -> bool:
    return not any(part.startswith((".", "_")) for part in path.parts)


def _remote(source: str) -> list[SourceFile]:
    system, path = _file_system(source)
    try:
        if any(mark in path for mark in _WILD):
            listed = system.glob(path, detail=True)
        elif system.isdir(path):
            listed = system.find(path, detail=True)
            below = {name: PurePosixPath(name.removeprefix(path)) for name in listed}
            listed = {
                name: listed[name]
                for name, place in below.items()
                if place.suffix == ".parquet" and _is_shown(place)
            }
        else:
            listed = {path: system.info(path)}
    except FileNotFoundError:
        msg = "no such file or folder"
        raise TableError(msg, file=without_login(source)) from None
    except OSError as error:
        msg = f"cannot be listed ({error})"
        raise TableError(msg, file=without_login(source)) from None
    # Names may leave out what the URL says of host and login; so the file system comes along.
    host = str(system.storage_options.get("host") or "")
    return [
        SourceFile(
            system.unstrip_protocol(name),
            int(info["size"] or 0),
            _version(info) + host,
            system,
            name,
        )
        for name, info in listed.items()
        if info["type"] == "file"
    ]


def _version(info: dict[str, Any]) -> str:
    named = ("ETag", "etag", "md5", "content_md5", "LastModified", "mtime", "created")
    return next((str(info[name]) for name in named if info.get(name)), "")


def _file_system(url: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        what = f"Opening {without_login(url)}"
        raise MissingExtraError(what, "ray") from None
    try:
        system, path = url_to_fs(url)
    except (ImportError, ValueError) as error:
        msg = f"fsspec cannot open it: {error}"
        raise TableError(msg, file=without_login(url)) from None
    return system, path


@contextmanager
def local_copy(file: SourceFile, folder: Path) -> Iterator[Path]:
    """A path to read the file at; a remote one is fetched into the folder and deleted afterwards.

    What its folders say by names such as `llm=x`, the path says, too.

    Raises:
        TableError: It cannot be fetched.
    """
    if file.system is None:
        yield Path(file.name)
        return
    with tempfile.TemporaryDirectory(dir=folder) as place:
        said = (part for part in file.path.split("/")[:-1] if "=" in part)
        copy = Path(place, *said, "fetched.parquet")
        try:
            copy.parent.mkdir(parents=True, exist_ok=True)
            with file.system.open(file.path, "rb") as remote, copy.open("wb") as local:
                shutil.copyfileobj(remote, local, 2**20)
        except OSError as error:
            msg = f"cannot be fetched ({error}): run it again to go on from here"
            raise TableError(msg, file=file.name) from None
        yield copy
