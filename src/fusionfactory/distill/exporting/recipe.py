"""The training recipes of LLaMA-Factory, as YAML."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from fusionfactory.distill.selection import Example
from fusionfactory.errors import DistillError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fusionfactory.distill.exporting.settings import ExportSettings
    from fusionfactory.distill.selection import Pair

__all__ = ["likely_length", "recipe", "recipe_length"]

Value = str | int | float | bool

_SHORTEST = 1024
_BYTES_PER_TOKEN = 4
_SLACK = 2
_EPOCHS = 3.0
_BATCH = 8
_WARMUP_SHARE = 0.1

# As in the examples that LLaMA-Factory ships.
_LEARNT: dict[str, dict[str, Value]] = {
    "sft": {"stage": "sft", "learning_rate": 1e-4},
    "dpo": {"stage": "dpo", "pref_beta": 0.1, "pref_loss": "sigmoid", "learning_rate": 5e-6},
}
_LORA: dict[str, Value] = {
    "finetuning_type": "lora", "lora_rank": 8, "lora_alpha": 16, "lora_target": "all",
}  # fmt: skip
_STEPS: dict[str, Value] = {
    "num_train_epochs": _EPOCHS, "per_device_train_batch_size": 1,
    "gradient_accumulation_steps": _BATCH, "lr_scheduler_type": "cosine", "bf16": True,
    "logging_steps": 10, "save_steps": 500, "report_to": "none",
}  # fmt: skip


def recipe(
    stage: str,
    dataset: str,
    eval_dataset: str | None,
    settings: ExportSettings,
    *,
    rows: int,
    length: int,
    history: bool,
    heading: Sequence[str] = (),
) -> str:
    """A file for `llamafactory-cli train`, run in the folder of the data.

    Args:
        stage: `sft` or `dpo`.
        dataset: Name in `dataset_info.json`.
        eval_dataset: Likewise; None for no validation.
        settings: Model, template and seed.
        rows: Number of rows to train on.
        length: Tokens from which an example is cut.
        history: Whether prompts hold earlier answers, which are not to be learnt.
        heading: Lines of comment on top.

    Raises:
        DistillError: No model is set, or a GGUF file, which LLaMA-Factory does not read.
    """
    values: dict[str, Value] = {"model_name_or_path": _model(settings.model)}
    values |= {**_LEARNT[stage], "do_train": True, **_LORA}
    values |= {"dataset_dir": ".", "dataset": dataset, "cutoff_len": length}
    if settings.template:
        values["template"] = settings.template
    if history and stage == "sft":
        values["mask_history"] = True
    values |= {"output_dir": f"saves/{stage}", **_STEPS, "seed": settings.seed}
    # As steps, for the setting of a share was dropped from transformers.
    values["warmup_steps"] = round(_WARMUP_SHARE * _EPOCHS * rows / _BATCH)
    if eval_dataset:
        values |= {"eval_dataset": eval_dataset, "eval_strategy": "epoch"}
        values |= {"per_device_eval_batch_size": 1}
    return "".join(f"# {line}\n" for line in heading) + _yaml(values)


def recipe_length(items: Sequence[Example | Pair], settings: ExportSettings) -> int:
    """Tokens from which a recipe lets an example be cut: what is set, or room for the longest."""
    if settings.max_length is not None:
        return settings.max_length
    longest = _SLACK * max((likely_length(item) for item in items), default=0)
    return max(_SHORTEST, 1 << (longest - 1).bit_length())


def likely_length(item: Example | Pair) -> int:
    """Tokens of prompt and longest answer, as a rule of thumb: a quarter of the UTF-8 bytes."""
    answers = [item.response] if isinstance(item, Example) else [item.chosen, item.rejected]
    texts = [*(message.content for message in item.prompt), max(answers, key=len)]
    return sum(len(text.encode()) for text in texts) // _BYTES_PER_TOKEN


def _model(name: str | None) -> str:
    if name is None:
        msg = (
            "a recipe of LLaMA-Factory names the model to train, and none is set: give its hub id "
            "or folder, such as --model meta-llama/Llama-3.1-8B-Instruct"
        )
        raise DistillError(msg, field="model")
    if name.lower().endswith(".gguf"):
        msg = (
            f"{name!r} is a GGUF file, which LLaMA-Factory does not train: give the Hugging Face "
            "folder or hub id of the model, or use `fusionfactory distill train`"
        )
        raise DistillError(msg, field="model")
    return name


def _yaml(values: Mapping[str, Value]) -> str:
    return "".join(f"{name}: {_scalar(value)}\n" for name, value in values.items())


def _scalar(value: Value) -> str:
    if isinstance(value, float) and "e" in (text := repr(value)):
        mantissa, _, exponent = text.partition("e")
        # Without the point, YAML 1.1 reads 5e-06 as a text.
        return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{exponent}"
    return json.dumps(value, ensure_ascii=False)
