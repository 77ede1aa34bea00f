"""`fusionfactory distill train`: from a selection to a student."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from fusionfactory.cli.calls import duration
from fusionfactory.cli.output import console, json_option, write_json
from fusionfactory.distill.training.settings import LINEAR, METHODS, TrainSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fusionfactory.distill.selection import Selection
    from fusionfactory.distill.training.forecast import Forecast
    from fusionfactory.distill.training.progress import Progress, Report
    from fusionfactory.distill.training.train import Trained

__all__ = ["command"]

_COUNT = click.IntRange(1)
_SHARE = click.FloatRange(0, 1, max_open=True)
_RATE = click.FloatRange(0, min_open=True)
_GIB = 2**30
_DEFAULT = TrainSettings()


@click.command(
    "train",
    epilog="Example: fusionfactory distill train selection --base model.gguf --out students/best",
)
@click.argument("selection", type=click.Path(path_type=Path, file_okay=False))
@click.option("--base", required=True,
              help="What to train: GGUF file, Hugging Face folder, name on the hub.")  # fmt: skip
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False),
              help="Folder of the student; a run that was stopped goes on there.")  # fmt: skip
@click.option("--method", type=click.Choice(METHODS), default=_DEFAULT.method, show_default=True,
              help="Learn the examples, or prefer the chosen answers of the pairs.")  # fmt: skip
@click.option("--adapter", "start", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="Student or adapter to go on from, as dpo after sft.")  # fmt: skip
@click.option("--epochs", type=_RATE, default=_DEFAULT.epochs, show_default=True,
              help="How often every example is seen.")  # fmt: skip
@click.option("--max-steps", type=_COUNT, help="Stop after so many steps instead.")
@click.option("--learning-rate", type=_RATE, help="The highest [sft 2e-4, dpo 2e-5].")
@click.option("--schedule", type=click.Choice(["linear", "cosine", "constant"]),
              default=_DEFAULT.schedule, show_default=True,
              help="How the learning rate falls.")  # fmt: skip
@click.option("--warmup", type=_SHARE, default=_DEFAULT.warmup, show_default=True,
              help="Share of the steps in which it rises.")  # fmt: skip
@click.option("--batch-size", type=_COUNT, default=_DEFAULT.batch_size, show_default=True,
              help="Examples computed at once.")  # fmt: skip
@click.option("--gradient-accumulation", type=_COUNT, default=_DEFAULT.gradient_accumulation,
              show_default=True, help="Batches that make a step.")  # fmt: skip
@click.option("--rank", type=_COUNT, default=_DEFAULT.rank, show_default=True,
              help="Of the adapter's matrices.")  # fmt: skip
@click.option("--alpha", type=_COUNT, default=_DEFAULT.alpha, show_default=True,
              help="Their scale, over the rank.")  # fmt: skip
@click.option("--dropout", type=_SHARE, default=_DEFAULT.dropout, show_default=True,
              help="Of the adapter's inputs.")  # fmt: skip
@click.option("--target", "targets", multiple=True,
              help=f"Name of a matrix to adapt, such as q_proj [{LINEAR}].")  # fmt: skip
@click.option("--max-length", type=_COUNT, default=_DEFAULT.max_length, show_default=True,
              help="Leave out examples of more tokens.")  # fmt: skip
@click.option("--holdout", type=_SHARE, default=_DEFAULT.holdout, show_default=True,
              help="Share of the queries kept for the validation loss.")  # fmt: skip
@click.option("--keep-best", is_flag=True,
              help="Keep the epoch of the least validation loss, not the last.")  # fmt: skip
@click.option("--beta", type=_RATE, default=_DEFAULT.beta, show_default=True,
              help="How close to the reference dpo stays.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="Of order, held-out queries and the adapter's start.")  # fmt: skip
@click.option("--dtype", type=click.Choice(["auto", "float32", "bfloat16"]), default="auto",
              show_default=True, help="Of the base; bfloat16 is the faster one.")  # fmt: skip
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto",
              show_default=True, help="Where to train.")  # fmt: skip
@click.option("--checkpointing/--no-checkpointing", default=None,
              help="Compute activations twice to save memory [on a GPU].")  # fmt: skip
@click.option("--save-steps", type=_COUNT, default=_DEFAULT.save_steps, show_default=True,
              help="Steps between checkpoints.")  # fmt: skip
@click.option("--logging-steps", type=_COUNT, default=_DEFAULT.logging_steps, show_default=True,
              help="Steps to a point of the loss curve.")  # fmt: skip
@click.option("--threads", type=_COUNT, help="Of the CPU [all].")
@click.option("--gguf-kind", type=click.Choice(["f16", "bf16", "f32", "q8_0"]), default="f16",
              show_default=True, help="How the student's GGUF file stores matrices.")  # fmt: skip
@click.option("--merged", is_flag=True,
              help="Also write the whole model for transformers and vLLM.")  # fmt: skip
@click.option("--dry-run", is_flag=True,
              help="Say what it takes in tokens, memory and time, and stop.")  # fmt: skip
@click.option("--probe", is_flag=True,
              help="Time a few steps for that instead of assuming a rate.")  # fmt: skip
@click.option("--restart", is_flag=True, help="Throw away what --out holds of a training.")
@json_option
def command(
    selection: Path,
    base: str,
    out: Path,
    start: Path | None,
    targets: tuple[str, ...],
    gguf_kind: str,
    merged: bool,
    dry_run: bool,
    probe: bool,
    restart: bool,
    json_path: str | None,
    **more: Any,  # noqa: ANN401  the fields of TrainSettings
) -> None:
    """Trains a LoRA adapter on a selection, on the CPU or a GPU, and writes the student.

    Goes on where an earlier run with the same arguments stopped.
    """
    from fusionfactory.distill.selection import Selection
    from fusionfactory.distill.training.train import train

    settings = TrainSettings(targets=targets or LINEAR, **more)
    where = console(json_path)
    chosen = Selection.load(selection)
    told = _forecast(chosen, base, settings, probe=probe, needed=dry_run or probe)
    if told is not None:
        _print_forecast(where, told)
    if dry_run:
        if json_path and told is not None:
            write_json(told.facts(), json_path)
        return
    with _bar() as report:
        trained = train(
            chosen,
            base,
            out,
            settings,
            start=start,
            merged=merged,
            kind=gguf_kind,
            restart=restart,
            progress=report,
        )
    if json_path:
        write_json(trained.record.model_dump(mode="json"), json_path)
    _print(where, trained)


def _forecast(
    chosen: Selection, base: str, settings: TrainSettings, *, probe: bool, needed: bool
) -> Forecast | None:
    """What it takes; None for a model that would have to be fetched to say so."""
    from fusionfactory.distill.training.forecast import forecast

    if not needed and not Path(base).exists():
        return None
    return forecast(chosen, base, settings, probe=probe)


def _print_forecast(where: Console, told: Forecast) -> None:
    what = "pairs" if told.method == "dpo" else "examples"
    held = f", {told.validation} held out" if told.validation else ""
    where.print(
        f"{told.examples} {what}{held}: {told.prompt_tokens} tokens of prompts, "
        f"{told.answer_tokens} of answers",
        markup=False,
    )
    if told.too_long:
        where.print(f"{told.too_long} more are too long", style="yellow", markup=False)
    where.print(
        f"{told.steps} steps, {told.epochs:g} epochs, {told.tokens} tokens and {told.padding:.0%} "
        f"padding; {told.trainable} of {told.parameters} parameters are trained",
        markup=False,
        soft_wrap=True,
    )
    parts = ", ".join(f"{name} {size / _GIB:.2f}" for name, size in told.memory_bytes.items())
    total = sum(told.memory_bytes.values()) / _GIB
    where.print(f"about {total:.2f} GiB at most: {parts} ({told.dtype})", markup=False)
    basis = "measured here" if told.measured else "assumed; --probe measures"
    where.print(
        f"about {duration(told.seconds)} on {told.device} at {told.tokens_per_s:.0f} tokens/s "
        f"({basis})",
        markup=False,
    )


@contextmanager
def _bar() -> Iterator[Report]:
    """Steps done, loss, rate and time left, on a terminal; nothing elsewhere."""
    err = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Bar(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("loading", total=None)

        def report(now: Progress) -> None:
            bar.update(task, completed=now.step, total=now.steps, description=_described(now))

        yield report


def _described(now: Progress) -> str:
    if now.stage != "train":
        return "writing the student"
    parts = [] if now.loss is None else [f"loss {now.loss:.3f}"]
    if now.tokens_per_s is not None and now.left_s is not None:
        parts += [f"{now.tokens_per_s:.0f} tokens/s", f"{duration(now.left_s)} left"]
    return "  ".join(parts) or "starting"


def _print(where: Console, trained: Trained) -> None:
    record, folder = trained.record, trained.folder
    if trained.was_there:
        where.print(f"{folder} holds this student already", markup=False)
    elif trained.resumed_at is not None:
        where.print(f"taken up at step {trained.resumed_at}", markup=False)
    rate = record.tokens / record.seconds if record.seconds else 0.0
    what = "pairs" if record.method == "dpo" else "examples"
    where.print(
        f"{record.steps} steps over {record.data.examples} {what} ({record.tokens} tokens) in "
        f"{duration(record.seconds)}, {rate:.0f} tokens/s on {record.device}",
        markup=False,
        soft_wrap=True,
    )
    if record.losses:
        where.print(f"loss {record.losses[0][1]:.3f} to {record.losses[-1][1]:.3f}", markup=False)
    if record.validation:
        first, last = record.validation[0][1], record.validation[-1][1]
        kept = "" if record.best_step is None else f"; step {record.best_step} is kept"
        where.print(
            f"on {record.data.validation} held-out {what} {first:.3f} to {last:.3f}{kept}",
            markup=False,
        )
    if record.data.too_long:
        where.print(
            f"{record.data.too_long} {what} are longer than {record.settings['max_length']} "
            "tokens and were left out",
            style="yellow",
            markup=False,
        )
    files = (record.files.adapter, record.files.gguf, record.files.merged)
    for name in filter(None, files):
        where.print(f"{folder / name}", markup=False)
