"""Many programs at once: threads that wait, processes that work."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from fusionfactory.errors import InputError
from fusionfactory.sandbox.base import DEFAULT_LIMITS
from fusionfactory.sandbox.probe import find_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fusionfactory.sandbox.base import Limits, Run, Sandbox

__all__ = ["run_many"]


def run_many(
    pairs: Iterable[tuple[str, str]],
    *,
    limits: Limits = DEFAULT_LIMITS,
    workers: int | None = None,
    sandbox: Sandbox | None = None,
) -> list[Run]:
    """Runs pairs of a solution and its tests, several at a time.

    Args:
        pairs: Solutions and tests.
        limits: What each pair may use.
        workers: Sandboxes at a time; None for one per core.
        sandbox: Where; None for this machine's.

    Returns:
        The runs, in the order of the pairs.

    Raises:
        SandboxError: Code cannot be isolated here, or a run could not be started.
    """
    if workers is not None and workers < 1:
        msg = f"{workers} is too few, expected at least 1"
        raise InputError(msg, field="workers")
    place = sandbox or find_sandbox()
    with ThreadPoolExecutor(workers or len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(lambda pair: place.run_tests(*pair, limits=limits), pairs))
