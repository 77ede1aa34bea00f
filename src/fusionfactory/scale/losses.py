"""Errors that nobody foresaw, on a worker or of Ray itself, as one of ours."""

from __future__ import annotations

import logging
import os
import socket
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fusionfactory.errors import ClusterError, FusionFactoryError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["KEPT", "as_ours", "losses_told", "this_process"]

KEPT = "start the verb again: it goes on from what was written, if anything was"
_LONGEST_TEXT = 500
_BY_NODE = "every node needs this version of the package, with the same extras and plugins"
_ADVICE: tuple[tuple[type[BaseException], str], ...] = (
    (ImportError, _BY_NODE),
    (MemoryError, f"fewer `[scale] workers` leave more memory to each; {KEPT}"),
    (OSError, f"see to the disk, the network and the rights there; {KEPT}"),
    (
        BaseException,
        f"that is a bug, or a node is broken; {KEPT}, and report it if it happens again",
    ),
)
_WHERE = "`FUSIONFACTORY_LOG=debug` shows the traceback"
_log = logging.getLogger(__name__)


def this_process() -> str:
    """Host and id, by which an error names where it was."""
    return f"{socket.gethostname()}, process {os.getpid()}"


@contextmanager
def losses_told(what: str) -> Iterator[None]:
    """Raises an error of ours for one of Ray's; its traceback goes to the log, at level debug.

    Args:
        what: What the cluster was to do, to begin the message with.

    Raises:
        ClusterError: Ray has given work up, could not begin it, or brings what a worker met.
        FusionFactoryError: It was one of ours on a worker.
    """
    import ray.exceptions

    try:
        yield
    except ray.exceptions.RayError as error:
        _log.debug("%s failed", what, exc_info=error)
        raise as_ours(error, what) from error


def as_ours(error: BaseException, what: str) -> FusionFactoryError:
    """The error itself if it is one of ours, or else one that says what failed, where, and why.

    Args:
        error: What was raised, here or in a process that Ray asked.
        what: What was being done.
    """
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    ray: Any = sys.modules.get("ray.exceptions")
    if ray is not None and isinstance(error, ray.RayTaskError):
        # Its own text is a traceback.
        return _met(error.cause, what, f"{error.ip}, process {error.pid}")
    return _met(error, what, this_process())


def _met(error: BaseException, what: str, where: str) -> FusionFactoryError:
    if isinstance(error, FusionFactoryError):
        return error
    ray: Any = sys.modules.get("ray.exceptions")
    if ray is not None and isinstance(error, ray.RayError):
        within = getattr(error, "client_exc", None)
        if not isinstance(within, Exception):
            return _lost(error, what)
        # What was sent cannot be read there.
        error = within
    advice = next(advice for kind, advice in _ADVICE if isinstance(error, kind))
    msg = f"{what} failed ({where}): {_named(error, str(error))}; {advice}; {_WHERE}"
    return ClusterError(msg)


def _lost(error: Any, what: str) -> ClusterError:  # noqa: ANN401  Ray is optional
    lines = str(error).strip().splitlines() or [""]
    if getattr(error, "actor_init_failed", False):
        msg = f"{what} failed: a worker cannot start: {lines[-1].strip()}; {_BY_NODE}; {_WHERE}"
        return ClusterError(msg)
    msg = f"{what} failed: the cluster lost work for good ({_named(error, lines[0])}); {KEPT}"
    return ClusterError(msg)


def _named(error: BaseException, text: str) -> str:
    text = " ".join(text.split())
    cut = text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."
    return f"{type(error).__name__}: {cut}" if cut else type(error).__name__
