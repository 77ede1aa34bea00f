"""Ctrl-C while calls are under way that are paid."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["interrupts"]


@contextmanager
def interrupts(handle: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C calls `handle` meanwhile, where the loop can: on Unix, in the main thread."""
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(signal.SIGINT, handle)
    except (NotImplementedError, RuntimeError, ValueError):
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
