"""From a selection and a base to a student."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionfactory.distill.models.base import load_base
from fusionfactory.distill.training.base_identity import identify
from fusionfactory.distill.training.checkpoints import Run
from fusionfactory.distill.training.device import choose_hardware, packages, quiet, use_threads
from fusionfactory.distill.training.progress import Progress, Watch
from fusionfactory.distill.training.record import RECORD, BaseRecord, DataRecord, StudentRecord
from fusionfactory.distill.training.schedule import plan_steps
from fusionfactory.distill.training.sequences import Template, prepare
from fusionfactory.distill.training.student import (
    ADAPTER,
    copy_adapter,
    save_adapter,
    write_student,
)
from fusionfactory.distill.training.trainers import make_trainer
from fusionfactory.errors import DistillError
from fusionfactory.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    from fusionfactory.distill.selection import Selection
    from fusionfactory.distill.training.checkpoints import Checkpoint
    from fusionfactory.distill.training.device import Hardware
    from fusionfactory.distill.training.progress import Report
    from fusionfactory.distill.training.schedule import Schedule
    from fusionfactory.distill.training.sequences import Prepared
    from fusionfactory.distill.training.settings import TrainSettings

__all__ = ["Trained", "train"]

_BEST = "best"
_NOT_DECIDING = ("threads", "save_steps", "device", "dtype", "checkpointing")
"""Settings that may change between two runs of one training, or are recorded as decided."""


@dataclass(frozen=True)
class Trained:
    """A finished student.

    Attributes:
        folder: Where it lies.
        record: Its account.
        resumed_at: The step at which this run took it up; None where it began or was finished.
        was_there: Whether an earlier run had finished it, so that nothing was done.
    """

    folder: Path
    record: StudentRecord
    resumed_at: int | None = None
    was_there: bool = False


@dataclass(frozen=True)
class _Job:
    selection: Selection
    base: Path | str
    settings: TrainSettings
    hardware: Hardware
    start: Path | None
    load: Callable[..., tuple[Any, Any]]


def train(
    selection: Selection,
    base: Path | str,
    out: Path,
    settings: TrainSettings,
    *,
    start: Path | None = None,
    merged: bool = False,
    kind: str = "f16",
    restart: bool = False,
    load: Callable[..., tuple[Any, Any]] = load_base,
    progress: Report | None = None,
) -> Trained:
    """Trains a LoRA adapter, and writes adapter, whole model and account into a folder.

    A run that was killed goes on from its last checkpoint when it is started again with the same
    arguments, and ends at the same step.

    Args:
        selection: What to learn.
        base: A GGUF file, a Hugging Face folder, or a name on the hub.
        out: Folder of the student.
        settings: How to train.
        start: Folder of an adapter to go on from, such as `dpo` after `sft`; the reference of `dpo`
            is then the model with it.
        merged: Also write the whole model for `transformers` where the base is a GGUF file.
        kind: How the student's GGUF file stores its matrices.
        restart: Throw away what the folder holds of an earlier training.
        load: Loads base and tokenizer.
        progress: Is told after every step.

    Raises:
        DistillError: The selection, base or folder cannot be used; says why.
        MissingExtraError: The extra `distill` is not installed.
    """
    hardware = choose_hardware(settings)
    job = _Job(selection, base, settings, hardware, start, load)
    identity = identify(base)
    run = Run(out, _facts(job, identity))
    if restart:
        run.spare(base, *([] if start is None else [start, start / ADAPTER]))
    else:
        run.check()
        if (out / RECORD).exists():
            return Trained(out, StudentRecord.load(out), was_there=True)
    with quiet(), use_threads(settings.threads):
        model, tokenizer = load(base, dtype=hardware.dtype)
        data = prepare(selection, Template(tokenizer, str(base)), settings)
        schedule = plan_steps(data.train, settings)
        parameters = sum(weights.numel() for weights in model.parameters())
        if start is not None:
            model = _with_adapter(model, start)
        # Nothing is written before all that can be refused has been looked at.
        with run.claimed(restart=restart):
            checkpoint = run.last()
            result = _fit(job, run, model, tokenizer, data, schedule, checkpoint, progress)
            del model
            if progress is not None:
                progress(Progress("merge", schedule.steps, schedule.steps))
            files = write_student(base, out, load, merged=merged, kind=kind)
            record = StudentRecord(
                version=__version__,
                base=BaseRecord(
                    path=str(base), name=Path(base).stem, sha256=identity, parameters=parameters
                ),
                data=_data(job, data),
                method=settings.method,
                settings=settings.facts(),
                start=None if start is None else str(start),
                steps=schedule.steps,
                epochs=round(len(schedule.order) / len(data.train), 4),
                tokens=int(schedule.running_tokens(data.train)[-1]),
                **result,
                device=hardware.name,
                dtype=hardware.dtype,
                packages=packages(),
                files=files,
            )
            record.save(out)
            run.finish()
    return Trained(out, record, resumed_at=checkpoint.step if checkpoint else None)


def _fit(
    job: _Job,
    run: Run,
    model: Any,  # noqa: ANN401  of transformers
    tokenizer: Any,  # noqa: ANN401
    data: Prepared,
    schedule: Schedule,
    checkpoint: Checkpoint | None,
    report: Report | None,
) -> dict[str, Any]:
    """Trains and saves the adapter; returns what the record says of it."""
    trainer = make_trainer(
        model,
        tokenizer,
        data,
        schedule,
        job.settings,
        job.hardware,
        run.checkpoints,
        evaluate_first=bool(data.validation) and checkpoint is None,
    )
    best = run.checkpoints / _BEST
    watch = Watch(
        run,
        schedule,
        data.train,
        step=checkpoint.step if checkpoint else 0,
        seconds=checkpoint.seconds if checkpoint else 0.0,
        validates=bool(data.validation),
        report=report,
        keep=(lambda now: save_adapter(now, best)) if job.settings.keep_best else None,
    )
    trainer.add_callback(watch.as_callback())
    trainer.train(resume_from_checkpoint=str(checkpoint.path) if checkpoint else None)
    history = trainer.state.log_history
    validation = [(line["step"], line["eval_loss"]) for line in history if "eval_loss" in line]
    best_step = None
    if job.settings.keep_best and best.exists():
        # It stays where it is too: a run that is killed from here on goes on without validating.
        copy_adapter(best, run.folder / ADAPTER)
        best_step = min((loss, step) for step, loss in validation if step)[1]
    else:
        save_adapter(trainer.model, run.folder / ADAPTER)
    return {
        "trainable": sum(w.numel() for w in trainer.model.parameters() if w.requires_grad),
        "losses": [(line["step"], line["loss"]) for line in history if "loss" in line],
        "validation": validation,
        "best_step": best_step,
        "seconds": round(watch.seconds, 3),
    }


def _with_adapter(model: Any, start: Path) -> Any:  # noqa: ANN401
    from peft import PeftModel

    folder = start / ADAPTER if (start / ADAPTER).is_dir() else start
    try:
        return PeftModel.from_pretrained(model, folder, is_trainable=True)
    except (OSError, ValueError, RuntimeError) as error:
        msg = f"cannot be used as an adapter of this base: {str(error).splitlines()[0]}"
        raise DistillError(msg, file=start) from None


def _facts(job: _Job, identity: str | None) -> dict[str, Any]:
    settings = job.settings.facts()
    return {
        "base": identity or str(job.base),
        "selection": job.selection.fingerprint(),
        "start": None if job.start is None else identify(job.start),
        "dtype": job.hardware.dtype,
        **{name: value for name, value in settings.items() if name not in _NOT_DECIDING},
    }


def _data(job: _Job, data: Prepared) -> DataRecord:
    selection, settings = job.selection, job.settings
    parts = selection.pairs if settings.method == "dpo" else selection.examples
    arms = (part.chosen_arm for part in selection.pairs)
    if settings.method == "sft":
        arms = (example.arm for example in selection.examples)
    return DataRecord(
        fingerprint=selection.fingerprint(),
        criterion=selection.criterion,
        examples=len(data.train),
        validation=len(data.validation),
        too_long=len(data.too_long),
        sources=dict(Counter(arms).most_common()),
        tasks=dict(Counter(part.task or "" for part in parts).most_common()),
        queries=tuple(sorted({item.query_id for item in data.train} | _learnt(job.start))),
    )


def _learnt(start: Path | None) -> set[str]:
    """The queries that an earlier student was trained on."""
    if start is None or not (start / RECORD).exists():
        return set()
    return set(StudentRecord.load(start).data.queries)
