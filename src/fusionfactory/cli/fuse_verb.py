"""`fusionfactory fuse`: the levels side by side, and one choice per query among all of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.table import Table

from fusionfactory.cli.findings import print_findings
from fusionfactory.cli.fuse_save import print_saved, saved_facts
from fusionfactory.cli.gains import coloured, print_notes
from fusionfactory.cli.output import (
    about,
    console,
    json_option,
    print_caveats,
    print_leaderboard,
    progress_bar,
    read_table,
    write_json,
)
from fusionfactory.cli.specs import spec_names
from fusionfactory.report import check_path, write_report
from fusionfactory.report.document import read
from fusionfactory.report.figures import MISSING, decimal, usd
from fusionfactory.report.fuse_words import fuse_lead, fuse_remarks
from fusionfactory.report.heatmap import task_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from fusionfactory.fuse import Fusion
    from fusionfactory.report.fuse_document import FuseDocument

__all__ = ["command", "print_fusion"]

_MOST_DOMAINS = 8
"""What a terminal has room for; the report and the JSON have all."""


@click.command(
    "fuse", epilog="Example: fusionfactory fuse log.parquet --seeds 3 --html fusion.html"
)
@click.argument("table")
@click.option("--plan", "plans", multiple=True, callback=spec_names, metavar="A,B",
              help="Plans to compare: cascade, vote:most=5, select:judge=J,log=STORE (see pick); "
              "none for no plans [cascade, vote].")  # fmt: skip
@click.option("--router", default="stack", show_default=True,
              help="Router of the query level and of the fused choice.")  # fmt: skip
@click.option("--arms", multiple=True, metavar="A",
              help="Only this arm; repeat it [all].")  # fmt: skip
@click.option("--student", "students", multiple=True,
              help="A distilled model; repeat it [by what `distill register` wrote].")  # fmt: skip
@click.option("--scenario", "scenarios", multiple=True, metavar="S",
              help="performance, balance, cost, judge, price:USD, budget:USD; repeat it. The "
              "levels' table is of the first [performance].")  # fmt: skip
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True, help="Splits.")
@click.option("--encoder", default="text", show_default=True, help="Default text encoder.")
@click.option("--test-share", type=click.FloatRange(0, 1, min_open=True, max_open=True),
              default=0.3, show_default=True, help="Share of queries tested on.")  # fmt: skip
@click.option("--min-coverage", type=click.FloatRange(0, 1), default=0.9, show_default=True,
              help="Leave out arms that are scored on fewer of the queries.")  # fmt: skip
@click.option("--robustness", is_flag=True,
              help="Try edits and triggers on the fused choice of the first split.")  # fmt: skip
@click.option("--save", "folder", type=click.Path(path_type=Path),
              help="Directory to write plans and the fused choice's router to, fitted on all of "
              "TABLE, for serve.")  # fmt: skip
@click.option("--format", "format_name", help="Format of TABLE [found from the file].")
@click.option("--html", "report_path", type=click.Path(path_type=Path),
              help="Report to write: .html, .md or .json.")  # fmt: skip
@json_option
def command(
    table: str,
    plans: tuple[str, ...],
    router: str,
    arms: tuple[str, ...],
    students: tuple[str, ...],
    scenarios: tuple[str, ...],
    seeds: int,
    encoder: str,
    test_share: float,
    min_coverage: float,
    robustness: bool,
    folder: Path | None,
    format_name: str | None,
    report_path: Path | None,
    json_path: str | None,
) -> None:
    """Compares direct, think, thought, student and routed answers and plans on part of TABLE.

    Everything is learnt on the other part. Plans need the responses in TABLE. With --save the
    gateway gets what was compared: it chooses per query among arms and plans.
    """
    from fusionfactory.fuse import PLANS, fit_fused, fuse, save_fused
    from fusionfactory.fuse.saved import check_directory

    if report_path:
        check_path(report_path)
    if folder:
        check_directory(folder)
    where = console(json_path)
    outcomes = read_table(table, format_name)
    options: dict[str, Any] = {
        "plans": () if plans == ("none",) else plans or PLANS,
        "router": router,
        "encoder": encoder,
        "min_coverage": min_coverage,
    }
    scenarios = scenarios or ("performance",)
    with about(table), progress_bar(where) as progress:
        outcomes = outcomes.select_arms(arms) if arms else outcomes
        found = fuse(
            outcomes,
            students=students,
            scenarios=scenarios,
            seeds=seeds,
            test_share=test_share,
            robustness=robustness,
            progress=progress,
            **options,
        )
    print_fusion(where, found)
    content = found.to_json()
    if folder:
        with about(table), progress_bar(where) as progress:
            fused = fit_fused(outcomes, scenario=scenarios[0], progress=progress, **options)
        save_fused(fused, folder)
        content["saved"] = saved_facts(fused, folder)
        print_saved(where, content["saved"], folder)
    if json_path:
        write_json(content, json_path)
    if report_path:
        write_report(found.to_json(), report_path)
        where.print(f"report: {report_path}", markup=False)


def print_fusion(where: Console, found: Fusion) -> None:
    """Facts, the levels by domain, the plans in words, and the leaderboards without lone arms."""
    content = found.to_json()
    facts = content["table"]
    where.print(
        f"{facts['queries']} queries x {facts['arms']} arms, {facts['tasks']} tasks; tested on "
        f"{facts['test_queries']} queries, {facts['seeds']} split(s), router {facts['router']}"
    )
    print_caveats(where, facts["cost_basis"], facts["arms_left_out"])
    document = read(content)
    if document.fusion is not None:
        _print_levels(where, document.fusion)
    for name, rows in content["scenarios"].items():
        where.print()
        shown = [row for row in rows if row["kind"] != "arm"]
        print_leaderboard(where, name, shown, has_costs=facts["cost_basis"] != "missing")
    print_findings(where, document)
    for name, reason in content["skipped"].items():
        where.print(f"[yellow]{name} was skipped: {reason}.[/]")


def _print_levels(where: Console, document: FuseDocument) -> None:
    where.print()
    where.print(fuse_lead(document), markup=False, soft_wrap=True)
    _print(
        where,
        ("quality", "vs best single", "vs best level per task", "USD/1k"),
        [
            [
                row.label,
                decimal(row.quality),
                MISSING if row.name == document.base else coloured(row.over(document.base)),
                MISSING if row.name == document.fixed else coloured(row.over(document.fixed)),
                usd(row.cost_usd),
            ]
            for row in document.rows
        ],
    )
    if 1 < len(document.domains) <= _MOST_DOMAINS:
        heads = [task_name(domain.name) for domain in document.domains]
        rows = [[row.label, *(decimal(d.quality) for d in row.domains)] for row in document.rows]
        _print(where, heads, rows)
    elif len(document.domains) > _MOST_DOMAINS:
        text = f"{len(document.domains)} domains: they are in the report (--html) and the JSON."
        where.print(text, markup=False)
    for plan in document.plans:
        where.print(f"{document.label(plan.name)}: {' '.join(plan.words)}", markup=False,
                    soft_wrap=True)  # fmt: skip
    print_notes(where, fuse_remarks(document))


def _print(where: Console, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("row", no_wrap=True)
    for heading in heads:
        table.add_column(heading, justify="right", overflow="fold")
    for cells in rows:
        table.add_row(*cells)
    where.print(table)
