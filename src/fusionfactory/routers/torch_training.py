"""What the routers trained with torch share: import, device, arms as text, and when to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfactory.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import Arm, BoolArray

__all__ = ["BestWeights", "arm_text", "hold_out", "import_torch", "pick_device"]

_FEWEST_GROUPS = 20


def import_torch(what: str) -> Any:  # noqa: ANN401  a module
    """The module torch.

    Args:
        what: What needs it, for example `The graph router`.

    Raises:
        MissingExtraError: torch is not installed.
    """
    try:
        import torch
    except ModuleNotFoundError:
        raise MissingExtraError(what, "torch") from None
    return torch


def pick_device(torch: Any, device: str) -> Any:  # noqa: ANN401  torch's module and device
    """The device of that name; `auto` is a CUDA device if there is one, else the CPU.

    Raises:
        ConfigError: torch cannot use the device here.
    """
    name = device
    if device == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        msg = (
            f"torch cannot use {device!r} here ({str(error).splitlines()[0]}); try 'cpu' or 'auto'"
        )
        raise ConfigError(msg, field="device") from None
    return torch.device(name)


def arm_text(arm: Arm) -> str:
    """What a model reads of an arm: its description, or its name and prices."""
    if arm.description:
        return arm.description
    prices = [
        f"{price:g} USD per million {side} tokens"
        for side, price in (("input", arm.input_price), ("output", arm.output_price))
        if price is not None
    ]
    return ", ".join([arm.name, *prices])


def hold_out(table: OutcomeTable, share: float, seed: int) -> BoolArray:
    """(n,) which training queries decide when to stop, near-duplicates on one side.

    None are held out of a table that is too small to spare any.
    """
    groups = table.groups()
    count = int(groups.max()) + 1
    if count < _FEWEST_GROUPS:
        return np.zeros(len(table), dtype=np.bool_)
    chosen = np.random.default_rng(seed).permutation(count)[: max(1, round(share * count))]
    held = np.isin(groups, chosen)
    return held & table.observed().any(axis=1)


class BestWeights:
    """The weights of the least loss so far, and whether waiting longer is pointless.

    Args:
        patience: Checks without a lower loss before `exhausted`.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.loss = np.inf
        self.waited = 0
        self.weights: list[Any] = []

    @property
    def exhausted(self) -> bool:
        """Whether `patience` checks brought nothing better."""
        return self.waited >= self.patience

    def check(self, loss: float, weights: Iterable[Any]) -> None:
        """Keeps a copy of the torch tensors if the loss is the least yet."""
        if loss < self.loss:
            self.loss, self.waited = loss, 0
            self.weights = [weight.detach().clone() for weight in weights]
        else:
            self.waited += 1
