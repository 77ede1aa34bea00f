"""How a student is trained."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from fusionfactory.errors import DistillError

__all__ = ["LINEAR", "METHODS", "TrainSettings"]

METHODS = ("sft", "dpo")
"""Supervised on examples, or by direct preference optimisation on pairs."""
LINEAR = "all-linear"
"""Every matrix of the model but the one that gives the tokens."""

_LEARNING_RATES = {"sft": 2e-4, "dpo": 2e-5}


@dataclass(frozen=True)
class TrainSettings:
    """What decides which student comes out of a selection and a base.

    Attributes:
        method: `sft` learns the examples, `dpo` prefers the chosen answers of the pairs.
        epochs: How often every example is seen.
        max_steps: Stop after so many steps instead; None for `epochs`.
        learning_rate: The highest; None for 2e-4 (sft) or 2e-5 (dpo).
        schedule: How it falls: `linear`, `cosine` or `constant`.
        warmup: Share of the steps during which it rises.
        batch_size: Examples, or pairs, that are computed at once.
        gradient_accumulation: So many batches make a step.
        rank: Of the adapter's matrices.
        alpha: Their scale is `alpha / rank`.
        dropout: Of the adapter's inputs.
        targets: Names of the matrices to adapt, or `all-linear`.
        max_length: Examples of more tokens than this are left out, and counted.
        holdout: Share of the queries that is kept for the validation loss.
        keep_best: Keep the adapter of the least validation loss rather than the last.
        beta: How close to the reference model `dpo` stays.
        seed: Of the held-out queries, the order, the adapter's start and dropout.
        dtype: `float32`, `bfloat16` (base in bfloat16, adapter in float32), or `auto`.
        device: `cpu`, `cuda`, or `auto`.
        checkpointing: Recompute activations to save memory; None for on GPUs only.
        save_steps: Steps between two checkpoints.
        logging_steps: Steps of which a point of the loss curve is the mean.
        threads: Of the CPU; None leaves PyTorch's choice.
    """

    method: Literal["sft", "dpo"] = "sft"
    epochs: float = 2.0
    max_steps: int | None = None
    learning_rate: float | None = None
    schedule: Literal["linear", "cosine", "constant"] = "cosine"
    warmup: float = 0.05
    batch_size: int = 8
    gradient_accumulation: int = 1
    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    targets: str | tuple[str, ...] = LINEAR
    max_length: int = 1024
    holdout: float = 0.05
    keep_best: bool = False
    beta: float = 0.1
    seed: int = 0
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    checkpointing: bool | None = None
    save_steps: int = 50
    logging_steps: int = 5
    threads: int | None = None

    def __post_init__(self) -> None:
        """Refuses what cannot be trained.

        Raises:
            DistillError: A value is out of its range; names the field.
        """
        _among("method", self.method, METHODS)
        _among("schedule", self.schedule, ("linear", "cosine", "constant"))
        _among("dtype", self.dtype, ("auto", "float32", "bfloat16"))
        _among("device", self.device, ("auto", "cpu", "cuda"))
        for field in ("epochs", "learning_rate", "beta"):
            _check(field, getattr(self, field), above=0)
        for field in (
            "max_steps",
            "batch_size",
            "gradient_accumulation",
            "rank",
            "alpha",
            "max_length",
            "save_steps",
            "logging_steps",
            "threads",
        ):
            _check(field, getattr(self, field), least=1)
        for field in ("warmup", "dropout", "holdout"):
            _check(field, getattr(self, field), least=0, below=1)
        if not self.targets:
            msg = f"no matrices named, expected some, or {LINEAR!r}"
            raise DistillError(msg, field="targets")

    @property
    def peak_rate(self) -> float:
        """The highest learning rate, the method's own where none is set."""
        return self.learning_rate or _LEARNING_RATES[self.method]

    @property
    def step_size(self) -> int:
        """Examples, or pairs, that make a step."""
        return self.batch_size * self.gradient_accumulation

    def facts(self) -> dict[str, Any]:
        """As JSON values."""
        targets = self.targets if isinstance(self.targets, str) else list(self.targets)
        return {**asdict(self), "targets": targets, "learning_rate": self.peak_rate}


def _among(field: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        msg = f"{value!r}, expected one of {', '.join(known)}"
        raise DistillError(msg, field=field)


def _check(
    field: str,
    value: float | None,
    *,
    least: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> None:
    if value is None:
        return
    bounds = {
        f"at least {least}": least is None or value >= least,
        f"more than {above}": above is None or value > above,
        f"less than {below}": below is None or value < below,
    }
    broken = [text for text, holds in bounds.items() if not holds]
    if broken:
        msg = f"{value}, expected {' and '.join(broken)}"
        raise DistillError(msg, field=field)
