"""`fusionfactory evaluate`: fits and compares routers."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from fusionfactory.cli.engine import engine_option
from fusionfactory.cli.findings import print_findings
from fusionfactory.cli.gains import print_notes
from fusionfactory.cli.large_source import is_large, refuse, refuse_sample, scan
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
from fusionfactory.leaderboard import BASELINE_ROWS
from fusionfactory.report import check_path, write_report
from fusionfactory.report.document import read
from fusionfactory.report.findings import streamed_notes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import Console

    from fusionfactory.config import Config, ScaleSection
    from fusionfactory.left_out.tasks import Part
    from fusionfactory.table import OutcomeTable
    from fusionfactory.trials import Trials

__all__ = ["command", "print_evaluation"]


def _scenarios(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Lets `--scenario a,b --scenario c` mean three; `price:1e-6,max:0.01` is one."""
    found: list[str] = []
    for part in (part.strip() for value in values for part in value.split(",")):
        if found and part.startswith("max:"):
            found[-1] += f",{part}"
        elif part:
            found.append(part)
    return tuple(found)


@click.command(
    "evaluate", epilog="Example: fusionfactory evaluate log.parquet --router stack,knn --seeds 3"
)
@click.argument("table")
@click.option("--router", multiple=True, callback=spec_names, metavar="A,B",
              help="Routers: stack, knn:k=20, knn-paper [those of the base install].")  # fmt: skip
@click.option("--scenario", multiple=True, callback=_scenarios, metavar="S",
              help="performance, balance, cost, judge, price:USD, budget:USD [four].")  # fmt: skip
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True, help="Splits.")
@click.option("--encoder", default="text", show_default=True, help="Default text encoder.")
@click.option("--test-share", type=click.FloatRange(0, 1, min_open=True, max_open=True),
              default=0.3, show_default=True, help="Share of queries tested on.")  # fmt: skip
@click.option("--min-coverage", type=click.FloatRange(0, 1), default=0.9, show_default=True,
              help="Leave out arms that are scored on fewer of the queries.")  # fmt: skip
@click.option("--robustness", is_flag=True,
              help="Try edits and triggers on the routers of the first split.")  # fmt: skip
@click.option("--leave-out", multiple=True, type=click.Choice(["task", "domain", "arm"]),
              help="Fit without every task, domain or arm, too; repeat it.")  # fmt: skip
@click.option("--labels", multiple=True, type=click.IntRange(0), metavar="K",
              help="Labels that a left-out arm is given back with; repeat it "
              "[0, 25, 100].")  # fmt: skip
@click.option("--sample", type=click.IntRange(1), metavar="N",
              help="Of a table on disk, queries in memory to learn from [20,000].")  # fmt: skip
@click.option("--format", "format_name", help="Format of TABLE [found from the file].")
@click.option("--html", "html_path", type=click.Path(path_type=Path), help="Write a report.")
@engine_option
@json_option
@click.pass_obj
def command(
    config: Config,
    table: str,
    router: tuple[str, ...],
    scenario: tuple[str, ...],
    seeds: int,
    encoder: str,
    test_share: float,
    min_coverage: float,
    robustness: bool,
    leave_out: tuple[str, ...],
    labels: tuple[int, ...],
    sample: int | None,
    format_name: str | None,
    html_path: Path | None,
    engine: str,
    json_path: str | None,
) -> None:
    """Fits routers on one part of TABLE and compares them on the rest.

    A folder, a glob or a URL of Parquet files may be larger than memory. By default those routers
    are compared that learn from statistics over all of it; others learn from a sample.

    With --engine ray every router on every split is a task of the cluster; what --leave-out fits
    is fitted here.
    """
    from fusionfactory.evaluation import DEFAULT_SCENARIOS, evaluate
    from fusionfactory.routers import BASE_ROUTERS, PAPER

    if html_path:
        check_path(html_path)
    where = console(json_path)
    scenarios = scenario or DEFAULT_SCENARIOS
    if is_large(table, format_name):
        # The engine of the settings is for verbs that can use it, not to be asked for here.
        asked = click.get_current_context().get_parameter_source("engine")
        by_ray = engine != "local" and asked is ParameterSource.COMMANDLINE
        refuse(table, robustness=robustness, leave_out=leave_out, engine=by_ray)
        content = _on_disk(
            table, router, where, sample=sample, scenarios=scenarios, seeds=seeds,
            encoder=encoder, test_share=test_share, min_coverage=min_coverage,
        )  # fmt: skip
        _tell(content, where, json_path, html_path)
        return
    refuse_sample(table, sample)
    outcomes = read_table(table, format_name)
    left: dict[str, Any] = {}
    with about(table), _trials(engine, config.scale) as trials, progress_bar(where) as progress:
        if leave_out:
            left = _left_out(
                outcomes, leave_out, labels, seeds, test_share,
                routers=router or ("stack",), scenario=scenarios[0], encoder=encoder,
                min_coverage=min_coverage, progress=progress,
            )  # fmt: skip
        found = evaluate(
            outcomes,
            router or (*BASE_ROUTERS, *PAPER),
            scenarios=scenarios,
            seeds=seeds,
            encoder=encoder,
            test_share=test_share,
            min_coverage=min_coverage,
            robustness=robustness,
            trials=trials,
            progress=progress,
        )
    _tell(found.to_json() | left, where, json_path, html_path)


