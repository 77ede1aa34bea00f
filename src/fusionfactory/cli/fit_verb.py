"""`fusionfactory fit`: fits a router or a plan, measures it on held-out queries and saves it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from fusionfactory.cli.fit_large import fit_and_save_large, measure_router
from fusionfactory.cli.fit_plan import fit_and_save_plan, unfitted_plan
from fusionfactory.cli.large_source import is_large, refuse, refuse_sample
from fusionfactory.cli.output import (
    about,
    console,
    json_option,
    print_caveats,
    read_table,
    write_json,
)
from fusionfactory.missing import MIN_COVERAGE
from fusionfactory.policy import Policy
from fusionfactory.pricing import with_usable_costs

if TYPE_CHECKING:
    from fusionfactory.plans import Plan
    from fusionfactory.routers import Router
    from fusionfactory.table import OutcomeTable

__all__ = ["command"]


@click.command("fit", epilog="Example: fusionfactory fit log.parquet --router stack --out router/")
@click.argument("table")
@click.option("--router", default="stack", show_default=True, help="Router, such as knn:k=20.")
@click.option("--plan", help="A plan instead, such as cascade or vote:most=5.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Directory to write.")
@click.option("--encoder", default="text", show_default=True, help="Text encoder.")
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Of what is fitted and the hold-out.",
)
@click.option("--holdout", type=click.FloatRange(0, 1, max_open=True), default=0.2,
              show_default=True, help="Share of queries to measure on; 0 fits on all.")  # fmt: skip
@click.option("--min-coverage", type=click.FloatRange(0, 1), default=MIN_COVERAGE,
              show_default=True, help="Leave out arms scored on fewer of the queries.")  # fmt: skip
@click.option("--policy", help="Trade-off that the paper's recipes learn, or that a plan runs by.")
@click.option("--sample", type=click.IntRange(1), metavar="N",
              help="Of a table on disk, queries in memory to learn from [20,000].")  # fmt: skip
@click.option("--format", "format_name", help="Format of TABLE [found from the file].")
@json_option
def command(
    table: str,
    router: str,
    plan: str | None,
    out: Path,
    encoder: str,
    seed: int,
    holdout: float,
    min_coverage: float,
    policy: str | None,
    sample: int | None,
    format_name: str | None,
    json_path: str | None,
) -> None:
    """Fits a router on the outcomes in TABLE and saves it in a directory.

    A folder, a glob or a URL of Parquet files may be larger than memory: ridge, clusters, elo and
    task learn from statistics over all of it, other routers from a sample.

    With --plan it fits a plan: arms that are asked in stages until an answer stands. TABLE has to
    hold their responses; `serve` runs a saved plan as a model.
    """
    from fusionfactory.evaluation import covered_arms

    trade_off = Policy.parse(policy) if policy else None
    if is_large(table, format_name):
        refuse(table, plan=plan)
        facts = fit_and_save_large(
            _unfitted_router(router, out, encoder=encoder, seed=seed), table, out, trade_off,
            seed=seed, holdout=holdout, min_coverage=min_coverage, sample=sample,
        )  # fmt: skip
        _tell(facts, json_path)
        return
    refuse_sample(table, sample)
    if plan is None:
        made: Router | Plan = _unfitted_router(router, out, encoder=encoder, seed=seed)
    else:
        _check_router_is_unset()
        made = unfitted_plan(plan, out, encoder=encoder, seed=seed)
    outcomes = with_usable_costs(read_table(table, format_name))
    with about(table):
        outcomes, left_out = covered_arms(outcomes, min_coverage)
        if trade_off is not None and trade_off.judge:
            outcomes = outcomes.judged()
        train, test = outcomes, None
        if holdout:
            split = outcomes.split(test=holdout, seed=seed)
            train, test = split.train, split.test
        _fit_and_save(made, train, test, trade_off, out)
    facts = {
        "plan" if plan else "router": made.name,
        "out": str(out),
        "arms": [arm.name for arm in made.arms_],
        "left_out": left_out,
        "cost_basis": outcomes.cost_basis,
        "queries": len(outcomes),
        "holdout": holdout,
        "metrics": made.metrics_,
    }
    _tell(facts, json_path)


def _tell(facts: dict[str, Any], json_path: str | None) -> None:
    if json_path:
        write_json(facts, json_path)
    where = console(json_path)
    print_caveats(where, facts["cost_basis"], facts["left_out"])
    if json_path != "-":
        name = facts.get("plan", facts.get("router"))
        measured = ", ".join(f"{key} {value:.4g}" for key, value in facts["metrics"].items())
        where.print(
            f"{name} saved in {facts['out']}" + (f"; held out: {measured}" if measured else "")
        )


def _check_router_is_unset() -> None:
    source = click.get_current_context().get_parameter_source("router")
    if source is ParameterSource.COMMANDLINE:
        msg = "--plan and --router exclude each other: fit them one by one, each to its own folder"
        raise click.UsageError(msg)


def _unfitted_router(spec: str, out: Path, **params: Any) -> Router:  # noqa: ANN401  any parameter
    """An unfitted router that may be written to a directory."""
    from fusionfactory.routers import make_router
    from fusionfactory.routers.files import check_directory

    check_directory(out)
    return make_router(spec, **params)


def _fit_and_save(
    made: Router | Plan,
    train: OutcomeTable,
    test: OutcomeTable | None,
    policy: Policy | None,
    out: Path,
) -> None:
    from fusionfactory.plans import Plan
    from fusionfactory.routers import save_router

    if isinstance(made, Plan):
        fit_and_save_plan(made, train, test, policy, out)
        return
    made.fit(train, policy)
    if test is not None:
        measure_router(made, test, policy)
    save_router(made, out)
