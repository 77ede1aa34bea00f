"""The folders that runs work in, and their owners: what a killed run has left, the next removes.

The owner holds a lock for as long as it lives, however it ends. The lock's file is in the folder,
or in the cache folder of this machine where the folder is in a bucket; it says on which machine the
lock counts, for over a network it may not.
"""

from __future__ import annotations

import fcntl
import json
import logging
import socket
import uuid
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionfactory.cachedir import cache_dir

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["owned_folder", "sweep"]

_PREFIX = "fusionfactory-shards-"
_OWNER = "owner.lock"
_BOOT, _MACHINE = Path("/proc/sys/kernel/random/boot_id"), Path("/etc/machine-id")
_log = logging.getLogger(__name__)


@contextmanager
def owned_folder(place: str) -> Iterator[tuple[Any, str]]:
    """Makes a folder that is this process' own, and takes it away at the end.

    Args:
        place: The folder or fsspec URL to make it in.

    Yields:
        Its file system and its path there.

    Raises:
        OSError, ValueError, ImportError: It cannot be made, or fsspec lacks what the URL needs.
    """
    import fsspec

    url = f"{place.rstrip('/')}/{_PREFIX}{uuid.uuid4().hex}"
    files, folder = fsspec.core.url_to_fs(url)
    files.makedirs(folder)
    near = _on_disk(files)
    path = Path(folder) / _OWNER if near else _far_locks() / f"{Path(folder).name}.lock"
    try:
        with ExitStack() as held:
            # Without a cache folder there is no lock for a bucket, and work goes on.
            with nullcontext() if near else suppress(OSError):
                held.enter_context(_held(path, url))
            yield files, folder
    finally:
        # After the lock is let go: where disks are shared, a file that is open stays in its folder.
        _remove(files, folder)
        path.unlink(missing_ok=True)


def sweep(place: str) -> None:
    """Removes folders whose owner was on this machine and is gone; where that fails, they stay.

    Args:
        place: Where folders of `owned_folder` may be; those in buckets are known wherever they are.
    """
    import fsspec

    found: Iterable[Path] = _far_locks().glob(f"{_PREFIX}*.lock")
    for path in found:
        url = _abandoned(path)
        if url is not None and url.endswith(f"/{path.stem}"):
            _swept(url)
            path.unlink(missing_ok=True)
    files, folder = fsspec.core.url_to_fs(place)
    if _on_disk(files):
        for path in Path(folder).glob(f"{_PREFIX}*/{_OWNER}"):
            if _abandoned(path) is not None:
                _swept(str(path.parent))


def _swept(url: str) -> None:
    import fsspec

    try:
        _remove(*fsspec.core.url_to_fs(url))
    except Exception as error:  # noqa: BLE001  a bucket's client raises anything; it is not this run
        _log.debug("%s cannot be removed", url, exc_info=error)
    else:
        _log.info("%s is removed: the run that it was of is gone", url)


@contextmanager
def _held(path: Path, url: str) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    # For its user alone: a URL may hold a password.
    path.touch(0o600, exist_ok=False)
    with path.open("r+", encoding="utf-8") as lock:
        # Without a lock the file stays empty, and the folder is never taken for abandoned.
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            lock.write(json.dumps({"folder": url, **_here()}))
            lock.flush()
        yield


def _abandoned(path: Path) -> str | None:
    """The URL of the folder that a lock's file is of, if its owner is surely gone."""
    here = _here()
    try:
        with path.open("r+", encoding="utf-8") as lock:
            owner = json.loads(lock.read())
            same_boot = owner["boot"] == here["boot"] != ""
            if not same_boot and owner["machine"] != here["machine"]:
                return None
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (OSError, ValueError, KeyError):
        return None
    return str(owner["folder"])


def _here() -> dict[str, str]:
    """What tells this machine, and a container of it, from others."""
    facts = []
    for path in (_BOOT, _MACHINE):
        try:
            facts.append(path.read_text(encoding="utf-8").strip())
        except OSError:
            facts.append("")
    return {"boot": facts[0], "machine": f"{socket.gethostname()} {facts[1]}"}


def _remove(files: Any, folder: str) -> None:  # noqa: ANN401  fsspec is untyped
    with suppress(FileNotFoundError):
        files.rm(folder, recursive=True)


def _on_disk(files: Any) -> bool:  # noqa: ANN401  fsspec is untyped
    from fsspec.implementations.local import LocalFileSystem

    return isinstance(files, LocalFileSystem)


def _far_locks() -> Path:
    """The folder of the locks of folders that are on no disk."""
    return cache_dir() / "shards"