def _on_disk(
    table: str,
    routers: Sequence[str],
    where: Console,
    *,
    sample: int | None,
    **shared: Any,  # noqa: ANN401  what both ways of evaluating take
) -> dict[str, Any]:
    """An evaluation of a table that is read block by block."""
    from fusionfactory.streamed import SAMPLE_QUERIES, STREAMED, evaluate_large

    with about(table), progress_bar(where) as progress:
        large = scan(table, progress)
        found = evaluate_large(
            large, routers or STREAMED, sample=sample or SAMPLE_QUERIES, progress=progress, **shared
        )
    return found.to_json()


def _tell(
    content: Mapping[str, Any], where: Console, json_path: str | None, html_path: Path | None
) -> None:
    print_evaluation(where, content)
    if json_path:
        write_json(content, json_path)
    if html_path:
        write_report(content, html_path)
        where.print(f"report: {html_path}")


@contextmanager
def _trials(engine: str, settings: ScaleSection) -> Iterator[Trials]:
    """Who fits and asks the routers."""
    if engine == "local":
        from fusionfactory.trials import in_turn

        yield in_turn
        return
    from fusionfactory.scale.cluster import cluster
    from fusionfactory.scale.evaluation import trials_on_ray

    with cluster(settings):
        yield partial(trials_on_ray, settings=settings)


def _left_out(
    outcomes: OutcomeTable,
    parts: Sequence[str],
    labels: Sequence[int],
    seeds: int,
    test_share: float,
    **shared: Any,  # noqa: ANN401  what both ways of leaving out take
) -> dict[str, Any]:
    """The part `left_out` of the JSON. It comes first, so that wrong use is told at once."""
    from fusionfactory.evaluation import clean
    from fusionfactory.left_out import LABELS, leave_arms_out, leave_tasks_out, parts_of

    ways: list[Part] = [by for by in ("task", "domain") if by in parts]
    for by in ways:
        parts_of(outcomes, by)
    found: dict[str, Any] = {}
    for part in dict.fromkeys(parts):
        if part == "arm":
            found[part] = leave_arms_out(
                outcomes, labels=labels or LABELS, seeds=seeds, test_share=test_share, **shared
            )
        else:
            by = "task" if part == "task" else "domain"
            found[part] = leave_tasks_out(outcomes, by=by, **shared)
    return {"left_out": clean(found)}


def print_evaluation(where: Console, content: Mapping[str, Any]) -> None:
    """Facts, one leaderboard per scenario, and what was asked for besides.

    Args:
        where: The console.
        content: `Evaluation.to_json()`, with or without the part `left_out`.
    """
    facts = content["table"]
    where.print(
        f"{facts['queries']} queries x {facts['arms']} arms, {facts['tasks']} tasks; "
        f"{facts['observed_share']:.1%} of the cells scored; tested on {facts['test_queries']} "
        f"queries, {facts['seeds']} split(s), encoder {facts['encoder']}"
    )
    print_caveats(where, facts["cost_basis"], facts["arms_left_out"])
    for name, rows in content["scenarios"].items():
        where.print()
        print_leaderboard(where, name, rows, has_costs=facts["cost_basis"] != "missing")
        best = rows[0]
        verdicts = dict.fromkeys((best["verdict"], best["verdict_reward"]))
        where.print(
            f"{best['router']}, first of {len(rows) - len(BASELINE_ROWS)} on these test queries: "
            f"{'; '.join(verdicts)}.",
            soft_wrap=True,
        )
    document = read(content)
    print_notes(where, streamed_notes(document.table))
    print_findings(where, document)
    for name, reason in content["skipped"].items():
        where.print(f"[yellow]{name} was skipped: {reason}.[/]")
