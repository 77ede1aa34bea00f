"""What the verbs share: reading a table, JSON out, progress, and the leaderboard on a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from fusionfactory.table import OutcomeTable, write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fusionfactory.evaluate import Progress as Report

__all__ = [
    "console",
    "json_option",
    "print_leaderboard",
    "progress_bar",
    "read_table",
    "write_json",
]

Command = TypeVar("Command", bound=Callable[..., Any])

_HEADINGS = (
    "quality",
    "vs best single, 95 %",
    "USD/1k",
    "reward",
    "gap",
    "save",
    "save 1pt",
    "AIQ",
    "top arm",
    "fit s",
)


def json_option(command: Command) -> Command:
    """Adds `--json [FILE]`; without a file the JSON goes to standard output."""
    return click.option(
        "--json",
        "json_path",
        is_flag=False,
        flag_value="-",
        metavar="[FILE]",
        help="Write JSON to FILE, or to standard output.",
    )(command)


def console(json_path: str | None = None) -> Console:
    """Where text goes: standard error while JSON owns standard output."""
    return Console(stderr=json_path == "-", soft_wrap=False)


def write_json(value: object, path: str) -> None:
    """Writes JSON to a file, all or nothing, or to standard output for `-`."""
    text = json.dumps(value, indent=1, allow_nan=False)
    if path == "-":
        click.echo(text)
    else:
        write_atomically(Path(path), lambda p: p.write_text(text + "\n", encoding="utf-8"))


def read_table(path: Path, format_name: str | None = None) -> OutcomeTable:
    """A table from Parquet in the FusionBench layout, or from any format that an importer knows.

    Raises:
        TableError, FormatError: The file cannot be used.
    """
    if format_name is None and path.suffix == ".parquet":
        return OutcomeTable.read(path)
    from fusionfactory.importers import detect, import_table

    return import_table(format_name or detect(path), path)


@contextmanager
def progress_bar(where: Console) -> Iterator[Report]:
    """A bar on a terminal, nothing elsewhere."""
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    err = Console(stderr=True)
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("reading", total=None)

        def report(done: int, total: int, label: str) -> None:
            bar.update(task, completed=done, total=total, description=label)

        yield report
    where.file.flush()


def print_leaderboard(
    where: Console, name: str, rows: Sequence[Mapping[str, Any]], *, has_costs: bool
) -> None:
    """One scenario's rows as a table."""
    table = Table(title=f"{name}", title_justify="left", title_style="bold", pad_edge=False)
    table.add_column("router", no_wrap=True)
    for heading in _HEADINGS:
        if has_costs or heading not in {"USD/1k", "save", "save 1pt", "AIQ"}:
            table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        low, high = row["ci95"]
        mark = "" if low is None else "green" if low > 0 else "red" if high < 0 else ""
        difference = f"{_number(low, '+.3f')} to {_number(high, '+.3f')}"
        cells = [_number(row["quality"], ".4f"), f"[{mark}]{difference}[/]" if mark else difference]
        if has_costs:
            cells.append(_number(row["cost_usd"] and row["cost_usd"] * 1000, ".4g"))
        cells += [_number(row["reward"], ".4f"), _number(row["gap_closed"], ".0%")]
        if has_costs:
            cells += [_number(row["cost_save"], ".0%"), _number(row["cost_save_1pt"], ".0%")]
            cells.append(_number(row["aiq"], ".3f"))
        cells += [_number(row["top_share"], ".0%"), _number(row["fit_s"], ".1f")]
        table.add_row(str(row["router"]), *cells, end_section=_last_router(rows, row))
    where.print(table)


def _last_router(rows: Sequence[Mapping[str, Any]], row: Mapping[str, Any]) -> bool:
    after = rows[list(rows).index(row) + 1 :]
    return bool(after) and after[0]["router"] == "best_single"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
