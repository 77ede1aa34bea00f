"""What a training will take, before anything is spent."""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionfactory.distill.models.base import is_gguf, load_base
from fusionfactory.distill.models.facts import base_facts
from fusionfactory.distill.training.device import choose_hardware, quiet, use_threads
from fusionfactory.distill.training.schedule import plan_steps
from fusionfactory.distill.training.sequences import Template, prepare
from fusionfactory.distill.training.trainers import make_trainer

if TYPE_CHECKING:
    from collections.abc import Callable

    from fusionfactory.distill.models.facts import BaseFacts
    from fusionfactory.distill.selection import Selection
    from fusionfactory.distill.training.device import Hardware
    from fusionfactory.distill.training.schedule import Schedule
    from fusionfactory.distill.training.sequences import Prepared
    from fusionfactory.distill.training.settings import TrainSettings

__all__ = ["Forecast", "forecast"]

_BYTES = {"float32": 4, "bfloat16": 2}
_ADAPTER_BYTES = 16
"""Per trained parameter: itself, its gradient and two moments of Adam, in float32."""
_ACTIVATION_BYTES = {"float32": 150, "bfloat16": 105}
"""Kept for the gradients, per token, layer and hidden size: by the peak of processes that trained
SmolLM2-135M, whose inner layers are 2.7 hidden sizes wide, with adapters on every matrix. Norms
stay in float32."""
_SCORES = 3
"""Copies of the scores of the vocabulary in float32: scores, log-probabilities, gradient."""
_PER_PARAMETER = 4
"""Operations per token and parameter: two forward and two back to the activations; a frozen
matrix needs no gradient of its own."""
_OPERATIONS = {
    ("cpu", "float32"): 5.5e10,
    ("cpu", "bfloat16"): 1.0e11,
    ("cuda", "float32"): 1.0e13,
    ("cuda", "bfloat16"): 1.0e14,
}
"""Operations per second; of a CPU, per thread: measured with SmolLM2-135M on a server core of 2022
with bfloat16 instructions. Of a GPU: a guess for one of the same age."""
_PROBED = 3
"""Steps that a probe takes; the first one warms up and does not count."""


