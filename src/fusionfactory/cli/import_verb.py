"""`fusionfactory import`: other tools' logs and tables in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fusionfactory.cli.output import json_option, write_json
from fusionfactory.errors import ConfigError

if TYPE_CHECKING:
    from fusionfactory.importers.logs.calls import Log
    from fusionfactory.table import OutcomeTable

__all__ = ["command"]


@click.command(
    "import", epilog="Example: fusionfactory import litellm spend_logs.jsonl --store runs.db"
)
@click.argument("format_name", metavar="FORMAT")
@click.argument("path", type=str)
@click.option("--out", type=click.Path(path_type=Path), help="Parquet file to write.")
@click.option("--store", help="Store to add to: a SQLite path or a database URL.")
@click.option("--column", multiple=True, metavar="OURS=THEIRS",
              help="For the generic format: which column is query, arm, quality, ...")  # fmt: skip
@click.option("--option", multiple=True, metavar="NAME=VALUE",
              help="An option of the format, such as score=helpfulness, scale=1,5, model=gpt-4o, "
                   "task=support or skip_incomplete=true.")  # fmt: skip
@json_option
def command(
    format_name: str,
    path: str,
    out: Path | None,
    store: str | None,
    column: tuple[str, ...],
    option: tuple[str, ...],
    json_path: str | None,
) -> None:
    """Reads PATH, written by another tool, into a table or a store of outcomes.

    FORMAT is one of fusionbench, fusionbench-router, llmrouter, routerdc, routerbench, routerarena,
    llmrouterbench, routellm or generic, or a production log: litellm, langfuse, otel,
    openinference, openai-chat or openai-evals; auto finds it from the file.

    Of a production log the store gets every call, failed ones too, with time and propensity; what
    it holds already is not written again. The table has a cell per query and model.
    """
    from fusionfactory.importers import LOGS, detect, import_log, import_table

    if not out and not store:
        msg = "say where to: --out TABLE.parquet or --store URL"
        raise ConfigError(msg)
    options: dict[str, Any] = {}
    for given in option:
        named, value = _pair(given, "--option", "NAME=VALUE, such as task=support")
        options[named] = _value(value)
    if column:
        options["columns"] = dict(
            _pair(given, "--column", "OURS=THEIRS, such as query=question") for given in column
        )
    name = detect(Path(path)) if format_name == "auto" else format_name
    log = import_log(name, path, **options) if name in LOGS.names() else None
    table = import_table(name, path, **options) if log is None else log.table()
    if out:
        table.write(out)
    written = _store(store, table, log) if store else None
    facts: dict[str, Any] = {
        "format": name, "queries": len(table), "arms": list(table.arm_names),
        "scored": int(table.observed().sum()), "coverage": table.coverage(),
    }  # fmt: skip
    if log is not None:
        facts |= {"calls": log.outcomes.height, "failed": log.failed, "left_out": log.left_out}
        facts |= {} if written is None else {"written": written}
    if json_path:
        write_json(facts, json_path)
    if json_path != "-":
        click.echo(
            f"{len(table)} queries x {len(table.arms)} arms, {facts['scored']} scored outcomes "
            f"({table.observed().mean():.1%} of the cells)"
        )
        if log is not None:
            click.echo("\n".join(_calls(log, written)))


def _store(url: str, table: OutcomeTable, log: Log | None) -> int:
    from fusionfactory.importers.logs.appending import append
    from fusionfactory.store import Store

    with Store(url) as opened:
        return opened.write_table(table) if log is None else append(opened, log)


def _calls(log: Log, written: int | None) -> list[str]:
    """What became of a log's records, a line each."""
    count = log.outcomes.height
    lines = [f"{count} calls, {log.failed} of them failed"]
    if written is not None and written < count:
        lines.append(f"{count - written} were in the store already")
    return lines + [f"left out: {kind} ({number}x)" for kind, number in log.left_out.items()]


def _value(text: str) -> object:
    """A list in JSON, true or false; else the text."""
    if text in {"true", "false"} or text.startswith("["):
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            msg = f"{text!r} is no list: {error.msg}"
            raise ConfigError(msg, field="--option") from None
    return text


def _pair(text: str, option: str, expected: str) -> tuple[str, str]:
    ours, equals, theirs = text.partition("=")
    if not equals or not ours or not theirs:
        msg = f"{text!r} is no mapping: expected {expected}"
        raise ConfigError(msg, field=option)
    return ours, theirs
