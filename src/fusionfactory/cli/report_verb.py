"""`fusionfactory report`: an evaluation as a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from fusionfactory.cli.output import json_option, write_json
from fusionfactory.errors import FormatError
from fusionfactory.report import check_path, write_report
from fusionfactory.report.distill_document import is_distill
from fusionfactory.report.thoughts_document import is_thoughts

__all__ = ["command"]


@click.command("report", epilog="Example: fusionfactory report evaluation.json --out report.html")
@click.argument("evaluation", type=click.Path(path_type=Path))
@click.option("--thoughts", type=click.Path(path_type=Path),
              help="JSON of `think evaluate`, for a section on thought templates.")  # fmt: skip
@click.option("--distill", type=click.Path(path_type=Path),
              help="JSON of `distill evaluate`, for a section on students.")  # fmt: skip
@click.option("--out", default="report.html", show_default=True, type=click.Path(path_type=Path),
              help="File to write: .html, .md or .json.")  # fmt: skip
@json_option
def command(
    evaluation: Path,
    thoughts: Path | None,
    distill: Path | None,
    out: Path,
    json_path: str | None,
) -> None:
    """Turns EVALUATION, the JSON of evaluate, think or distill evaluate, into a report."""
    check_path(out)
    content = _read(evaluation)
    for name, path in (("thoughts", thoughts), ("distill", distill)):
        if path is None:
            continue
        if not isinstance(content, dict) or is_thoughts(content) or is_distill(content):
            msg = f"--{name} adds to an evaluation of routers: give the JSON of `evaluate` first"
            raise FormatError(msg, file=evaluation)
        content[name] = _read(path)
    write_report(content, out)
    if json_path:
        write_json({"written": str(out)}, json_path)
    if json_path != "-":
        click.echo(f"wrote {out}")


def _read(path: Path) -> Any:  # noqa: ANN401  any JSON value
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        msg = "no such file"
        raise FormatError(msg, file=path) from None
    except (OSError, ValueError) as error:
        raise FormatError(str(error), file=path) from None
