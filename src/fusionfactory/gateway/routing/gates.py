"""The gates that a fleet's `gated` arms use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.errors import ConfigError
from fusionfactory.gateway.fleet import GATED
from fusionfactory.thoughts.gating.gate import Gate

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.gateway.fleet import Fleet

__all__ = ["read_gates"]


def read_gates(fleet: Fleet, folder: Path | None) -> dict[str, Gate]:
    """Model to its gate, of every model with the strategy `gated`.

    Args:
        fleet: Has the models.
        folder: Where `fusionfactory think evaluate --gates` wrote.

    Raises:
        ConfigError: There is no folder, or no gate of such a model in it.
        ThoughtError: A gate is damaged.
    """
    models = [
        target.model.name for target in fleet.targets.values() if target.arm.strategy == GATED
    ]
    if not models:
        return {}
    if folder is None:
        msg = (
            f"the model {models[0]!r} has the strategy {GATED!r}, and no folder of gates is set: "
            "make one by `fusionfactory think evaluate --gates FOLDER`"
        )
        raise ConfigError(msg, field="serve.routing.gates")
    read = [Gate.load(path) for path in sorted(folder.glob(f"*.{GATED}.json"))]
    gates = {gate.model: gate for gate in read}
    for model in models:
        if model not in gates:
            has = ", ".join(gates) or "none"
            msg = f"{folder} holds no gate of the model {model!r}; it has those of: {has}"
            raise ConfigError(msg, field="serve.routing.gates")
    return {model: gates[model] for model in models}
