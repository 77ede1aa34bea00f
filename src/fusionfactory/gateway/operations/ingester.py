"""The process that moves journals into the store, and does what no client waits for."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from typing import TYPE_CHECKING

from fusionfactory.errors import FusionFactoryError, StoreAwayError
from fusionfactory.gateway.build import journal_folder, known_store, store_of
from fusionfactory.gateway.learning.judging import Judging
from fusionfactory.gateway.learning.shared_book import shared_book
from fusionfactory.gateway.learning.versions import Versions
from fusionfactory.gateway.learning.watch import AlarmWatch
from fusionfactory.gateway.log.ingest import Ingester
from fusionfactory.gateway.log.retention import Retention
from fusionfactory.gateway.log.traffic import Traffic
from fusionfactory.gateway.operations.child import Lifeline
from fusionfactory.gateway.operations.duty import Duty, Present
from fusionfactory.gateway.operations.lease import Lease, alone, release_all
from fusionfactory.gateway.operations.logs import emit, log_to
from fusionfactory.gateway.operations.sharing import Sharing
from fusionfactory.gateway.operations.source import Source
from fusionfactory.gateway.operations.store_watch import StoreWatch
from fusionfactory.gateway.routing.shared import GatewayCount
from fusionfactory.gateway.shared import identity, is_shared
from fusionfactory.store import Store

if TYPE_CHECKING:
    from fusionfactory.gateway.operations.duty import Step

__all__ = ["Ingesting", "main"]

_INGEST_S = 0.25
_FOLLOW_S = 0.25
_WATCH_S = 2.0
_RETENTION_S = 600.0
_JUDGING_S = 5.0
_ALARMS_S = 60.0
_LOOK_S = 0.2
_END_S = 10.0
_LEASE_MORE_S = 60.0
"""For how long a gateway keeps a duty beyond the time of its next step."""

_log = logging.getLogger(__name__)


class Ingesting:
    """Takes in what the workers wrote, deletes what is too old, judges a sample, and warns.

    Of several gateways that share a store, one does what need not be done by all.

    Args:
        source: Of the settings.
        lifeline: To the supervisor.
    """

    def __init__(self, source: Source, lifeline: Lifeline) -> None:
        self._source, self._lifeline = source, lifeline
        self._over, self._reload = threading.Event(), threading.Event()
        config = source.read()
        self._present = Present(config, known_store(config))
        settings = self._present.config.serve
        log_to(emit, settings.log_level, prompts=settings.log_prompts, process="ingester")

    def run(self) -> None:
        """Works until it is told to end; what is there then is taken in first."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._over.set())
        signal.signal(signal.SIGHUP, lambda *_: self._reload.set())
        duties = [
            Duty(name, pause_s, lambda: self._present, make)
            for name, pause_s, make in (
                ("taking in the journal", _INGEST_S, _ingesting),
                ("sharing keys and budgets", _FOLLOW_S, _sharing),
                ("following the versions of the router", _FOLLOW_S, _following),
                ("looking for the store", _WATCH_S, _looking),
                ("deleting what is too old", _RETENTION_S, _retaining),
                ("judging answers", _JUDGING_S, _judging),
                ("looking for alarms", _ALARMS_S, _watching),
            )
        ]
        for duty in duties:
            duty.start()
        self._lifeline.ready()
        while not self._over.is_set() and not self._lifeline.is_cut(_LOOK_S):
            if self._reload.is_set():
                self._reload.clear()
                self._again()
        for duty in duties:
            duty.end(_END_S)
        self._take_the_rest()
        self._present.store.close()

    def _take_the_rest(self) -> None:
        """What was written until now; if the store is away, the next start takes it in."""
        last = _ingesting(self._present)
        try:
            while last():
                pass
            if is_shared(self._present.config):
                Sharing(self._present.config, self._present.store).leave()
                release_all(self._present.store, identity(self._present.config.serve.state))
        except StoreAwayError as error:
            _log.error("what is in the journal stays there for the next start: %s", error)

    def _again(self) -> None:
        old = self._present
        try:
            config = self._source.read()
            same = config.store == old.config.store
            # An old store is not closed: a step may be under way in it.
            self._present = Present(config, old.store if same else Store(store_of(config)))
        except FusionFactoryError as error:
            _log.error("the settings are wrong, so the old ones stay: %s", error)


def _ingesting(present: Present) -> Step:
    settings = present.config.serve
    return Ingester(present.store, journal_folder(settings), settings.log).step


def _sharing(present: Present) -> Step:
    if is_shared(present.config):
        return Sharing(present.config, present.store).step
    GatewayCount(present.config.serve.state / "shared").value = 1
    return int  # there is nothing to do


def _following(present: Present) -> Step:
    book = shared_book(present.config, present.store)
    return Versions(present.config.serve.state, book).follow


def _looking(present: Present) -> Step:
    return StoreWatch(present.store, present.config.serve.state).step


def _retaining(present: Present) -> Step:
    settings = present.config.serve
    retention = Retention(present.store, journal_folder(settings), settings.log)
    clear_store = _for_all(present, "retention", _RETENTION_S, retention.clear_store)

    def step() -> int:
        retention.clear_folder()
        return clear_store()

    return step


def _judging(present: Present) -> Step:
    return _for_all(present, "judging", _JUDGING_S, Judging(present.config, present.store).step)


def _watching(present: Present) -> Step:
    step = AlarmWatch(Traffic(present.store), present.config.serve.alarms).step
    return _for_all(present, "alarms", _ALARMS_S, step)


def _for_all(present: Present, duty: str, pause_s: float, step: Step) -> Step:
    """The step, done for all gateways by one of them."""
    if not is_shared(present.config):
        return step
    holder = identity(present.config.serve.state)
    return alone(Lease(present.store, duty, holder, pause_s + _LEASE_MORE_S), step)


def main() -> None:
    """Runs the ingester: `LIFELINE`, its source in the environment."""
    (fd,) = sys.argv[1:]
    log_to(emit, "warning", process="ingester")
    try:
        Ingesting(Source.inherited(), Lifeline(int(fd))).run()
    except FusionFactoryError as error:
        _log.critical("%s", error)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
