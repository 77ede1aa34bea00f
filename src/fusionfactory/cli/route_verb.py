"""`fusionfactory route`: decides which arm answers a query."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click
from rich import box
from rich.table import Table

from fusionfactory.cli.output import console, short
from fusionfactory.errors import FormatError
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
    texts = list(query) or [
        _text(line, row) for row, line in enumerate(sys.stdin.buffer, 1) if line.strip()
    ]
    if not texts:
        msg = "no query: give one as an argument, or JSON lines on standard input"
        raise FormatError(msg)
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


def _text(line: bytes, row: int) -> str:
    """The text of one line: a JSON object with `query` or `messages`, or a JSON string."""
    try:
        # A lone surrogate, which JSON can carry, is no text in UTF-8.
        text = _found(json.loads(line.decode("utf-8-sig")), row)
        return text.encode(errors="replace").decode()
    except (ValueError, RecursionError) as error:
        msg = f"is no JSON: {error}"
        raise FormatError(msg, file="standard input", row=row) from None


def _found(value: object, row: int) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and isinstance(value.get("query"), str):
        return str(value["query"])
    if isinstance(value, dict) and isinstance(value.get("messages"), list):
        return _flatten(value["messages"])
    msg = "expected a JSON object with a text 'query' or a list 'messages'"
    raise FormatError(msg, file="standard input", row=row, field="query")


def _flatten(messages: list[object]) -> str:
    """The texts of the user's messages; content may be a text or a list of parts."""
    texts: list[str] = []
    for message in messages:
        if not isinstance(message, dict) or message.get("role") != "user":
            continue
        content = message.get("content")
        parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
        texts += [
            str(p["text"])
            for p in parts
            if isinstance(p, dict) and p.get("type") == "text" and p.get("text")
        ]
    return "\n".join(texts)
