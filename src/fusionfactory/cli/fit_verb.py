"""`fusionfactory fit`: fits one router, measures it on held-out queries and saves it."""

from __future__ import annotations

from pathlib import Path

import click

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

__all__ = ["command"]


@click.command("fit", epilog="Example: fusionfactory fit log.parquet --router stack --out router/")
@click.argument("table")
@click.option("--router", default="stack", show_default=True, help="Router, such as knn:k=20.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Directory to write.")
@click.option("--encoder", default="text", show_default=True, help="Text encoder.")
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Of the router and the hold-out.",
)
@click.option("--holdout", type=click.FloatRange(0, 1, max_open=True), default=0.2,
              show_default=True, help="Share of queries to measure on; 0 fits on all.")  # fmt: skip
@click.option("--min-coverage", type=click.FloatRange(0, 1), default=MIN_COVERAGE,
              show_default=True, help="Leave out arms scored on fewer of the queries.")  # fmt: skip
@click.option("--policy", help="Trade-off whose labels the paper's recipes learn.")
@click.option("--format", "format_name", help="Format of TABLE [found from the file].")
@json_option
def command(
    table: str,
    router: str,
    out: Path,
    encoder: str,
    seed: int,
    holdout: float,
    min_coverage: float,
    policy: str | None,
    format_name: str | None,
    json_path: str | None,
) -> None:
    """Fits a router on the outcomes in TABLE and saves it in a directory."""
    from fusionfactory.evaluation import clean, covered_arms
    from fusionfactory.holdout import measure
    from fusionfactory.routers import make_router, save_router
    from fusionfactory.routers.files import check_directory

    check_directory(out)
    trade_off = Policy.parse(policy) if policy else None
    made = make_router(router, encoder=encoder, seed=seed)
    outcomes = with_usable_costs(read_table(table, format_name))
    with about(table):
        outcomes, left_out = covered_arms(outcomes, min_coverage)
        if trade_off is not None and trade_off.judge:
            outcomes = outcomes.judged()
        if holdout:
            split = outcomes.split(test=holdout, seed=seed)
            made.fit(split.train, trade_off)
            row = clean(measure(made, split.test, trade_off or Policy.parse("performance")))
            made.calibrate(split.test)
            keys = ("quality", "cost_usd", "gap_closed", "cost_save_1pt")
            made.metrics_ = {key: row[key] for key in keys if row[key] is not None}
        else:
            made.fit(outcomes, trade_off)
    save_router(made, out)
    facts = {
        "router": made.name,
        "out": str(out),
        "arms": [arm.name for arm in made.arms_],
        "left_out": left_out,
        "cost_basis": outcomes.cost_basis,
        "queries": len(outcomes),
        "holdout": holdout,
        "metrics": made.metrics_,
    }
    if json_path:
        write_json(facts, json_path)
    where = console(json_path)
    print_caveats(where, outcomes.cost_basis, left_out)
    if json_path != "-":
        measured = ", ".join(f"{key} {value:.4g}" for key, value in made.metrics_.items())
        where.print(f"{made.name} saved in {out}" + (f"; held out: {measured}" if measured else ""))
