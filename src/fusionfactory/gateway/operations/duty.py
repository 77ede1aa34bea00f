"""Something that a process does again and again, in a thread of its own."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from fusionfactory.errors import FusionFactoryError

if TYPE_CHECKING:
    from collections.abc import Callable

    from fusionfactory.config import Config
    from fusionfactory.store import Store

__all__ = ["Duty", "Present", "Step"]

Step: TypeAlias = "Callable[[], int]"
"""Does a part of the work, and says how much that was; 0 where there was nothing to do."""

_AFTER_AN_ERROR_S = 2.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Present:
    """What is in force.

    Attributes:
        config: The settings.
        store: That they name.
    """

    config: Config
    store: Store


class Duty:
    """Does steps until it is told to end: at once after one that found work, else after a pause.

    Args:
        name: For messages.
        pause_s: Seconds between two steps that find nothing.
        present: What is in force; asked before each step, so that a reload waits for nobody.
        make: The steps under it.
    """

    def __init__(
        self,
        name: str,
        pause_s: float,
        present: Callable[[], Present],
        make: Callable[[Present], Step],
    ) -> None:
        self._name, self._pause_s = name, pause_s
        self._present, self._make = present, make
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def end(self, within_s: float) -> None:
        """Ends after the step under way, or leaves it to the end of the process."""
        self._over.set()
        self._thread.join(within_s)

    def _run(self) -> None:
        made: Present | None = None
        step: Step = int
        while not self._over.is_set():
            pause_s = self._pause_s
            try:
                present = self._present()
                if present is not made:
                    step, made = self._make(present), present
                if step():
                    continue
            except FusionFactoryError as error:
                _log.error("%s failed and is tried again: %s", self._name, error)
                pause_s = max(pause_s, _AFTER_AN_ERROR_S)
            except Exception:  # noqa: BLE001  the other duties go on
                _log.exception("%s failed and is tried again", self._name)
                pause_s = max(pause_s, _AFTER_AN_ERROR_S)
            self._over.wait(pause_s)
