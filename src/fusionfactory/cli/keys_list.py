"""`fusionfactory keys list`: the keys, with what they have spent."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from fusionfactory.cli.keys_state import keys_of, state_options
from fusionfactory.cli.output import console, json_option, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from rich.console import Console

    from fusionfactory.config import Config
    from fusionfactory.gateway.access import Key
    from fusionfactory.gateway.access.meter import Meter

__all__ = ["command"]


@click.command("list", epilog="Example: fusionfactory keys list")
@state_options
@json_option
@click.pass_obj
def command(config: Config, state: Path, store: str | None, json_path: str | None) -> None:
    """Shows every key with its limits and what it has spent; never the key itself.

    Of gateways that share their keys, it is what was spent at all of them.
    """
    from fusionfactory.gateway.access import Meters
    from fusionfactory.gateway.access.usage import all_meters

    with keys_of(config, state, store) as (keys, shared):
        meters = Meters(state) if shared is None else all_meters(shared)
        rows = [_row(key, meters(key.number)) for key in keys.listed()]
    if json_path:
        write_json(rows, json_path)
    where = console(json_path)
    if json_path != "-":
        _print(where, rows)


def _row(key: Key, meter: Meter) -> dict[str, Any]:
    now = time.time()
    facts = key.model_dump(mode="json", exclude={"sha256", "number"})
    day, month = meter.spent_usd(now)
    state = key.state(datetime.fromtimestamp(now, UTC))
    return {**facts, "state": state, "spent_today_usd": day, "spent_this_month_usd": month}


def _print(where: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    from rich import box
    from rich.table import Table

    if not rows:
        where.print("there is no key: fusionfactory keys add NAME")
        return
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("key", "starts with", "state", "models"):
        table.add_column(heading)
    for heading in ("USD today", "of", "this month", "of", "per minute", "tokens"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row["name"] + (" (admin)" if row["admin"] else ""),
            row["start"],
            row["state"],
            "all" if row["models"] is None else ", ".join(row["models"]),
            f"{row['spent_today_usd']:.4g}",
            _limit(row["usd_per_day"]),
            f"{row['spent_this_month_usd']:.4g}",
            _limit(row["usd_per_month"]),
            _limit(row["rpm"]),
            _limit(row["tpm"]),
        )
    where.print(table)


def _limit(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
