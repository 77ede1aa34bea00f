"""LLaMA-Factory: a folder with data, `dataset_info.json` and recipes to run."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from fusionfactory.distill.exporting.conversation import has_history
from fusionfactory.distill.exporting.format import DPO, SFT, TrainingFormat, data_file
from fusionfactory.distill.exporting.recipe import likely_length, recipe, recipe_length
from fusionfactory.distill.exporting.sharegpt import example_rows, pair_rows
from fusionfactory.distill.exporting.sides import TRAIN, VALIDATION

if TYPE_CHECKING:
    from fusionfactory.distill.exporting.format import Job
    from fusionfactory.distill.selection import Example, Pair

__all__ = ["DATASET_INFO", "FORMAT"]

DATASET_INFO = "dataset_info.json"

_NAME = "llama-factory"
_COLUMNS = {"messages": "conversations", "system": "system"}
_RANKED = {**_COLUMNS, "chosen": "chosen", "rejected": "rejected"}
_TAGS = {
    "role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt",
    "system_tag": "system",
}  # fmt: skip


def _files(job: Job) -> dict[str, str]:
    info = {
        _name(stage, side): _entry(stage, side)
        for stage in (SFT, DPO)
        for side in (TRAIN, VALIDATION)
        if data_file(stage, side) in job.rows
    }
    files = {DATASET_INFO: json.dumps(info, indent=2) + "\n"}
    for stage in _stages(job):
        tested = _name(stage, VALIDATION)
        files[_recipe_file(stage)] = recipe(
            stage, _name(stage, TRAIN), tested if tested in info else None, job.settings,
            rows=len(job.rows[data_file(stage, TRAIN)]),
            length=recipe_length(_items(job, stage), job.settings),
            history=has_history(_items(job, stage)), heading=_heading(job, stage),
        )  # fmt: skip
    return files


def _entry(stage: str, side: str) -> dict[str, Any]:
    ranked = stage == DPO
    return {
        "file_name": data_file(stage, side),
        "formatting": "sharegpt",
        "ranking": ranked,
        "columns": _RANKED if ranked else _COLUMNS,
        "tags": _TAGS,
    }


def _heading(job: Job, stage: str) -> list[str]:
    lines = [
        f"Selection {job.selection.fingerprint()}, criterion {job.selection.criterion}.",
        f"In this folder: llamafactory-cli train {_recipe_file(stage)}",
    ]
    if not job.settings.template:
        lines.append("Without `template`, LLaMA-Factory reads the chat template of the tokenizer.")
    return lines


def _notes(job: Job) -> list[str]:
    length = job.settings.max_length
    if length is None:
        return []
    said = []
    for stage in _stages(job):
        items = _items(job, stage)
        long = sum(likely_length(item) > length for item in items)
        if long:
            said.append(
                f"{long} of {len(items)} rows of {stage} are likely to be longer than {length} "
                "tokens, where LLaMA-Factory cuts them: raise the length or leave them out"
            )
    return said


def _usage(job: Job) -> list[str]:
    return [f"llamafactory-cli train {_recipe_file(stage)}" for stage in _stages(job)]


def _stages(job: Job) -> list[str]:
    return [stage for stage in (SFT, DPO) if data_file(stage, TRAIN) in job.rows]


def _items(job: Job, stage: str) -> tuple[Example, ...] | tuple[Pair, ...]:
    return job.selection.pairs if stage == DPO else job.selection.examples


def _name(stage: str, side: str) -> str:
    return f"fusionfactory_{stage}" if side == TRAIN else f"fusionfactory_{stage}_{side}"


def _recipe_file(stage: str) -> str:
    return f"train_{stage}.yaml"


FORMAT = TrainingFormat(
    examples=partial(example_rows, format=_NAME),
    pairs=partial(pair_rows, format=_NAME),
    files=_files,
    notes=_notes,
    usage=_usage,
)
