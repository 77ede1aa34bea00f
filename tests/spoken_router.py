"""A router that expects what a test tells it to, and a fleet of arms to decide for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fake_outcomes import outcome_table
from fusionfactory.config import Config
from fusionfactory.errors import EncoderError
from fusionfactory.gateway.fleet import Fleet
from fusionfactory.gateway.routing.ask import Ask
from fusionfactory.policy import Normaliser
from fusionfactory.routers import Router
from fusionfactory.routers.frontier import Frontier
from fusionfactory.types import Arm, Estimates, Query

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from threading import Event

    from fusionfactory.policy import Policy
    from fusionfactory.routers import Queries
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import FloatArray

__all__ = ["SpokenRouter", "ask", "make_fleet"]

_RANGES = outcome_table(
    [Query("a", "a", "sums"), Query("b", "b", "sums"), Query("c", "c", "facts"),
     Query("d", "d", "facts")],
    ["low", "high"],
    [[0.0, 1.0], [0.5, 1.0], [0.2, 0.6], [0.4, 0.6]],
    cost=[[0.001, 0.002], [0.001, 0.011], [0.0, 0.02], [0.0, 0.01]],
)  # fmt: skip


class SpokenRouter(Router):
    """Expects `expected` of the arms, and of some texts something else.

    Args:
        expected: Arm to quality and USD.
        texts: Text to what is expected of it instead.
        std: Of every quality.
        odds: Of the tasks facts and sums.
        gate: What an estimate waits for.
        reward_of: Policy whose rewards `expected` are: the recipe is the paper's.
    """

    name: ClassVar[str] = "spoken"

    def __init__(
        self,
        expected: Mapping[str, tuple[float, float]],
        *,
        texts: Mapping[str, Mapping[str, tuple[float, float]]] | None = None,
        std: Mapping[str, float] | None = None,
        odds: tuple[float, float] = (0.25, 0.75),
        gate: Event | None = None,
        reward_of: str | None = None,
    ) -> None:
        super().__init__()
        self._expected, self._texts, self._odds, self._gate = expected, texts or {}, odds, gate
        self._std = std
        self.recipe = "mended" if reward_of is None else "paper"
        self.asked: list[list[str]] = []
        self.arms_ = tuple(Arm.parse(name) for name in expected)
        self.normaliser_ = Normaliser().fit(_RANGES)
        self.frontier_ = Frontier().fit(self._estimates(["", *self._texts]))
        if reward_of is not None:
            self.policy_name_ = reward_of

    def estimate(self, queries: Queries) -> Estimates:
        texts = [str(text) for text in queries]
        self.asked.append(texts)
        if self._gate is not None:
            self._gate.wait(10)
        if any("poison" in text for text in texts):
            msg = "this text cannot be read"
            raise EncoderError(msg)
        return self._estimates(texts)

    def _estimates(self, texts: Sequence[str]) -> Estimates:
        names = tuple(self._expected)
        told = [self._texts.get(text, self._expected) for text in texts]
        cells = np.array([[row[name] for name in names] for row in told], dtype=float)
        std = None
        if self._std is not None:
            std = np.array([[self._std[name] for name in names]] * len(texts))
        odds = np.array([self._odds] * len(texts))
        return Estimates(names, cells[:, :, 0], cells[:, :, 1], std, odds)

    def _fit(self, features: FloatArray, table: OutcomeTable, policy: Policy | None) -> None:
        raise NotImplementedError

    def _estimate_quality(self, features: FloatArray) -> FloatArray:
        raise NotImplementedError


def make_fleet(*models: str, **settings: Mapping[str, Any]) -> Fleet:
    """Models at an endpoint, each dearer than the one before.

    Args:
        models: Names.
        settings: Of a model by its name, beside or instead of the usual ones.
    """
    given = [
        {"name": name, "endpoint": "e", "input_price": 1.0 + i, "output_price": 2.0 + i}
        | dict(settings.get(name, {}))
        for i, name in enumerate(models)
    ]
    endpoint = {"name": "e", "base_url": "http://127.0.0.1:1/v1"}
    return Fleet(Config.model_validate({"endpoints": [endpoint], "models": given}))


def ask(text: str = "hello", model: str = "auto", **facts: Any) -> Ask:  # noqa: ANN401  any field
    return Ask(text=text, model=model, **facts)


def wait_until(happened: Any, within_s: float = 10.0) -> None:  # noqa: ANN401  a callable
    """Returns once it has."""
    end = time.monotonic() + within_s
    while not happened() and time.monotonic() < end:
        time.sleep(0.002)
    assert happened()
