"""Writes docs/cli.md from the commands' own help; `--check` only compares.

python docs/make_cli.py [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from fusionfactory.cli.app import cli

PAGE = Path(__file__).with_name("cli.md")
WIDTH = 88

HEAD = """\
# Command line

`fusionfactory VERB`, or `python -m fusionfactory VERB`. `make docs` makes this page from the
commands' own help.

- Exit codes: 0 good, 1 failed, 2 wrong use or bad input (the message names file, row and field;
  nothing is written), 130 interrupted.
- An option counts in the order flag, environment (`FUSIONFACTORY_VERB_OPTION`, such as
  `FUSIONFACTORY_EVALUATE_SEEDS=3`), `fusionfactory.toml` (made by `fusionfactory init`), default.
- `--json` writes JSON to standard output and text to standard error; `--json FILE` writes a file.
"""


def page() -> str:
    """The whole page."""
    top = click.Context(
        cli, info_name="fusionfactory", terminal_width=WIDTH, help_option_names=["-h", "--help"]
    )
    parts = [HEAD, _block(cli.get_help(top)), *_sections(cli, top, 2)]
    return "\n".join(parts)


def _sections(group: click.Group, parent: click.Context, level: int) -> list[str]:
    """A heading and the help of every verb of a group, and of the verbs below it."""
    parts = []
    for verb in group.list_commands(parent):
        command = group.get_command(parent, verb)
        if command is None:
            continue
        context = click.Context(command, info_name=verb, parent=parent)
        path = context.command_path.removeprefix("fusionfactory ")
        parts += [f"{'#' * level} {path}\n", _block(command.get_help(context))]
        if isinstance(command, click.Group):
            parts += _sections(command, context, level + 1)
    return parts


def _block(text: str) -> str:
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return f"```text\n{lines}\n```\n"


def main() -> None:
    """Writes the page, or exits 1 where it is out of date."""
    if "--check" in sys.argv[1:]:
        if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page():
            sys.exit(f"{PAGE} is out of date: run `make docs`")
        return
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
