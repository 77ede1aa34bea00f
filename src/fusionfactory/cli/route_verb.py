"""`fusionfactory route`: decides which arm answers a query."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click
from rich import box
from rich.table import Table

from fusionfactory.cli.lines import read_lines
from fusionfactory.cli.output import console, short
from fusionfactory.evaluation import clean
from fusionfactory.policy import Policy

__all__ = ["command"]


@click.command(
    "route", epilog='Example: echo \'{"query": "What is 7*8?"}\' | fusionfactory route router/'
)
@click.argument("router", type=click.Path(path_type=Path))
@click.argument("query", nargs=-1)
@click.option("--policy", default=None, help="Trade-off [performance].")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@click.option("--allow-endpoint", is_flag=True,
              help="Let the encoder send queries to the endpoint that it names.")  # fmt: skip
def command(
    router: Path, query: tuple[str, ...], policy: str | None, as_json: bool, allow_endpoint: bool
) -> None:
    """Decides by the router saved in ROUTER.

    Queries are arguments, or lines on standard input: JSON objects with "query" or "messages".
    """
    from fusionfactory.routers import load_router

    trade_off = Policy.parse(policy) if policy else None
    loaded = load_router(router, network=allow_endpoint)
    texts = [line.text for line in read_lines(query)]
    decisions = loaded.decide(texts, trade_off)
    if as_json:
        for text, decision in zip(texts, decisions, strict=True):
            click.echo(json.dumps({"query": text} | clean(asdict(decision))))
        return
    table = Table("query", "arm", "expected quality", "expected USD", box=box.SIMPLE_HEAD)
    for text, decision in zip(texts, decisions, strict=True):
        table.add_row(short(text), decision.arm, f"{decision.expected_quality:.3f}",
                      f"{decision.expected_cost_usd:.3g}")  # fmt: skip
    console().print(table, markup=False)
