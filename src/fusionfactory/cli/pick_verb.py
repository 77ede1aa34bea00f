"""`fusionfactory pick`: a judge picks among the answers of arms that disagree, for plans."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fusionfactory.cli.calls import call_progress, print_summary, summary_facts
from fusionfactory.cli.output import about, console, json_option, read_table, write_json
from fusionfactory.errors import ConfigError
from fusionfactory.missing import MIN_COVERAGE

if TYPE_CHECKING:
    from rich.console import Console

    from fusionfactory.calls import Summary
    from fusionfactory.config import Config
    from fusionfactory.plans.select import SelectPlan
    from fusionfactory.plans.verdicts import Tally
    from fusionfactory.table import OutcomeTable

__all__ = ["command"]

_STOPPED = 1


@click.command(
    "pick", epilog="Example: fusionfactory pick log.parquet --plan select:judge=gpt-4o,log=picks.db"
)
@click.argument("table")
@click.option("--plan", "spec", required=True, metavar="SPEC",
              help="The plan: select:judge=MODEL,log=STORE, MODEL one of the settings, STORE the "
              "verdicts' own.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1),
              help="Have verdicts on so many questions at most.")  # fmt: skip
@click.option("--budget-usd", type=click.FloatRange(0, min_open=True),
              help="Start no call once this run has cost this much.")  # fmt: skip
@click.option("--retry-failed", is_flag=True, help="Ask again where a call failed.")
@click.option("--structured/--no-structured", default=None,
              help="Hold replies to a JSON schema [where the endpoint offers it].")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="Of the split on whose train side candidates are chosen.")  # fmt: skip
@click.option("--test-share", type=click.FloatRange(0, 1, max_open=True), default=0.3,
              show_default=True, help="Share of queries that they are not chosen on.")  # fmt: skip
@click.option("--min-coverage", type=click.FloatRange(0, 1), default=MIN_COVERAGE,
              show_default=True, help="Leave out arms scored on fewer of the queries.")  # fmt: skip
@click.option("--format", "format_name", help="Format of TABLE [found from the file].")
@click.option("--dry-run", is_flag=True, help="Ask nothing; say how many calls it would take.")
@json_option
@click.pass_obj
def command(
    config: Config,
    table: str,
    spec: str,
    limit: int | None,
    budget_usd: float | None,
    retry_failed: bool,
    structured: bool | None,
    seed: int,
    test_share: float,
    min_coverage: float,
    format_name: str | None,
    dry_run: bool,
    json_path: str | None,
) -> None:
    """Asks a judge which answer is best wherever the plan's candidates disagree in TABLE.

    Goes on where an earlier run stopped. `fuse` and `fit` then take the plan that it prints.
    """
    from fusionfactory.answers import group_answers
    from fusionfactory.evaluation import covered_arms
    from fusionfactory.plan import make_judge
    from fusionfactory.plans.verdicts import Tally, collect_verdicts, read_verdicts
    from fusionfactory.pricing import with_usable_costs
    from fusionfactory.store import Store

    plan = _plan(spec, table)
    judge = make_judge(config, plan.judge or "", structured=structured)
    where = console(json_path)
    with about(table):
        outcomes, _ = covered_arms(read_table(table, format_name), min_coverage)
        outcomes = with_usable_costs(outcomes)
        plan, spec = _with_candidates(plan, spec, outcomes, test_share, seed)
        answers = group_answers(outcomes)
        lineups = plan.lineups(outcomes, answers)
    run: Summary | None = None
    with Store(plan.log or "") as store:
        if not dry_run:
            with call_progress() as progress:
                run = collect_verdicts(
                    store, plan, outcomes, judge, answers=answers, limit=limit,
                    budget_usd=budget_usd, retry_failed=retry_failed, progress=progress,
                )  # fmt: skip
        tally = Tally.of(lineups, read_verdicts(store, judge.name))
    if json_path:
        ran = None if run is None else summary_facts(run)
        facts = {"plan": spec, "candidates": plan.candidates, "verdicts": asdict(tally)}
        write_json({**facts, "run": ran}, json_path)
    if run is not None:
        print_summary(where, run, "replies")
    _print(where, plan, spec, tally, len(outcomes))
    if run is not None and (run.stopped or 0 < run.done == run.failed):
        raise click.exceptions.Exit(_STOPPED)


def _plan(spec: str, table: str) -> SelectPlan:
    """The plan, not fitted.

    Raises:
        ConfigError: It has no judge, or no store of its verdicts beside the one of the answers.
        UnknownNameError: There is no such plan, or it has no such parameter.
    """
    from fusionfactory.plans import make_plan
    from fusionfactory.plans.select import SelectPlan

    plan = make_plan(spec)
    if not isinstance(plan, SelectPlan):
        msg = f"{spec!r} asks no judge: expected select:judge=MODEL,log=STORE"
        raise ConfigError(msg, field="plan")
    if not plan.judge:
        msg = "no judge is named: set it in the plan, select:judge=MODEL,log=STORE"
        raise ConfigError(msg, field="select:judge")
    if not plan.log:
        msg = f"no store for the verdicts is named: select:judge={plan.judge},log=STORE"
        raise ConfigError(msg, field="select:log")
    if table == plan.log or Path(table).absolute() == Path(plan.log).absolute():
        msg = f"{plan.log} holds the answers: give the verdicts on them a store of their own"
        raise ConfigError(msg, field="select:log")
    return plan


def _with_candidates(
    plan: SelectPlan, spec: str, table: OutcomeTable, test_share: float, seed: int
) -> tuple[SelectPlan, str]:
    """The plan and its specification with the candidates named; a hold-out does not choose them."""
    if plan.candidates:
        return plan, spec
    train = table.split(test=test_share, seed=seed).train if test_share else table
    names = plan.candidates_on(train)
    params = plan.params() | {"candidates": names}
    return type(plan)(**params), f"{spec},candidates={json.dumps(names, separators=(',', ':'))}"


def _print(where: Console, plan: SelectPlan, spec: str, tally: Tally, queries: int) -> None:
    """Where candidates disagree, what is known of the judge there, and the plan to go on with."""
    where.print(
        f"{', '.join(plan.candidates or ())} disagree on {tally.questions} of {queries} questions; "
        f"{tally.answered} have their verdict, {tally.missing} calls are missing",
        markup=False,
    )
    if tally.answered:
        share = tally.decided / tally.answered
        how = "both orders pick the same answer" if plan.orders > 1 else "a pick could be read"
        unread = f"; {tally.unread} could not be read" if tally.unread else ""
        if not plan.synthesis:
            where.print(f"{how} in {tally.decided} ({share:.0%}){unread}", markup=False)
    where.print(f"go on with: --plan {shlex.quote(spec)}", markup=False, soft_wrap=True)
