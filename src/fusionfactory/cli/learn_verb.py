"""`fusionfactory learn`: a new version of the gateway's router, from its own log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fusionfactory.cli.calls import store_option
from fusionfactory.cli.gateway_log import (
    arms_of,
    choices_of,
    log_options,
    print_comparison,
    since_days,
    versions_of,
)
from fusionfactory.cli.output import console, json_option, write_json
from fusionfactory.errors import TableError
from fusionfactory.policy import Policy

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.config import Config

__all__ = ["command"]


@click.command("learn", epilog="Example: fusionfactory learn --shadow")
@store_option
@click.option("--router", help="Router to fit, such as trees:trees=400 [trees].")
@click.option("--encoder", default="text", show_default=True, help="Text encoder.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="Of the router and the queries held out.")  # fmt: skip
@click.option("--holdout", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.5,
              show_default=True, help="Share of the decisions to estimate on.")  # fmt: skip
@click.option("--split", type=click.Choice(["query", "time"]), default="query", show_default=True,
              help="Hold out random queries, or the latest decisions.")  # fmt: skip
@click.option("--shadow", is_flag=True, help="Let the version watch: log what it would choose.")
@log_options
@json_option
@click.pass_obj
def command(
    config: Config,
    store: str,
    router: str | None,
    encoder: str,
    seed: int,
    holdout: float,
    split: Any,  # noqa: ANN401  one of the choices
    shadow: bool,
    state: Path | None,
    policy: str | None,
    days: float | None,
    allow_endpoint: bool,
    json_path: str | None,
) -> None:
    """Fits a router on a part of the gateway's log and estimates on the rest what it would gain.

    Learns from everything in the store that is scored: requests of the gateway, one answer each,
    and what was collected. The version is kept; `promote` lets it decide.
    """
    from fusionfactory.gateway.learning.candidate import DEFAULT_ROUTER, fit_candidate, held_out
    from fusionfactory.gateway.learning.evidence import Rated
    from fusionfactory.gateway.learning.promotion import compare
    from fusionfactory.gateway.log.traffic import Traffic
    from fusionfactory.store import Store

    trade_off = Policy.parse(policy or config.serve.routing.auto)
    ctx = click.get_current_context()
    versions = ctx.with_resource(versions_of(config, state, store))
    current = versions.current
    incumbent = versions.load(current, network=allow_endpoint) if current else None
    with Store(store) as opened:
        logged = Traffic(opened).logged(since_days(days))
        outcomes = opened.table(responses=False)
    held = held_out(logged, holdout, split, seed)
    made = fit_candidate(
        outcomes, logged, held, router=router or DEFAULT_ROUTER, encoder=encoder, seed=seed,
        arms=arms_of(config), incumbent=incumbent,
    )  # fmt: skip
    told, why_not = None, "no version decides yet"
    if current and incumbent:
        decides = Rated(incumbent, versions.find(current).at)
        try:
            told = compare(
                logged, Rated(made.router), decides, trade_off, among=held, asked=choices_of(config)
            )
        except TableError as error:
            why_not = str(error)
    facts: dict[str, Any] = {
        "from": "log",
        "queries": made.queries,
        "answers": made.cells,
        "left_out": made.left_out,
        "against": current,
        "estimate": told and told.to_json(),
    }
    version = versions.add(made.router, facts)
    if shadow:
        versions.shadow(version)
    if json_path:
        write_json({"version": version, **facts, "objections": told and told.objections}, json_path)
    where = console(json_path)
    for name, count in made.left_out.items():
        where.print(f"[yellow]{name} is left out: {count} scored answers are too few.[/]")
    if told and current:
        print_comparison(where, told, version, current)
        for objection in told.objections:
            where.print(f"[yellow]not to be promoted: {objection}[/]")
    else:
        where.print(f"[yellow]no estimate: {why_not}[/]")
    learned = f"{made.router.name}, {made.cells} scored answers to {made.queries} queries"
    if json_path != "-":
        where.print(f"{version}: {learned}" + (", watching" if shadow else ""))
