"""`fusionfactory demo`: the whole loop on the bundled log, without a model, a key or a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich import box
from rich.table import Table

from fusionfactory.cli.evaluate_verb import print_evaluation
from fusionfactory.cli.output import console, json_option, progress_bar, short, write_json
from fusionfactory.demo import LOGS, bundled_encoder, bundled_log
from fusionfactory.missing import MIN_COVERAGE
from fusionfactory.report import check_path, write_report

if TYPE_CHECKING:
    from rich.console import Console

    from fusionfactory.table import OutcomeTable

__all__ = ["command"]

_SHOWN_PER_TASK = 1


@click.command("demo", epilog="Example: fusionfactory demo --html demo.html")
@click.option("--log", "log_name", type=click.Choice(list(LOGS)), default="fusionbench",
              show_default=True, help="Bundled log.")  # fmt: skip
@click.option("--html", "html_path", type=click.Path(path_type=Path), default="demo.html",
              show_default=True, help="Report to write.")  # fmt: skip
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Splits.")
@json_option
def command(log_name: str, html_path: Path, seeds: int, json_path: str | None) -> None:
    """Compares every router of the base install on a real log of small local models."""
    from fusionfactory.evaluation import DEFAULT_SCENARIOS, covered_arms, evaluate

    check_path(html_path)
    where = console(json_path)
    table, _ = covered_arms(log := bundled_log(log_name), MIN_COVERAGE)
    with bundled_encoder(log_name) as encoder:
        with progress_bar(where) as progress:
            found = evaluate(
                log, scenarios=DEFAULT_SCENARIOS, seeds=seeds, encoder=encoder, progress=progress
            )
        print_evaluation(where, found.to_json())
        _print_decisions(where, table, encoder)
    if json_path:
        write_json(found.to_json(), json_path)
    write_report(found.to_json(), html_path)
    where.print(f"report: {html_path}")


def _print_decisions(where: Console, table: OutcomeTable, encoder: str) -> None:
    """Which arm should answer which query: one held-out query of every task, twice decided."""
    from fusionfactory.policy import SCENARIOS
    from fusionfactory.routers import make_router

    split = table.split(test=0.3, seed=0)
    router = make_router("stack", encoder=encoder).fit(split.train)
    rows = split.test.queries.with_row_index().group_by("task", maintain_order=True)
    picked = rows.head(_SHOWN_PER_TASK)
    texts = picked["query"].to_list()
    best = router.decide(texts, SCENARIOS["performance"])
    balanced = router.decide(texts, SCENARIOS["balance"])
    shown = Table(title="held-out queries and who should answer them", title_justify="left",
                  title_style="bold", box=box.SIMPLE_HEAD)  # fmt: skip
    for heading in ("task", "query", "for the best answer", "expected", "for the balance"):
        shown.add_column(heading, overflow="fold")
    for task, text, one, other in zip(picked["task"], texts, best, balanced, strict=True):
        shown.add_row(task, short(text), one.arm, f"{one.expected_quality:.2f}", other.arm)
    where.print()
    where.print(shown, markup=False)
