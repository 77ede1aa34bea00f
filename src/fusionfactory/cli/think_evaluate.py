"""`fusionfactory think evaluate`: templates against their controls, and the gates."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.table import Table

from fusionfactory.cli.gains import coloured, print_notes
from fusionfactory.cli.output import (
    about,
    console,
    json_option,
    read_table,
    write_json,
)
from fusionfactory.report import check_path, write_report
from fusionfactory.report.figures import MISSING, decimal, points, significant, usd
from fusionfactory.report.thoughts_document import read_thoughts
from fusionfactory.report.thoughts_words import lead, remarks, rule_words
from fusionfactory.thoughts.gating.gate import BASELINE
from fusionfactory.thoughts.gating.ground import FORMAT
from fusionfactory.types import Query

if TYPE_CHECKING:
    from rich.console import Console

    from fusionfactory.report.rows import RowFacts
    from fusionfactory.report.thoughts_document import ModelFacts, ThoughtsDocument
    from fusionfactory.table import OutcomeTable
    from fusionfactory.thoughts.gating.gate import Gate
    from fusionfactory.types import FloatArray

__all__ = ["command", "print_comparison"]

_ODD = re.compile(r"[^\w.-]")


@click.command(
    "evaluate", epilog="Example: fusionfactory think evaluate --store runs.db --html thoughts.html"
)
@click.option("--store", required=True,
              help="Outcomes of the arms to compare: a store, or a table.")  # fmt: skip
@click.option("--bank", type=click.Path(path_type=Path, file_okay=False),
              help="Folder of the templates: lets the gates use similarity.")  # fmt: skip
@click.option("--model", multiple=True, help="Only this model [all with several strategies].")
@click.option("--test-split", default="test", show_default=True,
              help="Split that is shown; gates learn on train and validation.")  # fmt: skip
@click.option("--risk", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.1,
              show_default=True, help="Chance that a gate errs on a task.")  # fmt: skip
@click.option("--min-coverage", type=click.FloatRange(0, 1), default=0.9, show_default=True,
              help="Leave out arms that are scored on less of some task.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="Of the resamples.")  # fmt: skip
@click.option("--gates", type=click.Path(path_type=Path, file_okay=False),
              help="Folder to save the gates in, as MODEL.gated.json.")  # fmt: skip
@click.option("--html", "html_path", type=click.Path(path_type=Path), help="Write a report.")
@click.option("--allow-endpoint", is_flag=True,
              help="Let the index's encoder use the endpoint that it names.")  # fmt: skip
@json_option
def command(
    store: str,
    bank: Path | None,
    model: tuple[str, ...],
    test_split: str,
    risk: float,
    min_coverage: float,
    seed: int,
    gates: Path | None,
    html_path: Path | None,
    allow_endpoint: bool,
    json_path: str | None,
) -> None:
    """Compares a model's prompts with templates with its other prompts, on test questions.

    Collect the strategies of interest first, on train and test questions: direct, think, format,
    few-shot:K, random:K, thought:K. Gates choose between them by what train questions say.
    """
    from fusionfactory.pricing import with_usable_costs
    from fusionfactory.thoughts.gating.comparison import compare

    if html_path:
        check_path(html_path)
    where = console(json_path)
    table = with_usable_costs(read_table(store))
    similarity = None if bank is None else _similarity(table, bank, network=allow_endpoint)
    with about(store):
        found = compare(
            table,
            models=model,
            test_split=test_split,
            similarity=similarity,
            risk=risk,
            min_coverage=min_coverage,
            seed=seed,
        )
    print_comparison(where, found.document)
    if json_path:
        write_json(found.document, json_path)
    if html_path:
        write_report(found.document, html_path)
        where.print(f"report: {html_path}", markup=False)
    if gates:
        _save(where, found.gates, gates)


def _similarity(table: OutcomeTable, bank: Path, *, network: bool) -> FloatArray:
    """(n,) of every query to the nearest template that it may see."""
    from fusionfactory.thoughts.prompter import Prompter

    names = ("query_id", "query", "task", "domain")
    queries = [Query(*row) for row in table.queries.select(names).iter_rows()]
    return Prompter.load(bank, network=network).similarity(queries)


def _save(where: Console, gates: dict[str, dict[str, Gate]], folder: Path) -> None:
    for model, named in gates.items():
        for name, gate in named.items():
            path = folder / f"{_ODD.sub('_', model)}.{name}.json"
            gate.save(path)
            where.print(f"gate: {path}", markup=False)


def print_comparison(where: Console, content: dict[str, Any]) -> None:
    """Per model the rows, what the gates do, the claims, and what was left out."""
    document = read_thoughts(content)
    for model in document.models:
        _print_model(where, model, document)


def _print_model(where: Console, model: ModelFacts, document: ThoughtsDocument) -> None:
    where.print()
    where.print(lead(model), markup=False, soft_wrap=True)
    table = Table(box=box.SIMPLE_HEAD)
    priced = any(row.cost_usd is not None for row in model.rows)
    heads = (
        "quality",
        "vs zero-shot",
        "vs format-only",
        "USD/1k" if priced else "tokens in",
    )
    table.add_column("row")
    for heading in heads:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("worst task", overflow="fold")
    last = [row for row in model.rows if row.kind != "gate"][-1]
    for row in model.rows:
        table.add_row(*_cells(row, priced=priced), end_section=row is last)
    where.print(table)
    for name, gate in model.gates.items():
        used: dict[str, list[str]] = {}
        for rule in gate.rules:
            used.setdefault(rule_words(model, rule), []).append(rule.task or "(no task)")
        parts = (f"{words} on {', '.join(tasks)}" for words, tasks in used.items())
        where.print(f"{name} uses {'; '.join(parts)}.", markup=False, soft_wrap=True)
    print_notes(where, remarks(model, document))


def _cells(row: RowFacts, *, priced: bool) -> list[str]:
    worst = row.worst_task
    return [
        row.label,
        decimal(row.quality),
        MISSING if row.name == BASELINE else coloured(row.over(BASELINE)),
        MISSING if row.name == FORMAT else coloured(row.over(FORMAT)),
        usd(row.cost_usd) if priced else significant(row.input_tokens),
        MISSING if row.name == BASELINE else f"{worst.name} {points(worst.gain)}",
    ]
