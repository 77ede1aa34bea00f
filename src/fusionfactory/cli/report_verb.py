"""`fusionfactory report`: an evaluation as a page."""

from __future__ import annotations

import json
from pathlib import Path

import click

from fusionfactory.cli.output import json_option, write_json
from fusionfactory.errors import FormatError
from fusionfactory.report import check_path, write_report

__all__ = ["command"]


@click.command("report", epilog="Example: fusionfactory report evaluation.json --out report.html")
@click.argument("evaluation", type=click.Path(path_type=Path))
@click.option("--out", default="report.html", show_default=True, type=click.Path(path_type=Path),
              help="File to write: .html, .md or .json.")  # fmt: skip
@json_option
def command(evaluation: Path, out: Path, json_path: str | None) -> None:
    """Turns EVALUATION, the JSON that `evaluate --json` wrote, into a report."""
    check_path(out)
    try:
        content = json.loads(evaluation.read_text(encoding="utf-8"))
    except FileNotFoundError:
        msg = "no such file"
        raise FormatError(msg, file=evaluation) from None
    except (OSError, ValueError) as error:
        raise FormatError(str(error), file=evaluation) from None
    write_report(content, out)
    if json_path:
        write_json({"written": str(out)}, json_path)
    if json_path != "-":
        click.echo(f"wrote {out}")
