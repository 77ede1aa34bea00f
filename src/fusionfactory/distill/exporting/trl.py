"""TRL: conversations as `{messages}`, `{prompt, completion}` or `{prompt, chosen, rejected}`."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from fusionfactory.distill.exporting.conversation import messages
from fusionfactory.distill.exporting.format import DPO, SFT, TrainingFormat, data_file
from fusionfactory.distill.exporting.sides import TRAIN, VALIDATION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.distill.exporting.format import Job, Row
    from fusionfactory.distill.selection import Example, Pair

__all__ = ["MESSAGES", "PREFERENCE", "PROMPT_COMPLETION"]


def _messages(items: Sequence[Example]) -> list[Row]:
    return [{"messages": [*messages(item), _answer(item.response)]} for item in items]


def _prompt_completion(items: Sequence[Example]) -> list[Row]:
    return [{"prompt": messages(item), "completion": [_answer(item.response)]} for item in items]


def _preference(items: Sequence[Pair]) -> list[Row]:
    return [
        {
            "prompt": messages(item),
            "chosen": [_answer(item.chosen)],
            "rejected": [_answer(item.rejected)],
        }
        for item in items
    ]


def _answer(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def _whole_conversation(_job: Job) -> list[str]:
    return [
        "TRL learns all of a conversation in this format, the questions too, unless "
        "assistant_only_loss is set; trl-prompt-completion marks what to learn"
    ]


def _usage(job: Job) -> list[str]:
    folder = SFT if data_file(SFT, TRAIN) in job.rows else DPO
    model = quote(job.settings.model or "MODEL")
    line = f"trl {folder} --model_name_or_path {model} --dataset_name {folder} --use_peft"
    if data_file(folder, VALIDATION) in job.rows:
        line += f" --dataset_test_split {VALIDATION} --eval_strategy epoch"
    return [f"{line} --output_dir student"]


MESSAGES = TrainingFormat(examples=_messages, notes=_whole_conversation, usage=_usage)
PROMPT_COMPLETION = TrainingFormat(examples=_prompt_completion, usage=_usage)
PREFERENCE = TrainingFormat(pairs=_preference, usage=_usage)
