"""The parts of a gateway, made from the settings and put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fusionfactory.errors import ConfigError, StoreAwayError
from fusionfactory.gateway.access.access import Access
from fusionfactory.gateway.cache import AnswerCache
from fusionfactory.gateway.fleet import Fleet
from fusionfactory.gateway.gateway import Gateway
from fusionfactory.gateway.learning.judging import check_judge
from fusionfactory.gateway.learning.shared_book import shared_book
from fusionfactory.gateway.learning.versions import Versions
from fusionfactory.gateway.log.journal import Journal
from fusionfactory.gateway.log.traffic import Traffic
from fusionfactory.gateway.operations.metrics import Metrics
from fusionfactory.gateway.operations.promotion import changes
from fusionfactory.gateway.operations.reports import Reports
from fusionfactory.gateway.operations.spans import exported_spans
from fusionfactory.gateway.planning.plans import Plans
from fusionfactory.gateway.routing.decider import Routing
from fusionfactory.gateway.routing.prompts import Prompts
from fusionfactory.gateway.shared import is_shared
from fusionfactory.gateway.upstream.upstreams import Upstreams
from fusionfactory.store import Store

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from fusionfactory.config import Config
    from fusionfactory.serve_settings import ServeSection

__all__ = ["Built", "build", "close", "journal_folder", "known_store", "store_of"]


@dataclass(eq=False)
class Built(Gateway):
    """A gateway of one worker, with its parts as they are made here."""

    decider: Routing
    prompts: Prompts
    upstreams: Upstreams
    journal: Journal
    access: Access
    cache: AnswerCache
    metrics: Reports
    traffic: Traffic
    versions: Versions
    store: Store
    worker: int


def build(config: Config, worker: int, before: Built | None = None) -> Built:
    """The gateway of a worker, ready to answer; it may be made off the event loop.

    Args:
        config: The settings.
        worker: Number of the worker, from 0.
        before: The gateway whose place it takes. What the settings leave as it was is shared with
            it, so that counters, the journal and the cache go on.

    Raises:
        ConfigError, UnsupportedError: The settings are wrong.
        RouterFileError, ThoughtError: A file that they name is damaged.
        StoreError: The store cannot be opened.
        MissingExtraError: They need a package that is not installed.
    """
    settings, fleet = config.serve, Fleet(config)
    plans = Plans.load(config, fleet, None if before is None else before.plans)
    check_judge(config)
    kept = _Kept() if before is None else _Kept.of(before, config)
    upstreams = Upstreams(fleet, settings.upstream, workers=settings.workers)
    shared = settings.state / "shared"
    decider = Routing(
        fleet,
        settings.routing,
        exploration=settings.exploration,
        shared=shared,
        worker=worker,
        workers=settings.workers,
        healthy=upstreams.healthy,
        plans=plans.arms,
    )
    store = kept.store or (known_store(config) if before is None else Store(store_of(config)))
    versions = Versions(settings.state, shared_book(config, store))
    changes(versions, decider).apply(decider)
    prompts = Prompts.load(config, fleet, tasks=decider)
    access = Access(settings, settings.state, worker, settings.workers, shared=is_shared(config))
    if before is None:
        access.recover()
    metrics = kept.metrics or _reports(settings, fleet, worker)
    metrics.name_arms_by(fleet)
    metrics.redact_by(settings.log)
    journal = kept.journal or Journal(journal_folder(settings), worker, settings.log)
    if journal is not kept.journal:
        journal.start()
    return Built(
        settings=settings,
        config=config,
        fleet=fleet,
        decider=decider,
        prompts=prompts,
        upstreams=upstreams,
        journal=journal,
        access=access,
        cache=kept.cache or AnswerCache(settings.cache),
        metrics=metrics,
        traffic=kept.traffic or Traffic(store),
        versions=versions,
        plans=plans,
        store=store,
        worker=worker,
    )


async def close(gateway: Built, living: Collection[Built] = ()) -> None:
    """Closes the parts, but for the figures, which outlive every gateway of a worker.

    Args:
        gateway: No request may be under way in it.
        living: Others that still answer; what they share stays open.
    """
    gateway.decider.close()
    gateway.prompts.close()
    gateway.plans.close([other.plans for other in living])
    await gateway.upstreams.close()
    if all(other.journal is not gateway.journal for other in living):
        await gateway.journal.close()
    if all(other.store is not gateway.store for other in living):
        gateway.store.close()


def journal_folder(settings: ServeSection) -> Path:
    """Where the workers write and the ingester reads."""
    return settings.state / "journal"


def known_store(config: Config) -> Store:
    """The store, opened; if it is away and was known to this gateway, it is opened once it is back.

    Raises:
        ConfigError: The settings name none.
        StoreError: It cannot be opened; or it cannot be reached, and this is the first start.
    """
    try:
        return Store(store_of(config))
    except StoreAwayError:
        if not journal_folder(config.serve).is_dir():
            raise
        return Store(store_of(config), lazy=True)


def store_of(config: Config) -> str:
    """The store's path or URL.

    Raises:
        ConfigError: The settings name none.
    """
    if config.store is None:
        msg = "the gateway needs a store: set `store`, or give --store"
        raise ConfigError(msg, field="store")
    return config.store


@dataclass(frozen=True)
class _Kept:
    """What of an earlier gateway goes on."""

    metrics: Reports | None = None
    store: Store | None = None
    traffic: Traffic | None = None
    journal: Journal | None = None
    cache: AnswerCache | None = None

    @classmethod
    def of(cls, before: Built, config: Config) -> _Kept:
        """Whatever the new settings leave as it was."""
        old, new = before.settings, config.serve
        same_store = before.config.store == config.store
        return cls(
            metrics=before.metrics,
            store=before.store if same_store else None,
            traffic=before.traffic if same_store else None,
            journal=before.journal if old.log == new.log else None,
            cache=before.cache if old.cache == new.cache else None,
        )


def _reports(settings: ServeSection, fleet: Fleet, worker: int) -> Reports:
    return Reports(
        Metrics(settings.state / "metrics", worker),
        level=settings.log_level,
        prompts=settings.log_prompts,
        spans=exported_spans(fleet, prompts=settings.log_prompts),
    )
