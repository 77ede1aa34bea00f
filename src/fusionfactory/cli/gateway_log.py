"""What `learn` and `promote` share: the gateway's log and versions, and a comparison in words."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich import box
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from fusionfactory.config import Config
    from fusionfactory.gateway.learning.promotion import Comparison
    from fusionfactory.gateway.learning.versions import Versions
    from fusionfactory.off_policy import Estimate

__all__ = [
    "arms_of",
    "choices_of",
    "log_options",
    "print_comparison",
    "since_days",
    "versions_of",
]

Command = TypeVar("Command", bound=Callable[..., Any])

_DAY_S = 86_400


def log_options(command: Command) -> Command:
    """Adds `--state`, `--policy`, `--days` and `--allow-endpoint`."""
    for option in (
        click.option("--allow-endpoint", is_flag=True,
                     help="Let encoders send texts to the endpoints that they name."),
        click.option("--days", type=click.FloatRange(0, min_open=True),
                     help="Take the log of the last so many days [all]."),
        click.option("--policy", help="Trade-off to estimate by [what `auto` stands for]."),
        click.option("--state", type=click.Path(path_type=Path),
                     help="The gateway's folder of versions [gateway]."),
    ):  # fmt: skip
        command = option(command)
    return command


@contextmanager
def versions_of(config: Config, state: Path | None, store: str | None) -> Iterator[Versions]:
    """The versions of the gateway's router: its own, or those of all gateways of the store.

    Args:
        config: The settings.
        state: The state folder; None for that of the settings.
        store: Path or URL of the store; None for that of the settings.
    """
    from fusionfactory.gateway.learning.shared_book import shared_book
    from fusionfactory.gateway.learning.versions import Versions
    from fusionfactory.gateway.shared import is_shared
    from fusionfactory.store import Store

    folder, where = state or config.serve.state, store or config.store
    settings = config.model_copy(update={"store": where})
    if where is None or not is_shared(settings):
        yield Versions(folder)
        return
    with Store(where) as opened:
        versions = Versions(folder, shared_book(settings, opened))
        versions.follow()
        yield versions


def since_days(days: float | None) -> float:
    """Unix seconds so many days ago; 0 for None."""
    return 0.0 if days is None else time.time() - days * _DAY_S


def arms_of(config: Config) -> tuple[str, ...] | None:
    """Names of the arms of the settings; None where they name none."""
    if not config.models:
        return None
    from fusionfactory.gateway.fleet import Fleet

    return tuple(Fleet(config).targets)


def choices_of(config: Config) -> tuple[str, ...] | None:
    """Names of what a router of the gateway may choose: arms and plans; None as `arms_of`."""
    arms = arms_of(config)
    return None if arms is None else (*arms, *(plan.name for plan in config.serve.plans))


def print_comparison(where: Console, told: Comparison, candidate: str, incumbent: str) -> None:
    """The estimated gains as a table, and what a reader must know of them."""
    title = f"{candidate} against {incumbent}, policy {told.policy}"
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for heading in ("gain", "estimate", "95 % interval"):
        table.add_column(heading, justify="left" if heading == "gain" else "right")
    worth = told.usd_per_point
    priced = "" if worth is None else f" (a point of quality is worth {worth:.3g} USD)"
    rows: list[tuple[str, Estimate | None, str]] = [
        (f"utility{priced}", told.utility, "+.4f"),
        ("quality", told.quality, "+.4f"),
        ("USD per query", told.cost_usd, "+.3g"),
        ("utility, by SNIPS", told.by_snips, "+.4f"),
        ("utility, by IPS", told.by_ips, "+.4f"),
    ]
    for name, found, form in rows:
        if found is not None:
            table.add_row(
                name, f"{found.value:{form}}", f"{found.low:{form}} to {found.high:{form}}"
            )
    where.print(table)
    seen = told.support
    where.print(
        f"{told.rows} decisions, {seen.scored} of them scored; the two agree on "
        f"{told.agreement:.0%}, and {seen.tried} scored trials are of what would change"
    )
    if told.passed_over:
        where.print(f"{told.passed_over} decisions are left out: one of the two learned their text")
    for warning in seen.warnings():
        where.print(f"[yellow]{warning}[/]")
