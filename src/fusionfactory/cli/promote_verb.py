"""`fusionfactory promote`: lets another version of the gateway's router decide."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.table import Table

from fusionfactory.cli.gateway_log import (
    choices_of,
    log_options,
    print_comparison,
    since_days,
    versions_of,
)
from fusionfactory.cli.output import console, json_option, write_json
from fusionfactory.errors import ConfigError
from fusionfactory.policy import Policy

if TYPE_CHECKING:
    from rich.console import Console

    from fusionfactory.config import Config
    from fusionfactory.gateway.learning.book import Version
    from fusionfactory.gateway.learning.shadow import Watched
    from fusionfactory.gateway.learning.versions import Versions

__all__ = ["command"]

_REFUSED = 1
_SHOWN_MOVES = 3


@click.command("promote", epilog="Example: fusionfactory promote v2")
@click.argument("version", required=False)
@click.option(
    "--add", "saved", type=click.Path(path_type=Path), metavar="ROUTER",
    help="Add the router that `fit` or `fuse` saved in this folder, and take it for VERSION.",
)  # fmt: skip
@click.option("--store", help="Store of the gateway's log: a SQLite path or a database URL.")
@click.option("--rollback", is_flag=True, help="Go back to the version that decided before.")
@click.option("--list", "listing", is_flag=True, help="Change nothing; list the versions.")
@click.option("--force", is_flag=True, help="Promote without an estimate, or against it.")
@log_options
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    version: str | None,
    saved: Path | None,
    store: str | None,
    rollback: bool,
    listing: bool,
    force: bool,
    state: Path | None,
    policy: str | None,
    days: float | None,
    allow_endpoint: bool,
    json_path: str | None,
) -> None:
    """Promotes VERSION, or the newest, if the log says that it does better than the current one.

    It is estimated on the decisions that neither version learned from, and promoted where the lower
    bound of the gain is above 0. A running gateway changes over within seconds, and so does every
    other one that shares its store.
    """
    if rollback + listing + (version is not None) + (saved is not None) > 1:
        msg = "VERSION, --add, --rollback and --list exclude each other"
        raise click.UsageError(msg)
    config: Config = ctx.obj
    versions = ctx.with_resource(versions_of(config, state, store))
    where = console(json_path)
    if listing:
        return _list(where, versions, json_path)
    told = None
    before = versions.current
    if rollback:
        after: str | None = versions.rollback()
    else:
        if saved is not None:
            judged = before is not None and not force
            version = _added(versions, saved, config, where, store,
                             judged=judged, network=allow_endpoint)  # fmt: skip
        chosen = versions.find(version) if version else _newest(versions)
        if not force and before and chosen.id != before:
            trade_off = Policy.parse(policy or config.serve.routing.auto)
            told = _estimated(versions, chosen, before, store, trade_off,
                              since_days(days), allow_endpoint, choices_of(config))  # fmt: skip
            print_comparison(where, told.comparison, chosen.id, before)
            _print_moves(where, told)
            versions.note(chosen.id, {"against": before, "estimate": told.to_json()})
        after = before if told and told.comparison.objections else versions.promote(chosen.id)
    objections = told.comparison.objections if told else ()
    if json_path:
        facts: dict[str, Any] = {"before": before, "current": after, "objections": objections}
        facts |= {"added": version} if saved is not None else {}
        write_json(facts | {"estimate": told and told.to_json()}, json_path)
    for objection in objections:
        where.print(f"[yellow]not promoted: {objection}[/]")
    if json_path != "-":
        where.print(f"{after} decides" + ("" if after == before else f", in place of {before}"))
    if objections:
        ctx.exit(_REFUSED)
    return None


def _added(
    versions: Versions,
    saved: Path,
    config: Config,
    where: Console,
    store: str | None,
    *,
    judged: bool,
    network: bool,
) -> str:
    from fusionfactory.gateway.learning.saved import saved_router

    if judged:
        _log_of(store)
    router = saved_router(saved, choices_of(config), network=network)
    added = versions.add(router, {"from": str(saved)})
    where.print(f"added as {added}")
    return added


def _newest(versions: Versions) -> Version:
    found = versions.list()
    if not found:
        msg = (
            "there is no version yet: `fusionfactory learn` makes one, and `promote --add` takes "
            "one in that `fit` saved"
        )
        raise ConfigError(msg, file=versions.folder)
    return found[-1]


def _estimated(
    versions: Versions,
    chosen: Version,
    current: str,
    store: str | None,
    policy: Policy,
    since: float,
    network: bool,
    asked: tuple[str, ...] | None,
) -> Watched:
    """What the log says of a version against the current one."""
    from fusionfactory.gateway.learning.evidence import Rated
    from fusionfactory.gateway.learning.shadow import watch
    from fusionfactory.gateway.log.traffic import Traffic
    from fusionfactory.store import Store

    with Store(_log_of(store)) as opened:
        logged = Traffic(opened).logged(since)
    candidate, incumbent = (
        Rated(versions.load(one.id, network=network), one.at)
        for one in (chosen, versions.find(current))
    )
    return watch(logged, candidate, incumbent, policy, asked=asked)


def _log_of(store: str | None) -> str:
    if store is None:
        msg = "the gateway's log is needed to judge by: give --store, or promote with --force"
        raise ConfigError(msg, field="store")
    return store


def _print_moves(where: Console, told: Watched) -> None:
    for old, new, share in told.moves[:_SHOWN_MOVES]:
        where.print(f"{share:.1%} of all decisions move from {old} to {new}")


def _list(where: Console, versions: Versions, json_path: str | None) -> None:
    current, shadows, found = versions.current, versions.shadows, versions.list()
    roles = dict.fromkeys(shadows, "watches") | ({current: "decides"} if current else {})
    if json_path:
        rows = [{**one.model_dump(mode="json"), "role": roles.get(one.id)} for one in found]
        write_json({"current": current, "shadows": shadows, "versions": rows}, json_path)
    if json_path == "-":
        return
    table = Table("version", "router", "arms", "added", "role", box=box.SIMPLE_HEAD)
    for one in found:
        added = datetime.fromtimestamp(one.at, UTC).strftime("%Y-%m-%d %H:%M UTC")
        table.add_row(one.id, one.router, str(len(one.arms)), added, roles.get(one.id, ""))
    where.print(table)
