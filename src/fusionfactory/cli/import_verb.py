"""`fusionfactory import`: other tools' logs and tables in."""

from __future__ import annotations

from pathlib import Path

import click

from fusionfactory.cli.output import json_option, write_json
from fusionfactory.errors import ConfigError

__all__ = ["command"]


@click.command(
    "import", epilog="Example: fusionfactory import routerbench rb.csv --out log.parquet"
)
@click.argument("format_name", metavar="FORMAT")
@click.argument("path", type=str)
@click.option("--out", type=click.Path(path_type=Path), help="Parquet file to write.")
@click.option("--store", help="Store to add to: a SQLite path or a database URL.")
@click.option("--column", multiple=True, metavar="OURS=THEIRS",
              help="For the generic format: which column is query, arm, quality, ...")  # fmt: skip
@json_option
def command(
    format_name: str,
    path: str,
    out: Path | None,
    store: str | None,
    column: tuple[str, ...],
    json_path: str | None,
) -> None:
    """Reads PATH, written by another tool, into a table of outcomes.

    FORMAT is one of fusionbench, fusionbench-router, llmrouter, routerdc, routerbench, routerarena,
    llmrouterbench, routellm or generic; auto finds it from the file.
    """
    from fusionfactory.importers import detect, import_table

    if not out and not store:
        msg = "say where to: --out TABLE.parquet or --store URL"
        raise ConfigError(msg)
    columns = dict(_pair(item) for item in column)
    options = {"columns": columns} if columns else {}
    name = detect(Path(path)) if format_name == "auto" else format_name
    table = import_table(name, path, **options)
    if out:
        table.write(out)
    if store:
        from fusionfactory.store import Store

        with Store(store) as opened:
            opened.write_table(table)
    facts = {"format": name, "queries": len(table), "arms": list(table.arm_names),
             "scored": int(table.observed().sum()), "coverage": table.coverage()}  # fmt: skip
    if json_path:
        write_json(facts, json_path)
    if json_path != "-":
        click.echo(
            f"{len(table)} queries x {len(table.arms)} arms, {facts['scored']} scored outcomes "
            f"({table.observed().mean():.1%} of the cells)"
        )


def _pair(text: str) -> tuple[str, str]:
    ours, equals, theirs = text.partition("=")
    if not equals or not ours or not theirs:
        msg = f"{text!r} is no mapping: expected OURS=THEIRS, such as query=question"
        raise ConfigError(msg, field="--column")
    return ours, theirs
