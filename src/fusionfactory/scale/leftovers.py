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
from fusionfactory.large.places import without_login

if TYPE_CHECKING:
    from collections.abc import Iterator

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

    separator = "" if place.endswith("/") else "/"
    url = f"{place}{separator}{_PREFIX}{uuid.uuid4().hex}"
    files, folder = fsspec.core.url_to_fs(url)
    files.makedirs(folder)
    near = _on_disk(files)
    with ExitStack() as left:
        # After the lock is let go: where disks are shared, a file that is open stays in its folder.
        left.callback(_remove, files, folder)
        # Without a cache folder there is no lock for a bucket, and work goes on.
        with nullcontext() if near else suppress(OSError):
            path = Path(folder) / _OWNER if near else _far_locks() / f"{Path(folder).name}.lock"
            left.callback(_unlink, path)
            left.enter_context(_held(path, url))
        yield files, folder


def sweep(place: str) -> None:
    """Removes folders whose owner was on this machine and is gone; where that fails, they stay.

    Args:
        place: Where folders of `owned_folder` may be; if it is in a bucket, those in other buckets
            are known, too.
    """
    import fsspec

    files, folder = fsspec.core.url_to_fs(place)
    near = _on_disk(files)
    try:
        found = Path(folder).glob(f"{_PREFIX}*/{_OWNER}") if near else _far_locks().glob("*.lock")
        locks = list(found)
    except OSError:  # who may not look there has left nothing there
        return
    for lock in locks:
        url = _abandoned(lock)
        if url is not None and near:
            _swept(str(lock.parent))
        elif url is not None and url.endswith(f"/{lock.stem}") and _swept(url):
            _unlink(lock)


def _swept(url: str) -> bool:
    import fsspec

    shown = without_login(url)
    try:
        _remove(*fsspec.core.url_to_fs(url))
    except Exception as error:  # noqa: BLE001  a bucket's client raises anything; it is not this run
        _log.debug("%s cannot be removed: %s", shown, type(error).__name__)
        return False
    _log.info("%s is removed: the run that it was of is gone", shown)
    return True


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
    except (OSError, ValueError, KeyError, TypeError):
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


def _unlink(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _on_disk(files: Any) -> bool:  # noqa: ANN401  fsspec is untyped
    from fsspec.implementations.local import LocalFileSystem

    return isinstance(files, LocalFileSystem)


def _far_locks() -> Path:
    """The folder of the locks of folders that are on no disk.

    Raises:
        OSError: This user has no home, and no cache folder is named.
    """
    try:
        return cache_dir() / "shards"
    except RuntimeError as error:
        raise FileNotFoundError(str(error)) from None
