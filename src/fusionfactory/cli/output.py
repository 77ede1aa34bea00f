"""What the verbs share: reading a table, JSON out, progress, and the leaderboard on a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import click
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from fusionfactory.atomic import write_atomically
from fusionfactory.errors import TableError
from fusionfactory.pricing import NOMINAL_OUTPUT_TOKENS
from fusionfactory.table import OutcomeTable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fusionfactory.evaluation import Progress as Report

__all__ = [
    "about",
    "console",
    "is_store",
    "json_option",
    "print_caveats",
    "print_leaderboard",
    "progress_bar",
    "read_table",
    "short",
    "write_json",
]

Row: TypeAlias = "Mapping[str, Any]"
Command = TypeVar("Command", bound=Callable[..., Any])

_PAPER_WIDTH = 120
"""Columns where standard output is no terminal."""

_SQLITE = b"SQLite format 3\0"
_NOTHING = 1e-12
_SHOWN_CHARACTERS = 60
_WIDE = 110
"""Columns from which a terminal shows every figure."""


def short(text: str) -> str:
    """A text on one line, cut for a table."""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARACTERS else line[: _SHOWN_CHARACTERS - 1] + "…"


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
    where = Console(stderr=json_path == "-")
    return where if where.is_terminal else Console(stderr=json_path == "-", width=_PAPER_WIDTH)


def write_json(value: object, path: str) -> None:
    """Writes JSON to a file, all or nothing, or to standard output for `-`."""
    text = json.dumps(value, indent=1, allow_nan=False)
    if path == "-":
        click.echo(text)
    else:
        write_atomically(Path(path), lambda p: p.write_text(text + "\n", encoding="utf-8"))


def read_table(source: str, format_name: str | None = None) -> OutcomeTable:
    """A table from a store, Parquet in the FusionBench layout, or what an importer knows.

    Args:
        source: A file or folder, or a store: a SQLite file or a database URL.
        format_name: Of another tool's file; None finds it.

    Raises:
        TableError, FormatError: The file cannot be used.
        StoreError: The store cannot be read or holds no outcome.
    """
    if format_name is None and is_store(source):
        from fusionfactory.store import Store

        with Store(source) as store:
            return store.table()
    path = Path(source)
    if format_name is None and path.suffix == ".parquet":
        return OutcomeTable.read(path)
    from fusionfactory.importers import detect, import_table

    return import_table(format_name or detect(path), path)


def is_store(source: str) -> bool:
    """A database URL, or a file that starts as SQLite's do."""
    if "://" in source:
        return True
    if not Path(source).is_file():
        return False
    with Path(source).open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


@contextmanager
def about(source: str) -> Iterator[None]:
    """Names the file in errors about what a table holds."""
    try:
        yield
    except TableError as error:
        if error.file is not None:
            raise
        raise TableError(error.message, file=source, row=error.row, field=error.field) from None


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


def print_caveats(where: Console, cost_basis: str, left_out: Mapping[str, float]) -> None:
    """What a reader must know of a table's costs and arms before any figure."""
    if cost_basis == "nominal":
        where.print(
            "[yellow]The table has prices but neither costs nor token counts: costs are nominal "
            f"(list prices x (characters/4 in, {NOMINAL_OUTPUT_TOKENS:.0f} out)).[/]"
        )
    for name, share in left_out.items():
        where.print(f"[yellow]{name} is left out: scored on {share:.1%} of the queries.[/]")


def print_leaderboard(where: Console, name: str, rows: Sequence[Row], *, has_costs: bool) -> None:
    """One scenario's rows as a table."""
    columns = dict(_COLUMNS)
    if where.width < _WIDE:
        columns = {name: columns[name] for name in _FEW}
    if not has_costs:
        columns = {name: form for name, form in columns.items() if name not in _COSTLY}
    table = Table(title=name, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("router", no_wrap=True)
    for heading in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        cells = [form(row) for form in columns.values()]
        table.add_row(str(row["router"]), *cells, end_section=_last_router(rows, row))
    where.print(table)


def _interval(row: Row) -> str:
    low, high = row["ci95"]
    text = f"{_number(low, '+.3f')} to {_number(high, '+.3f')}"
    mark = "" if low is None else "green" if low > 0 else "red" if high < 0 else ""
    return f"[{mark}]{text}[/]" if mark else text


def _figure(key: str, form: str, scale: float = 1.0) -> Callable[[Row], str]:
    return lambda row: _number(None if row[key] is None else row[key] * scale, form)


_COLUMNS: dict[str, Callable[[Row], str]] = {
    "quality": _figure("quality", ".4f"),
    "vs best single": _interval,
    "USD/1k": _figure("cost_usd", ".4g", 1000.0),
    "reward": _figure("reward", ".4f"),
    "gap": _figure("gap_closed", ".0%"),
    "save": _figure("cost_save", ".0%"),
    "save 1pt": _figure("cost_save_1pt", ".0%"),
    "AIQ": _figure("aiq", ".3f"),
    "top arm": _figure("top_share", ".0%"),
    "fit s": _figure("fit_s", ".1f"),
}
_FEW = ("quality", "vs best single", "USD/1k", "save 1pt")
_COSTLY = {"USD/1k", "save", "save 1pt", "AIQ"}


def _last_router(rows: Sequence[Row], row: Row) -> bool:
    after = rows[list(rows).index(row) + 1 :]
    return bool(after) and after[0]["router"] == "best_single"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(0.0 if abs(value) < _NOTHING else value, form)
