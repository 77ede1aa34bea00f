"""TRL's trainers, with our tokens and our order."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fusionfactory.distill.training.settings import LINEAR

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fusionfactory.distill.training.device import Hardware
    from fusionfactory.distill.training.schedule import Schedule
    from fusionfactory.distill.training.sequences import Item, Prepared
    from fusionfactory.distill.training.settings import TrainSettings

__all__ = ["IGNORED", "lora_config", "make_trainer"]

IGNORED = -100
"""Label of tokens that carry no loss."""

_PLAIN_HEADS = {"llama", "qwen2", "qwen3"}
"""Models whose scores of the tokens are one matrix times the last hidden state."""
_KEPT_CHECKPOINTS = 2
"""The newest may be a part where the run was killed; the one before it is whole."""


def lora_config(settings: TrainSettings) -> Any:  # noqa: ANN401  a LoraConfig
    """The adapter for PEFT."""
    from peft import LoraConfig

    targets = settings.targets
    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=targets if targets == LINEAR else list(targets),
        task_type="CAUSAL_LM",
    )


def make_trainer(
    model: Any,  # noqa: ANN401  a model of transformers, or of PEFT
    tokenizer: Any,  # noqa: ANN401
    data: Prepared,
    schedule: Schedule,
    settings: TrainSettings,
    hardware: Hardware,
    folder: Path,
    *,
    evaluate_first: bool,
    save: bool = True,
) -> Any:  # noqa: ANN401  an SFTTrainer or DPOTrainer
    """A trainer that has seen nothing yet.

    Args:
        model: The base, or the base with an adapter to go on from.
        tokenizer: The base's.
        data: The tokens.
        schedule: In which order they are seen.
        settings: Of the training.
        hardware: Where it is done.
        folder: Of the checkpoints.
        evaluate_first: Whether the validation loss is taken before the first step.
        save: Whether checkpoints are written.
    """
    from peft import PeftModel
    from transformers import PrinterCallback, set_seed

    # The adapter's start is drawn where the trainer is made.
    set_seed(settings.seed)
    kind, rows = (_dpo, _pair_rows) if settings.method == "dpo" else (_sft, _rows)
    trainer_class, config_class, own = kind(model, hardware, settings)
    arguments = _arguments(schedule, settings, hardware, folder)
    arguments |= own | {"eval_on_start": evaluate_first}
    arguments["save_strategy"] = "steps" if save else "no"

    class Planned(trainer_class):  # type: ignore[misc, valid-type]  # TRL is untyped
        def _get_train_sampler(self, train_dataset: object = None) -> list[int]:
            return [int(number) for number in schedule.order]

    trainer = Planned(
        model=model,
        args=config_class(**arguments),
        train_dataset=rows(data.train),
        eval_dataset=rows(data.validation) if data.validation else None,
        processing_class=tokenizer,
        peft_config=None if isinstance(model, PeftModel) else lora_config(settings),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _arguments(
    schedule: Schedule, settings: TrainSettings, hardware: Hardware, folder: Path
) -> dict[str, Any]:
    return {
        "output_dir": str(folder),
        "per_device_train_batch_size": settings.batch_size,
        "per_device_eval_batch_size": settings.batch_size,
        "gradient_accumulation_steps": settings.gradient_accumulation,
        "max_steps": schedule.steps,
        "learning_rate": settings.peak_rate,
        "lr_scheduler_type": settings.schedule,
        "warmup_steps": math.ceil(settings.warmup * schedule.steps),
        "logging_steps": settings.logging_steps,
        "save_steps": settings.save_steps,
        "save_total_limit": _KEPT_CHECKPOINTS,
        "seed": settings.seed,
        "use_cpu": hardware.device == "cpu",
        "bf16": hardware.dtype == "bfloat16",
        "gradient_checkpointing": hardware.checkpointing,
        "dataloader_pin_memory": hardware.device != "cpu",
        "max_length": None,
        "report_to": "none",
        "disable_tqdm": True,
        "optim": "adamw_torch",
    }


def _sft(model: Any, hardware: Hardware, settings: TrainSettings) -> tuple[Any, Any, Any]:  # noqa: ANN401
    from trl import SFTConfig, SFTTrainer

    own = {"dataset_kwargs": {"skip_prepare_dataset": True}}
    if hardware.device != "cpu" or model.config.model_type not in _PLAIN_HEADS:
        return SFTTrainer, SFTConfig, own
    from torch.nn.functional import cross_entropy

    class CompletionTrainer(SFTTrainer):  # type: ignore[misc]  # TRL is untyped
        """Scores the whole vocabulary where a label is, and nowhere else.

        TRL does so on GPUs only; on a CPU it also scores every token of the prompt.
        """

        def compute_loss(
            self,
            model: Any,  # noqa: ANN401
            inputs: dict[str, Any],
            return_outputs: bool = False,
            num_items_in_batch: Any = None,  # noqa: ANN401
        ) -> Any:  # noqa: ANN401
            whole = self.accelerator.unwrap_model(model).get_base_model()
            hidden = whole.base_model(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                use_cache=False,
            ).last_hidden_state[:, :-1]
            labels = inputs["labels"][:, 1:]
            told = labels != IGNORED
            scores = whole.get_output_embeddings()(hidden[told]).float()
            total = cross_entropy(scores, labels[told], reduction="sum")
            return total / (told.sum() if num_items_in_batch is None else num_items_in_batch)

    return CompletionTrainer, SFTConfig, own


def _dpo(model: Any, hardware: Hardware, settings: TrainSettings) -> tuple[Any, Any, Any]:  # noqa: ANN401
    from trl import DPOConfig, DPOTrainer

    class TokenTrainer(DPOTrainer):  # type: ignore[misc]  # TRL is untyped
        """Takes tokens as they are, as the other trainer does."""

        def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            return dataset

    return TokenTrainer, DPOConfig, {"beta": settings.beta}


def _rows(items: Sequence[Item]) -> Any:  # noqa: ANN401  a Dataset
    from datasets import Dataset

    return Dataset.from_dict(
        {
            "input_ids": [[*item.prompt, *item.answers[0]] for item in items],
            "labels": [[IGNORED] * len(item.prompt) + item.answers[0] for item in items],
        }
    )


def _pair_rows(items: Sequence[Item]) -> Any:  # noqa: ANN401  a Dataset
    from datasets import Dataset

    return Dataset.from_dict(
        {
            "prompt_ids": [item.prompt for item in items],
            "chosen_ids": [item.answers[0] for item in items],
            "rejected_ids": [item.answers[1] for item in items],
        }
    )
