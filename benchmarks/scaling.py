"""What a million outcomes cost, and how that grows: rows per second, memory and disk by size.

    python benchmarks/scaling.py TABLE --out scaling.json [--sizes 1e4 1e5 1e6 1e7]
        [--postgres URL] [--in-memory-up-to 1e6] [--plot scaling.svg] [--markdown scaling.md]

TABLE is a Parquet file of real outcomes (`fusionbench9.parquet`), which are repeated with ids and
texts of their own. Every size goes through the same steps, each in a process of its own: generated
as Parquet, gathered, scanned, fitted and evaluated there; written to SQLite and PostgreSQL, and
read back; fitted in memory. The URL is that of a server: every size gets a database of its own
there, which is dropped afterwards; without it, PostgreSQL is left out.

CPU seconds are the process's own: what a PostgreSQL server uses is not in them. Other work on the
machine lengthens the wall-clock seconds alone.

An exponent b says that a step takes rows^b: 1 is proportional. It is the slope of the logarithms
over all sizes, with a 95 % interval by Student's t; that of the last two sizes stands beside it,
for what a process costs before it does anything hides the growth at the small end.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa
from scipy import stats

from scaling_plot import draw
from scaling_steps import GATHERED, SOURCE

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 2**20


def run(step: str, folder: Path, **options: object) -> dict[str, Any]:
    """A step's figures; what it prints beside them goes to standard error."""
    script = Path(__file__).with_name("scaling_steps.py")
    words = [f"--{name}={value}" for name, value in options.items() if value is not None]
    done = subprocess.run(
        [sys.executable, str(script), step, str(folder), *words],
        stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        return {"failed": done.returncode}
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def disk_mib(path: Path) -> float:
    """Of a file with its journals, or of a folder."""
    files = path.rglob("*") if path.is_dir() else path.parent.glob(f"{path.name}*")
    return sum(file.stat().st_size for file in files if file.is_file()) / MIB


@contextmanager
def database(server: str, name: str) -> Iterator[tuple[str, sa.Engine]]:
    """A new database: its URL for a store, and an engine that looks after it."""
    url = sa.make_url(server).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE IF EXISTS {name}"))
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    try:
        told = url.set(drivername="postgresql", database=name)
        yield told.render_as_string(hide_password=False), engine
    finally:
        with engine.connect() as connection:
            connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
        engine.dispose()


def measure(
    table: Path, outcomes: int, folder: Path, server: str | None, *, in_memory: bool
) -> Iterator[dict[str, Any]]:
    """Figures of all steps for one size."""

    def step(place: str, name: str, disk: float | None = None, **options: object) -> dict[str, Any]:
        found = run(name, folder, **options)
        size = {} if disk is None else {"disk_mib": disk}
        return {"outcomes": outcomes, "where": place, "step": name, **found, **size}

    yield step("process", "nothing")
    generated = step("Parquet", "generate", table=table, outcomes=outcomes)
    yield generated | {"disk_mib": disk_mib(folder / SOURCE)}
    yield step("Parquet", "gather") | {"disk_mib": disk_mib(folder / GATHERED)}
    for name in ("scan", "fit_folder", "evaluate_folder"):
        yield step("Parquet", name)
    shutil.rmtree(folder / SOURCE)
    path = folder / "store.db"
    yield step("SQLite", "write", store=path) | {"disk_mib": disk_mib(path)}
    yield step("SQLite", "read", store=path)
    if in_memory:
        yield step("SQLite", "fit_store", store=path)
    path.unlink()
    if server is None:
        return
    with database(server, f"scaling_{outcomes}") as (url, engine):
        written = step("PostgreSQL", "write", store=url)
        with engine.connect() as connection:
            size = sa.text(f"SELECT pg_database_size('scaling_{outcomes}')")
            yield written | {"disk_mib": connection.execute(size).scalar_one() / MIB}
        yield step("PostgreSQL", "read", store=url)


def exponents(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of every step and figure with three sizes at least."""
    rows = []
    for where, name in dict.fromkeys((row["where"], row["step"]) for row in found):
        mine = [row for row in found if (row["where"], row["step"]) == (where, name)]
        for figure in ("seconds", "cpu_s", "peak_mib", "disk_mib"):
            points = [(row["outcomes"], row[figure]) for row in mine if row.get(figure)]
            if len(points) < 3 or name == "nothing":
                continue
            x, y = np.log10(np.asarray(points, dtype=float)).T
            line = stats.linregress(x, y)
            half = float(stats.t.ppf(0.975, len(points) - 2) * line.stderr)
            last = float((y[-1] - y[-2]) / (x[-1] - x[-2]))
            rows.append(
                {"where": where, "step": name, "figure": figure, "sizes": len(points),
                 "exponent": float(line.slope), "ci95": [line.slope - half, line.slope + half],
                 "last": last}
            )  # fmt: skip
    return rows


def markdown(found: list[dict[str, Any]], slopes: list[dict[str, Any]]) -> str:
    """Tables for `docs/scale.md`."""
    lines = [
        "| where | step | outcomes | rows/s | s | CPU s | peak MiB | disk MiB |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row in found:
        if "failed" in row:
            cells = ["failed", "", "", "", ""]
        else:
            rate = f"{row['rows'] / row['seconds']:,.0f}" if row["rows"] else ""
            disk = f"{row['disk_mib']:,.1f}" if "disk_mib" in row else ""
            times = (f"{row['seconds']:,.1f}", f"{row['cpu_s']:,.1f}")
            cells = [rate, *times, f"{row['peak_mib']:,.0f}", disk]
        lines.append(
            f"| {row['where']} | {row['step']} | {row['outcomes']:,} | " + " | ".join(cells) + " |"
        )
    lines += ["", "| where | step | figure | exponent | last two sizes |", "|---|---|---|--:|--:|"]
    for row in slopes:
        low, high = row["ci95"]
        slope = f"{row['exponent']:.2f} [{low:.2f}, {high:.2f}]"
        lines.append(
            f"| {row['where']} | {row['step']} | {row['figure']} | {slope} | {row['last']:.2f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measures, writes after every step, and prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("table", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sizes", type=float, nargs="+", default=[1e4, 1e5, 1e6, 1e7])
    parser.add_argument("--postgres")
    parser.add_argument("--in-memory-up-to", type=float, default=1e6)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--scratch", type=Path, help="Folder for what is written meanwhile.")
    options = parser.parse_args()
    found: list[dict[str, Any]] = []
    machine = {
        "cpus": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }
    for outcomes in (int(size) for size in sorted(options.sizes)):
        with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
            in_memory = outcomes <= options.in_memory_up_to
            for row in measure(
                options.table, outcomes, Path(folder), options.postgres, in_memory=in_memory
            ):
                found.append(row)
                print(json.dumps(row), file=sys.stderr)
                facts = {"machine": machine, "steps": found, "exponents": exponents(found)}
                options.out.write_text(json.dumps(facts, indent=1), encoding="utf-8")
    tables = markdown(found, exponents(found))
    print(tables)
    if options.markdown:
        options.markdown.write_text(tables, encoding="utf-8")
    if options.plot:
        options.plot.write_text(draw(found), encoding="utf-8")


if __name__ == "__main__":
    main()
