"""`fusionfactory onboard`: a saved router learns a new arm from a few outcomes, without a refit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fusionfactory.cli.output import about, console, json_option, read_table, write_json
from fusionfactory.errors import ConfigError, TableError
from fusionfactory.pricing import with_usable_costs
from fusionfactory.types import Arm

if TYPE_CHECKING:
    from fusionfactory.onboarding import GrownRouter
    from fusionfactory.routers import Router
    from fusionfactory.table import OutcomeTable

__all__ = ["command"]

_ASKED = ("query_id", "query", "task", "domain", "target", "metric")


@click.command(
    "onboard",
    epilog="Example: fusionfactory onboard router/ log.parquet --arm new-model --out wider/",
)
@click.argument("router", type=click.Path(path_type=Path))
@click.argument("table", required=False)
@click.option("--arm", help="Name of the new arm.")
@click.option("--out", type=click.Path(path_type=Path), help="Directory to write.")
@click.option("--published", multiple=True, metavar="TASK=SCORE",
              help="Its mean quality there, 0 to 1, told elsewhere; or all=SCORE.")  # fmt: skip
@click.option("--input-price", type=click.FloatRange(0), help="USD per million tokens [TABLE's].")
@click.option("--output-price", type=click.FloatRange(0), help="USD per million tokens [TABLE's].")
@click.option("--description", help="What it is; likens it to the known arms [TABLE's].")
@click.option("--choose", type=click.IntRange(1), metavar="N",
              help="Add nothing: choose N questions of TABLE to ask the new arm.")  # fmt: skip
@click.option("--questions", type=click.Path(path_type=Path), help="JSONL to write them to.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the choice.")
@click.option("--format", "format_name", help="Format of TABLE [found from the file].")
@click.option("--allow-endpoint", is_flag=True,
              help="Let the encoder send queries to the endpoint that it names.")  # fmt: skip
@json_option
def command(
    router: Path,
    table: str | None,
    arm: str | None,
    out: Path | None,
    published: tuple[str, ...],
    input_price: float | None,
    output_price: float | None,
    description: str | None,
    choose: int | None,
    questions: Path | None,
    seed: int,
    format_name: str | None,
    allow_endpoint: bool,
    json_path: str | None,
) -> None:
    """Adds an arm to the router saved in ROUTER, and saves the wider one.

    TABLE holds what the new arm did on some queries; a hundred are a good start. Where it holds the
    known arms' outcomes on them too, they say more. Without TABLE the arm is known by its published
    scores, description and prices alone.
    """
    from fusionfactory.routers import load_router
    from fusionfactory.routers.files import check_directory

    _check_use(table, arm, out, choose, questions)
    if out is not None:
        check_directory(out)
    loaded = load_router(router, network=allow_endpoint)
    outcomes = None if table is None else with_usable_costs(read_table(table, format_name))
    if choose and questions and outcomes:
        _ask(loaded, outcomes, choose, questions, seed, json_path)
        return
    new = Arm.parse(arm or "", input_price=input_price, output_price=output_price,
                    description=description)  # fmt: skip
    if outcomes is not None:
        with about(str(table)):
            new, outcomes = _described(new, outcomes)
    grown = _grow(loaded, new, outcomes, _scores(published), table)
    _save(grown, out or Path(), json_path)


def _check_use(
    table: str | None,
    arm: str | None,
    out: Path | None,
    choose: int | None,
    questions: Path | None,
) -> None:
    """Raises UsageError where options do not go together."""
    if choose and (table is None or questions is None):
        msg = "--choose needs TABLE to choose from and --questions FILE to write to"
        raise click.UsageError(msg)
    if questions and not choose:
        msg = "--questions goes with --choose N"
        raise click.UsageError(msg)
    if choose and (arm or out):
        msg = "--choose adds nothing: give --arm and --out when the new arm has answered"
        raise click.UsageError(msg)
    if not choose and (arm is None or out is None):
        msg = "--arm NAME and --out DIR are missing: what to add, and where to save the router"
        raise click.UsageError(msg)


def _ask(
    router: Router,
    table: OutcomeTable,
    count: int,
    questions: Path,
    seed: int,
    json_path: str | None,
) -> None:
    """Writes the questions to ask the new arm."""
    from fusionfactory.jsonl import write_jsonl
    from fusionfactory.onboarding import choose_queries

    rows = choose_queries(router, table, count, seed=seed)
    asked = table.queries[rows].select(_ASKED)
    write_jsonl(({k: v for k, v in row.items() if v is not None}
                 for row in asked.iter_rows(named=True)), questions)  # fmt: skip
    if json_path:
        write_json({"questions": asked["query_id"].to_list(), "file": str(questions)}, json_path)
    console(json_path).print(f"{len(asked)} questions for the new arm in {questions}", markup=False)


def _scores(published: tuple[str, ...]) -> dict[str, float]:
    """Task to score.

    Raises:
        ConfigError: One is not TASK=SCORE.
    """
    scores = {}
    for text in published:
        task, _, score = text.rpartition("=")
        try:
            scores[task] = float(score)
        except ValueError:
            task = ""
        if not task:
            msg = f"{text!r} is no TASK=SCORE, such as gsm8k=0.92"
            raise ConfigError(msg, field="published")
    return scores


def _described(arm: Arm, table: OutcomeTable) -> tuple[Arm, OutcomeTable]:
    """The arm and the table, each with what was told of the arm on the command line or else there.

    Raises:
        TableError: The arm is not in the table.
    """
    told = table.select_arms([arm.name]).arms[0]
    arm = replace(
        arm,
        input_price=told.input_price if arm.input_price is None else arm.input_price,
        output_price=told.output_price if arm.output_price is None else arm.output_price,
        description=arm.description or told.description,
    )
    arms = tuple(arm if other.name == arm.name else other for other in table.arms)
    return arm, replace(table, arms=arms)


def _grow(
    router: Router,
    arm: Arm,
    outcomes: OutcomeTable | None,
    published: dict[str, float],
    table: str | None,
) -> GrownRouter:
    from fusionfactory.onboarding import GrownRouter

    grown = router if isinstance(router, GrownRouter) else GrownRouter.of(router)
    try:
        return grown.add_arm(arm, outcomes, published=published)
    except TableError as error:
        if table is None or error.field in {"published", "arms"}:
            raise
        raise TableError(error.message, file=table, field=error.field) from None


def _save(grown: GrownRouter, out: Path, json_path: str | None) -> None:
    """Saves the router and says what it expects of the new arm."""
    from fusionfactory.routers import save_router

    grown.metrics_ = {}  # those of the router before tell nothing of this one
    save_router(grown, out)
    arm, doubt = grown.arms_[-1].name, grown.newcomers_[-1].doubt_
    expected = grown.estimate(grown.calibration_).quality.mean(axis=0)
    best = grown.arms_[grown.best_single_].name
    facts = {
        "arm": arm,
        "out": str(out),
        "arms": [other.name for other in grown.arms_],
        "expected_quality": float(expected[-1]),
        "doubt": doubt,
        "best_single": best,
    }
    if json_path:
        write_json(facts, json_path)
    where = console(json_path)
    where.print(f"{arm}: expected quality {expected[-1]:.3f}, give or take {doubt:.3f}; the best "
                f"single arm is {best}; saved in {out}", markup=False)  # fmt: skip
