"""The Ray cluster that a verb works on: joined or started, and left as it was found."""

from __future__ import annotations

import logging
import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fusionfactory.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fusionfactory.config import ScaleSection

__all__ = ["cluster", "worker_count"]

_WHAT = "The engine `ray`"
_CPUS_PER_WORKER = 2
_CONNECT_S = 5.0
_CLIENT = "ray://"


@contextmanager
def cluster(settings: ScaleSection) -> Iterator[None]:
    """Joins the cluster of the settings, or starts one on this machine, and leaves it at the end.

    A process that is in a cluster already stays in it.

    Raises:
        MissingExtraError: Ray is not installed.
        ConfigError: There is no cluster at the address, or it is one of Ray Client.
    """
    try:
        import ray
    except ModuleNotFoundError:
        raise MissingExtraError(_WHAT, "ray") from None
    if ray.is_initialized():
        yield
        return
    if settings.address is not None and settings.address.startswith(_CLIENT):
        msg = (
            f"{settings.address!r} is an address for Ray Client, through which Ray Data does not "
            "work: start the verb on a machine of the cluster, and set `auto` or host:port"
        )
        raise ConfigError(msg, field="scale.address")
    # Its native part warns this terminal of every actor that Ray Data starts, to no use.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        _reach(settings.address)
        ray.init(
            address=settings.address or "local",
            include_dashboard=False if settings.address is None else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (OSError, ValueError) as error:
        msg = f"no Ray cluster answers at {settings.address!r}: {error}; `ray status` tells more"
        raise ConfigError(msg, field="scale.address") from None
    try:
        yield
    finally:
        ray.shutdown()


def _reach(address: str | None) -> None:
    """Raises OSError where nothing listens, which Ray itself finds out in minutes only."""
    host, _, port = (address or "").rpartition(":")
    if host and port.isdecimal():
        with socket.create_connection((host, int(port)), _CONNECT_S):
            pass


def worker_count(settings: ScaleSection) -> int:
    """Processes that work at a time, by the settings or the CPUs of the cluster; in `cluster`."""
    import ray

    if settings.workers is not None:
        return settings.workers
    return max(1, int(ray.cluster_resources().get("CPU", 1)) // _CPUS_PER_WORKER)
