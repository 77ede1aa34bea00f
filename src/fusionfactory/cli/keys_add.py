"""`fusionfactory keys add`: a key for a client."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from fusionfactory.cli.keys_state import keys_of, state_options
from fusionfactory.cli.output import console, json_option, write_json
from fusionfactory.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fusionfactory.config import Config

__all__ = ["command"]

_AMOUNT = click.FloatRange(0, min_open=True)
_COUNT = click.IntRange(1)


@click.command("add", epilog="Example: fusionfactory keys add alice --usd-per-month 20 --rpm 60")
@click.argument("name")
@click.option("--model", multiple=True, help="A model or a plan it may use; repeat it [all].")
@click.option("--usd-per-day", type=_AMOUNT, help="Budget per day, in UTC [none].")
@click.option("--usd-per-month", type=_AMOUNT, help="Budget per calendar month, in UTC [none].")
@click.option("--rpm", type=_COUNT, help="Requests per minute [no limit].")
@click.option("--tpm", type=_COUNT, help="Tokens per minute [no limit].")
@click.option("--days", type=_AMOUNT, help="Days for which it is good [for ever].")
@click.option("--admin", is_flag=True, help="May see all clients' decisions and promote routers.")
@state_options
@json_option
@click.pass_obj
def command(
    config: Config,
    name: str,
    model: tuple[str, ...],
    usd_per_day: float | None,
    usd_per_month: float | None,
    rpm: int | None,
    tpm: int | None,
    days: float | None,
    admin: bool,
    state: Path,
    store: str | None,
    json_path: str | None,
) -> None:
    """Makes a key for a client and shows it: the gateway keeps its hash alone.

    A budget is checked before a request and charged after it: the requests that are under way when
    it is spent are still answered. Gateways of one PostgreSQL store share the key and its limits.
    """
    _check_models(config, model, has_budget=usd_per_day is not None or usd_per_month is not None)
    with keys_of(config, state, store) as (keys, _):
        key, token = keys.add(
            name,
            models=model or None,
            usd_per_day=usd_per_day,
            usd_per_month=usd_per_month,
            rpm=rpm,
            tpm=tpm,
            expires=None if days is None else datetime.now(UTC) + timedelta(days=days),
            admin=admin,
        )
    if json_path:
        facts = key.model_dump(mode="json", exclude={"sha256", "number"})
        write_json({**facts, "key": token}, json_path)
    if json_path != "-":
        where = console(json_path)
        where.print(f"the key of {name}, which is shown only now:", markup=False)
        where.print(token, markup=False, highlight=False, soft_wrap=True)


def _check_models(config: Config, names: Sequence[str], *, has_budget: bool) -> None:
    """Raises ConfigError for an unknown model, or a budget over one without a known price."""
    from fusionfactory.plan import call_price, choose

    plans = {plan.name for plan in config.serve.plans}
    models = choose("model", config.models, [name for name in names if name not in plans])
    if not plans.isdisjoint(names):
        # A plan's arms are known once it is loaded; any model may be among them.
        models = choose("model", config.models, ())
    unpriced = next((item for item in models if not call_price(config, item).known), None)
    if has_budget and unpriced is not None:
        msg = (
            f"a budget needs the price of every model that the key may use, and that of "
            f"{unpriced.name!r} is unknown: set its input_price and output_price, or name the "
            "models of the key by --model"
        )
        raise ConfigError(msg, field="models.input_price")
