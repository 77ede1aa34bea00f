"""`fusionfactory think build`: from the best past answers to a bank of thought templates."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fusionfactory.cli.calls import call_progress, runner
from fusionfactory.cli.engine import engine_option
from fusionfactory.cli.output import console, json_option, read_table, write_json
from fusionfactory.errors import ThoughtError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from fusionfactory.config import Config
    from fusionfactory.thoughts.writing.build import TextWriter
    from fusionfactory.thoughts.writing.record import BuildSummary
    from fusionfactory.thoughts.writing.write import Summariser

__all__ = ["command"]

_EXTRACTIVE = "extractive"
_STOPPED = 1
_SHOWN_ERRORS = 3
_NO_SPLIT = (
    "the table names no splits: notes are written from every question, so that none of them is "
    "left to test on"
)


@click.command("build", epilog="Example: fusionfactory think build --store runs.db --bank thoughts")
@click.option("--store", required=True,
              help="Past answers: a store, or a table with responses.")  # fmt: skip
@click.option("--bank", required=True, type=click.Path(path_type=Path, file_okay=False),
              help="Folder of the templates; what is there is kept.")  # fmt: skip
@click.option("--writer", default=_EXTRACTIVE, show_default=True,
              help="A model of the settings, or extractive: no model, no cost.")  # fmt: skip
@click.option("--criterion", multiple=True, default=("performance",), show_default=True,
              type=click.Choice(["performance", "judge", "hybrid"]),
              help="Which right answers are the best.")  # fmt: skip
@click.option("--source-arm", multiple=True, help="Only answers of this arm [all].")
@click.option("--task", multiple=True, help="Only questions of this task [all].")
@click.option("--split", default="train", show_default=True,
              help="Only questions of this split, where it is known; all for any.")  # fmt: skip
@click.option("--keep", type=click.IntRange(1), default=3, show_default=True,
              help="Answers that a template is written from.")  # fmt: skip
@click.option("--finalists", type=click.IntRange(1), default=5, show_default=True,
              help="Answers that the judge chooses from under hybrid.")  # fmt: skip
@click.option("--min-quality", type=click.FloatRange(0, 1, min_open=True), default=1.0,
              show_default=True, help="From which quality an answer is right.")  # fmt: skip
@click.option("--near", type=click.FloatRange(0, 1, min_open=True), default=0.95,
              show_default=True, help="Cosine from which two templates are one.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="Of the order of answers that are equally good.")  # fmt: skip
@click.option("--budget-usd", type=click.FloatRange(0, min_open=True),
              help="Start no call once these notes have cost this much.")  # fmt: skip
@click.option("--retry-failed", is_flag=True, help="Ask again what failed.")
@engine_option
@json_option
@click.pass_obj
def command(
    config: Config,
    store: str,
    bank: Path,
    writer: str,
    criterion: tuple[str, ...],
    source_arm: tuple[str, ...],
    task: tuple[str, ...],
    split: str,
    keep: int,
    finalists: int,
    min_quality: float,
    near: float,
    seed: int,
    budget_usd: float | None,
    retry_failed: bool,
    engine: str,
    json_path: str | None,
) -> None:
    """Writes a template for every question that was answered rightly.

    Goes on where an earlier build stopped: what the bank holds is not written, or paid, again.
    """
    from fusionfactory.plan import choose, known_tasks
    from fusionfactory.thoughts.writing.build import build

    by = _writer(config, writer)
    table = read_table(store)
    where = console(json_path)
    # Only an LLM's notes are calls.
    engine = "local" if writer == _EXTRACTIVE else engine
    models = [] if writer == _EXTRACTIVE else choose("model", config.models, [writer])
    with (
        _about(store),
        runner(engine, config, models, str(bank)) as run,
        call_progress() as progress,
    ):
        summary = build(
            table, by, bank, criteria=criterion, source_arms=source_arm, keep=keep,
            finalists=finalists, min_quality=min_quality, seed=seed,
            split=None if split == "all" else split, only=task,
            tasks=known_tasks(config, table.tasks.tolist()), near=near,
            budget_usd=budget_usd, retry_failed=retry_failed, progress=progress, run=run,
        )  # fmt: skip
    if json_path:
        write_json(asdict(summary), json_path)
    _print(where, summary, bank)
    if split != "all" and table.queries["split"].is_null().all():
        where.print(_NO_SPLIT, style="yellow", markup=False, soft_wrap=True)
    nothing = summary.failed and not summary.written
    if summary.stopped or nothing:
        raise click.exceptions.Exit(_STOPPED)


@contextmanager
def _about(source: str) -> Iterator[None]:
    """Names the table in errors about what it holds."""
    try:
        yield
    except ThoughtError as error:
        if error.file is not None:
            raise
        raise ThoughtError(error.message, file=source, row=error.row, field=error.field) from None


def _writer(config: Config, name: str) -> Summariser | TextWriter:
    if name == _EXTRACTIVE:
        from fusionfactory.thoughts.extract.writer import ExtractiveWriter

        return ExtractiveWriter()
    from fusionfactory.plan import call_price, choose, endpoint_name, make_clients
    from fusionfactory.thoughts.writing.write import Summariser

    (model,) = choose("model", config.models, [name])
    endpoint = endpoint_name(model)
    return Summariser(
        model=model.model or model.name,
        client=lambda: make_clients(config, [model])[endpoint],
        price=call_price(config, model),
        name=model.name,
        endpoint=endpoint,
        params=model.params,
    )


def _print(where: Console, summary: BuildSummary, bank: Path) -> None:
    spent = f"{summary.spent_usd:.6g} USD"
    if summary.unpriced:
        spent += f", and {summary.unpriced} calls of unknown cost"
    where.print(
        f"{summary.written} notes by {summary.writer} in {summary.seconds:.0f} s, {spent}; "
        f"{bank} holds {summary.templates} templates",
        markup=False,
    )
    facts = {
        "questions without a right answer": summary.unanswered,
        "notes there already": summary.held,
        "notes written anew, for the first gave an answer away": summary.again,
        "of these without the sentences that still did": summary.cut,
        "near-duplicates merged": summary.merged,
    }
    for text, count in facts.items():
        if count:
            where.print(f"{count} {text}", markup=False)
    for text in _warnings(summary):
        where.print(text, style="yellow", markup=False, soft_wrap=True)


def _warnings(summary: BuildSummary) -> list[str]:
    said = []
    if summary.leaky:
        kinds = ", ".join(f"{kind} {count}" for kind, count in summary.kinds.items())
        said.append(f"{summary.leaky} notes are dropped, for they give an answer away: {kinds}")
    if summary.unusable:
        said.append(f"{summary.unusable} replies hold no note")
    if summary.failed:
        said.append(f"{summary.failed} calls failed: --retry-failed asks those again")
        said += [f"  {n} x {error}" for error, n in list(summary.errors.items())[:_SHOWN_ERRORS]]
    said += [f"stopped: {reason}" for reason in summary.stopped]
    if summary.left:
        said.append(f"{summary.left} notes are left: the next build goes on there")
    return said
