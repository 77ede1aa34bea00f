"""What arms cost that a router was not fitted on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np

from fusionfactory.errors import UnsupportedError
from fusionfactory.routers.cost import CostModel

if TYPE_CHECKING:
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import Arm, FloatArray

__all__ = ["GrownCost"]


class GrownCost(CostModel):
    """The costs of a router's arms, and those of arms that came later.

    Attributes:
        parts_: Cost models side by side. None stands for an arm that nothing is known of but its
            price: it costs what its twin costs, times a factor.
        twins_: Column of the twin of each part; -1 for a cost model.
        factors_: Factor of each part; 1 for a cost model.
    """

    parts_: list[CostModel | None]
    twins_: list[int]
    factors_: list[float]

    def begin(self, first: CostModel) -> Self:
        """With the costs of the arms so far."""
        self.reset()
        self.parts_, self.twins_, self.factors_ = [first], [-1], [1.0]
        return self

    def add_arm(self, features: FloatArray, table: OutcomeTable) -> None:
        """Appends the arms of a table, fitted on its queries."""
        self._append(CostModel().fit(features, table), -1, 1.0)

    def add_like(self, twin: int, known: tuple[Arm, ...], arm: Arm) -> None:
        """Appends an arm that costs what a known one costs, in proportion to their prices."""
        old, new = ((a.input_price or 0.0) + (a.output_price or 0.0) for a in (known[twin], arm))
        self._append(None, twin, new / old if old and new else 1.0)

    def _append(self, part: CostModel | None, twin: int, factor: float) -> None:
        self.parts_ = [*self.parts_, part]
        self.twins_, self.factors_ = [*self.twins_, twin], [*self.factors_, factor]

    def predict(self, features: FloatArray) -> FloatArray:
        """(n, m) expected USD per query and arm; NaN where an arm's cost was never seen."""
        cost = np.zeros((len(features), 0))
        for part, twin, factor in zip(self.parts_, self.twins_, self.factors_, strict=True):
            own = cost[:, [twin]] * factor if part is None else part.predict(features)
            cost = np.column_stack([cost, own])
        return cost

    def set_price(self, arm: int, name: str, input_price: float, output_price: float) -> None:
        """Changes one arm's prices, in USD per million tokens.

        Raises:
            UnsupportedError: Its cost is another arm's, or nothing scales.
        """
        for part in self.parts_:
            width = 1 if part is None else len(part.prices_)
            if arm >= width:
                arm -= width
            elif part is None:
                msg = f"the cost of arm {name!r} is guessed: add it again, with some outcomes"
                raise UnsupportedError(msg)
            else:
                part.set_price(arm, name, input_price, output_price)
                return
