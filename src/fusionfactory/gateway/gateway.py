"""What a worker answers by: the parts of the gateway, held together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fusionfactory.gateway.routing.policies import Policies

if TYPE_CHECKING:
    from fusionfactory.config import Config
    from fusionfactory.gateway.access.access import Access
    from fusionfactory.gateway.fleet import Fleet
    from fusionfactory.gateway.parts import (
        Cache,
        Journal,
        Metrics,
        Prompts,
        Traffic,
        Upstreams,
        Versions,
    )
    from fusionfactory.gateway.planning.plans import Plans
    from fusionfactory.gateway.routing.ask import Decider
    from fusionfactory.serve_settings import ServeSection

__all__ = ["Gateway"]


@dataclass(eq=False)
class Gateway:
    """The parts. A request keeps the gateway it began with while a reload puts another in place.

    Attributes:
        settings: The `[serve]` section.
        config: The whole file.
        fleet: The arms.
        decider: Says which arms answer.
        prompts: Applies an arm's strategy.
        upstreams: Calls endpoints.
        journal: Keeps records.
        access: Knows clients by their keys.
        cache: Of answers.
        metrics: Counts.
        traffic: Reads what was recorded.
        versions: Of the router.
        plans: Those that clients may name.
        active: Requests under way.
        policies: The trade-offs that clients may name.
    """

    settings: ServeSection
    config: Config
    fleet: Fleet
    decider: Decider
    prompts: Prompts
    upstreams: Upstreams
    journal: Journal
    access: Access
    cache: Cache
    metrics: Metrics
    traffic: Traffic
    versions: Versions
    plans: Plans
    active: int = field(default=0, init=False)
    policies: Policies = field(init=False)

    def __post_init__(self) -> None:
        self.policies = Policies(self.settings.routing)
