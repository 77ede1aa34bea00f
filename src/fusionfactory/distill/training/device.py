"""On what a student is trained, and in which numbers."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fusionfactory.errors import DistillError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fusionfactory.distill.training.settings import TrainSettings

__all__ = ["Hardware", "choose_hardware", "packages", "quiet", "use_threads"]

_PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate")


@dataclass(frozen=True)
class Hardware:
    """Where the work is done.

    Attributes:
        device: `cpu` or `cuda`.
        name: Of the GPU, or `CPU`.
        dtype: Of the base's weights: `float32` or `bfloat16`.
        checkpointing: Whether activations are computed anew for the gradients.
    """

    device: str
    name: str
    dtype: str
    checkpointing: bool


def choose_hardware(settings: TrainSettings) -> Hardware:
    """What the settings ask for, `auto` decided by what is there.

    Raises:
        DistillError: A GPU is asked for and there is none.
        MissingExtraError: The extra `distill` is not installed.
    """
    try:
        import torch
        import trl  # noqa: F401  the trainers
    except ModuleNotFoundError:
        what = "Training a student"
        raise MissingExtraError(what, "distill") from None
    there = torch.cuda.is_available()
    if settings.device == "cuda" and not there:
        msg = "'cuda', but PyTorch finds no GPU: use auto or cpu"
        raise DistillError(msg, field="device")
    gpu = there and settings.device != "cpu"
    if settings.dtype == "auto":
        dtype = "bfloat16" if gpu and torch.cuda.is_bf16_supported() else "float32"
    else:
        dtype = settings.dtype
    return Hardware(
        device="cuda" if gpu else "cpu",
        name=str(torch.cuda.get_device_name(0)) if gpu else "CPU",
        dtype=dtype,
        checkpointing=gpu if settings.checkpointing is None else settings.checkpointing,
    )


def packages() -> dict[str, str]:
    """Versions of what a student depends on besides its data."""
    from importlib.metadata import version

    return {name: version(name) for name in _PACKAGES}


@contextmanager
def use_threads(threads: int | None) -> Iterator[None]:
    """Lets PyTorch use so many threads for a while."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def quiet() -> Iterator[None]:
    """Without the bars, advice and reports home of the libraries, which are put back afterwards."""
    import logging
    import warnings

    import datasets
    from huggingface_hub import constants
    from transformers.utils import logging as theirs

    logger = logging.getLogger("trl")
    level, verbosity = logger.level, theirs.get_verbosity()
    bars, told = theirs.is_progress_bar_enabled(), constants.HF_HUB_DISABLE_TELEMETRY
    ours = datasets.are_progress_bars_disabled()
    logger.setLevel(logging.ERROR)
    theirs.set_verbosity_error()
    theirs.disable_progress_bar()
    datasets.disable_progress_bars()
    changed: Any = constants
    changed.HF_HUB_DISABLE_TELEMETRY = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        changed.HF_HUB_DISABLE_TELEMETRY = told
        logger.setLevel(level)
        theirs.set_verbosity(verbosity)
        if bars:
            theirs.enable_progress_bar()
        if not ours:
            datasets.enable_progress_bars()