@dataclass(frozen=True)
class Forecast:
    """What a training will take.

    Attributes:
        method: `sft` or `dpo`.
        examples: Trained on; pairs under `dpo`.
        validation: Held out.
        too_long: Left out for their length.
        prompt_tokens: Of the examples trained on, each counted once.
        answer_tokens: Likewise, with the end token: what carries the loss.
        steps: To do.
        epochs: That they make.
        tokens: Of all sequences over all steps.
        padding: Share of what is computed that is padding.
        parameters: Of the base.
        trainable: Of the adapter.
        memory_bytes: Parts by name: `weights`, `adapter`, `activations`, `scores`.
        seconds: Of the steps, without validation.
        tokens_per_s: By which they are told.
        measured: Whether by steps that were timed here, or by a stated rate.
        device: `cpu` or `cuda`.
        dtype: Of the base's weights.
    """

    method: str
    examples: int
    validation: int
    too_long: int
    prompt_tokens: int
    answer_tokens: int
    steps: int
    epochs: float
    tokens: int
    padding: float
    parameters: int
    trainable: int
    memory_bytes: dict[str, int]
    seconds: float
    tokens_per_s: float
    measured: bool
    device: str
    dtype: str

    def facts(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def forecast(
    selection: Selection,
    base: Path | str,
    settings: TrainSettings,
    *,
    probe: bool = False,
    load: Callable[..., tuple[Any, Any]] = load_base,
) -> Forecast:
    """Cuts the selection into tokens and says what training on them takes; writes nothing.

    Args:
        selection: What to learn.
        base: A GGUF file or a Hugging Face folder; its weights are read for a probe alone.
        settings: How to train.
        probe: Time a few steps on the longest of the first examples.
        load: Loads base and tokenizer for a probe.

    Raises:
        DistillError: The selection or base cannot be used; says why.
        MissingExtraError: The extra `distill` is not installed.
    """
    hardware = choose_hardware(settings)
    facts = base_facts(base)
    with quiet(), use_threads(settings.threads):
        data = prepare(selection, Template(_tokenizer(base), str(base)), settings)
        schedule = plan_steps(data.train, settings)
        tokens = int(schedule.running_tokens(data.train)[-1])
        if probe:
            rate = _probe(load(base, dtype=hardware.dtype), data, schedule, settings, hardware)
        else:
            rate = _stated(facts, settings, hardware)
    trainable = facts.adapter_parameters(settings.rank, settings.targets)
    return Forecast(
        method=settings.method,
        examples=len(data.train),
        validation=len(data.validation),
        too_long=len(data.too_long),
        prompt_tokens=sum(len(item.prompt) for item in data.train),
        answer_tokens=sum(len(answer) for item in data.train for answer in item.answers),
        steps=schedule.steps,
        epochs=round(len(schedule.order) / len(data.train), 4),
        tokens=tokens,
        padding=round(max(0.0, 1 - tokens / schedule.padded(data.train, settings.batch_size)), 4),
        parameters=facts.parameters,
        trainable=trainable,
        memory_bytes=_memory(facts, data, settings, hardware, trainable),
        seconds=round(tokens / rate, 1),
        tokens_per_s=round(rate, 1),
        measured=probe,
        device=hardware.device,
        dtype=hardware.dtype,
    )


def _tokenizer(base: Path | str) -> Any:  # noqa: ANN401  of transformers
    if is_gguf(base):
        from fusionfactory.distill.models.header import read_header
        from fusionfactory.distill.models.tokenizer import rebuild_tokenizer

        return rebuild_tokenizer(read_header(Path(base)))
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(base)


def _stated(facts: BaseFacts, settings: TrainSettings, hardware: Hardware) -> float:
    import torch

    speed = _OPERATIONS[hardware.device, hardware.dtype]
    if hardware.device == "cpu":
        speed *= torch.get_num_threads()
    # The reference of dpo goes forward once more; computing anew repeats the way forward.
    rounds = 1 + 0.5 * (settings.method == "dpo") + 0.5 * hardware.checkpointing
    return speed / (_PER_PARAMETER * facts.parameters * rounds)


def _memory(
    facts: BaseFacts, data: Prepared, settings: TrainSettings, hardware: Hardware, trainable: int
) -> dict[str, int]:
    """Of the largest batch that can come up."""
    width = _BYTES[hardware.dtype]
    longest = sorted(data.train, key=lambda item: item.length)[-settings.batch_size :]
    sequences = len(longest) * len(longest[0].answers)
    tokens = sequences * longest[-1].length
    kept = facts.layers * _ACTIVATION_BYTES[hardware.dtype]
    if hardware.checkpointing:
        kept = facts.layers * width + _ACTIVATION_BYTES[hardware.dtype]
    told = sum(len(answer) for item in longest for answer in item.answers)
    return {
        "weights": facts.parameters * width,
        "adapter": trainable * _ADAPTER_BYTES,
        "activations": tokens * facts.hidden_size * kept,
        "scores": told * facts.vocabulary * _SCORES * _BYTES["float32"],
    }


def _probe(
    loaded: tuple[Any, Any],
    data: Prepared,
    schedule: Schedule,
    settings: TrainSettings,
    hardware: Hardware,
) -> float:
    """Tokens per second over a few real steps."""
    order = schedule.order[: _PROBED * schedule.step_size]
    few = replace(schedule, order=order, steps=-(-len(order) // schedule.step_size))
    ends: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        trainer = make_trainer(
            *loaded, data, few, settings, hardware, Path(folder), evaluate_first=False, save=False
        )
        trainer.add_callback(_clock(ends))
        trainer.train()
    seen, first = few.running_tokens(data.train), min(1, few.steps - 1)
    return int(seen[-1] - seen[first]) / (ends[-1] - ends[first])


def _clock(ends: list[float]) -> Any:  # noqa: ANN401  a TrainerCallback
    """Notes when training begins and when every step ends."""
    from transformers import TrainerCallback

    class Clock(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
        def on_train_begin(self, *_: object, **__: object) -> None:
            ends.append(time.monotonic())

        def on_step_end(self, *_: object, **__: object) -> None:
            ends.append(time.monotonic())

    return Clock()
