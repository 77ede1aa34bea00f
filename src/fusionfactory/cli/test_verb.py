"""`fusionfactory test`: measures a saved router on outcomes that it has not seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fusionfactory.cli.output import (
    about,
    console,
    json_option,
    print_leaderboard,
    read_table,
    write_json,
)
from fusionfactory.evaluation import clean
from fusionfactory.policy import Policy
from fusionfactory.pricing import with_usable_costs

if TYPE_CHECKING:
    from fusionfactory.routers import Router

__all__ = ["command"]


@click.command("test", epilog="Example: fusionfactory test router/ fresh.parquet --policy balance")
@click.argument("router", type=click.Path(path_type=Path))
@click.argument("table")
@click.option("--policy", multiple=True, help="Trade-offs [performance, balance, cost].")
@click.option("--format", "format_name", help="Format of TABLE [found from the file].")
@click.option("--allow-endpoint", is_flag=True,
              help="Let the encoder send queries to the endpoint that it names.")  # fmt: skip
@json_option
def command(
    router: Path,
    allow_endpoint: bool,
    table: str,
    policy: tuple[str, ...],
    format_name: str | None,
    json_path: str | None,
) -> None:
    """Tests the router saved in ROUTER on the outcomes in TABLE.

    Queries that the router was fitted on, by normalised text, are left out.
    """
    from fusionfactory.holdout import measure, unseen
    from fusionfactory.routers import load_router

    loaded = load_router(router, network=allow_endpoint)
    outcomes = with_usable_costs(read_table(table, format_name))
    names = policy or _default_policies(loaded)
    policies = [Policy.parse(name) for name in names]
    with about(table):
        fresh, seen = unseen(loaded, outcomes)
        scenarios = {p.name: [clean(measure(loaded, fresh, p))] for p in policies}
    facts = {"queries": len(fresh), "queries_seen_in_training": seen, "router": loaded.name}
    where = console(json_path)
    if seen:
        where.print(f"[yellow]{seen} queries were seen in training and are left out.[/]")
    for name, rows in scenarios.items():
        print_leaderboard(where, name, rows, has_costs=fresh.has_costs)
    if json_path:
        write_json({"table": facts, "scenarios": scenarios}, json_path)


def _default_policies(router: Router) -> tuple[str, ...]:
    bound = getattr(router, "policy_name_", None)
    if bound:
        return (bound,)
    return ("performance",) if router.cost_.is_empty else ("performance", "balance", "cost")
