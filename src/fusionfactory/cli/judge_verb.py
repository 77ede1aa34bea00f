"""`fusionfactory judge`: an LLM grades and compares the answers in a store."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from fusionfactory.cli.calls import call_progress, runner, store_option
from fusionfactory.cli.engine import engine_option
from fusionfactory.cli.output import console, json_option, write_json
from fusionfactory.cli.reliability import print_agreement, print_pairs
from fusionfactory.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from rich.console import Console

    from fusionfactory.calls import Runner
    from fusionfactory.config import Config
    from fusionfactory.judge import Judge, JudgeSummary

__all__ = ["command"]

_STOPPED = 1


@click.command("judge", epilog="Example: fusionfactory judge --model gpt-4o --budget-usd 5")
@store_option
@click.option("--model", help="The judge: a model of the settings.")
@click.option("--task", multiple=True, help="Only the answers to this task [all].")
@click.option("--arm", multiple=True, help="Only the answers of this arm [all].")
@click.option("--right-only", is_flag=True,
              help="Only answers that the task's metric calls right.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1), help="Ask for so many verdicts at most.")
@click.option("--budget-usd", type=click.FloatRange(0, min_open=True),
              help="Start no call once this run has cost this much.")  # fmt: skip
@click.option("--again", is_flag=True, help="Judge anew what this judge has judged.")
@click.option("--without-target", is_flag=True,
              help="Hide the right answer [shown where there is one].")  # fmt: skip
@click.option("--structured/--no-structured", default=None,
              help="Hold replies to a JSON schema [where the endpoint offers it].")  # fmt: skip
@click.option("--retest", type=click.IntRange(1), metavar="N",
              help="Repeat N of the judge's grades, to see how it agrees with itself.")  # fmt: skip
@click.option("--pairwise", nargs=2, metavar="ARM ARM", help="Compare two arms, both ways round.")
@click.option("--pairs", type=click.IntRange(1), metavar="N",
              help="Compare N pairs of arms per question, drawn by the seed.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="Of the repeats or pairs drawn.")  # fmt: skip
@click.option("--agreement", is_flag=True,
              help="Ask nothing; say how far the judges of the store can be trusted.")  # fmt: skip
@engine_option
@json_option
@click.pass_obj
def command(
    config: Config,
    store: str,
    model: str | None,
    task: tuple[str, ...],
    arm: tuple[str, ...],
    right_only: bool,
    limit: int | None,
    budget_usd: float | None,
    again: bool,
    without_target: bool,
    structured: bool | None,
    retest: int | None,
    pairwise: tuple[str, str] | None,
    pairs: int | None,
    seed: int,
    agreement: bool,
    engine: str,
    json_path: str | None,
) -> None:
    """Grades every answer in the store that the judge has not graded, from 0 to 1.

    Goes on where an earlier run stopped. The grades of the judge that ran last are in force.
    """
    from fusionfactory import judge as judging
    from fusionfactory.store import Store

    modes = {"--retest": retest, "--pairwise": pairwise, "--pairs": pairs, "--agreement": agreement}
    choices = {"--limit": limit, "--again": again, "--without-target": without_target}
    _check_modes(modes, choices, right_only=right_only)
    run: JudgeSummary | None = None
    where = console(json_path)
    with Store(store) as opened, call_progress() as progress:
        shown = False if without_target else None
        if not agreement:
            by = _judge(config, model, structured)
            with _runner(engine, config, by, store) as calls:
                paid: dict[str, Any] = {
                    "budget_usd": budget_usd, "progress": progress, "run": calls,
                }  # fmt: skip
                if retest:
                    run = judging.retest(
                        opened, by, sample=retest, seed=seed, tasks=task, arms=arm, **paid
                    )
                elif pairwise or pairs:
                    run = judging.compare(
                        opened, by, arms=pairwise or arm, pairs_per_query=pairs or 1,
                        with_target=shown, again=again, tasks=task, limit=limit, seed=seed, **paid,
                    )  # fmt: skip
                else:
                    run = judging.judge(
                        opened, by, with_target=shown, again=again, tasks=task, arms=arm,
                        limit=limit, right_only=right_only, **paid,
                    )  # fmt: skip
        graded = judging.agreement(opened, tasks=task, arms=arm) if agreement or retest else []
        compared = judging.pair_report(opened) if agreement or pairwise or pairs else []
    if json_path:
        facts = {
            "run": None if run is None else {**asdict(run), "warnings": list(run.warnings)},
            "agreement": [row.to_json() for row in graded],
            "pairs": [row.to_json() for row in compared],
        }
        write_json(facts, json_path)
    if run is not None:
        _print_run(where, run)
    print_agreement(where, graded)
    print_pairs(where, compared)
    if run is None and not graded and not compared:
        where.print("the store holds no verdict of a judge")
    if run is not None and (run.stopped or (run.failed and not run.judged)):
        raise click.exceptions.Exit(_STOPPED)


def _check_modes(
    modes: Mapping[str, object], choices: Mapping[str, object], *, right_only: bool
) -> None:
    """Raises ConfigError where two things to do are named, or a choice that one of them ignores."""
    given = [name for name, value in modes.items() if value]
    if len(given) > 1:
        msg = f"{' and '.join(given)} are different things to do: name one"
        raise ConfigError(msg)
    idle = [name for name, value in choices.items() if value]
    if modes["--retest"] and idle:
        msg = (
            f"{idle[0]} does nothing beside --retest, which repeats {modes['--retest']} grades as "
            "they were"
        )
        raise ConfigError(msg)
    if right_only and given:
        msg = f"--right-only chooses what to grade; it does nothing beside {given[0]}"
        raise ConfigError(msg)


def _judge(config: Config, name: str | None, structured: bool | None) -> Judge:
    """The judge of this name in the settings, with its client."""
    from fusionfactory.plan import make_judge

    if name is None:
        msg = "name the judge: --model NAME, or `model` under [judge] in the settings"
        raise ConfigError(msg, field="model")
    return make_judge(config, name, structured=structured)


def _runner(engine: str, config: Config, by: Judge, store: str) -> AbstractContextManager[Runner]:
    from fusionfactory.plan import choose

    models = choose("model", config.models, [by.name])
    return runner(engine, config, models, store, structured=by.structured is None)


def _print_run(where: Console, run: JudgeSummary) -> None:
    spent = f"{run.spent_usd:.6g} USD"
    if run.unpriced:
        spent += f", and {run.unpriced} calls of unknown cost"
    notes = {
        "held already": run.held,
        "of them in force again": run.restored,
        "ties of equal responses": run.identical,
        "left": run.left,
    }
    more = "".join(f", {count} {text}" for text, count in notes.items() if count)
    where.print(
        f"{run.judged} verdicts of {run.judge} in {run.seconds:.0f} s, {spent}{more}", markup=False
    )
    for text in (*run.warnings, *run.troubles):
        where.print(text, style="yellow", markup=False, soft_wrap=True)
