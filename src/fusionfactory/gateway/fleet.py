"""The arms that can answer, with what is needed to ask them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fusionfactory.errors import ConfigError
from fusionfactory.plan import call_price, choose
from fusionfactory.thoughts.strategy import parse_strategy
from fusionfactory.types import Arm

if TYPE_CHECKING:
    from fusionfactory.config import Config, EndpointSettings, ModelSettings
    from fusionfactory.pricing import CallPrice

__all__ = ["GATED", "Fleet", "Target"]

GATED = "gated"
"""The strategy that asks a gate, query by query, which other strategy to use."""


@dataclass(frozen=True, slots=True)
class Target:
    """An arm, and where it is asked.

    Attributes:
        arm: What answers.
        model: Its settings.
        endpoint: Where; None for a model in a GGUF file.
        price: What its calls cost.
    """

    arm: Arm
    model: ModelSettings
    endpoint: EndpointSettings | None
    price: CallPrice

    @property
    def name(self) -> str:
        """Name of the arm."""
        return self.arm.name

    @property
    def asks_for(self) -> str:
        """The model's name at the endpoint."""
        return self.model.model or self.model.name

    def lacks(self, needs: frozenset[str]) -> str | None:
        """The first of the needs that the model is known not to meet; None where it meets all."""
        if self.model.can is None:
            return None
        return next((need for need in sorted(needs) if need not in self.model.can), None)


class Fleet:
    """Every arm of the settings, by name.

    Args:
        config: Its `[[models]]` with their strategies at its `[[endpoints]]`.

    Attributes:
        targets: Name to arm.
        embedders: Name to what serves `/v1/embeddings`; no arm, for it answers nothing.
        models: Name to settings.

    Raises:
        ConfigError: A name stands twice, a model names an unknown endpoint, or there is no arm.
        UnsupportedError: There is no strategy of that name.
    """

    def __init__(self, config: Config) -> None:
        endpoints = {item.name: item for item in choose("endpoint", config.endpoints, ())}
        targets: dict[str, Target] = {}
        self.embedders: dict[str, Target] = {}
        self.models = {model.name: model for model in choose("model", config.models, ())}
        for model in self.models.values():
            if model.endpoint is not None and model.endpoint not in endpoints:
                has = ", ".join(endpoints) or "none"
                msg = (
                    f"the model {model.name!r} names the endpoint {model.endpoint!r}; known: {has}"
                )
                raise ConfigError(msg, field="models.endpoint")
            price = call_price(config, model)
            endpoint = endpoints.get(model.endpoint or "")
            for strategy in model.strategies:
                if strategy != GATED:
                    parse_strategy(strategy)
                arm = Arm(model.name, strategy, *price.per_million(), model.description)
                targets[arm.name] = Target(arm, model, endpoint, price)
            if model.embeds:
                self.embedders[model.name] = Target(Arm(model.name), model, endpoint, price)
        if not targets:
            msg = "the settings name no model with a strategy: there is nobody to ask"
            raise ConfigError(msg, field="models")
        self.targets = targets

    def __contains__(self, name: str) -> bool:
        return name in self.targets

    def __getitem__(self, name: str) -> Target:
        return self.targets[name]
