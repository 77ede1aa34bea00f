"""`fusionfactory distill export`: a selection in the format of another trainer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fusionfactory.cli.output import console, json_option, write_json
from fusionfactory.distill.exporting.export import FORMATS

if TYPE_CHECKING:
    from rich.console import Console

    from fusionfactory.distill.exporting import Exported

__all__ = ["command"]


@click.command(
    "export",
    epilog="Example: fusionfactory distill export selection --format openai --out data",
)
@click.argument("selection", type=click.Path(path_type=Path, file_okay=False))
@click.option("--format", "format_name", required=True, metavar="FORMAT",
              help=f"One of: {', '.join(FORMATS.builtin)}; or a plugin's.")  # fmt: skip
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False),
              help="Folder of the training data.")  # fmt: skip
@click.option("--eval-share", type=click.FloatRange(0, 1, max_open=True), default=0.0,
              show_default=True, help="Share of the questions to hold out.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="Of the questions held out, and of recipes.")  # fmt: skip
@click.option("--model", help="Hub id or folder of the model to train, for recipes.")
@click.option("--template", help="LLaMA-Factory's name of the chat template [the model's own].")
@click.option("--max-length", type=click.IntRange(1),
              help="Tokens at which a recipe cuts an example [above the longest].")  # fmt: skip
@click.option("--force", is_flag=True, help="Replace an export that is there.")
@json_option
def command(
    selection: Path,
    format_name: str,
    out: Path,
    eval_share: float,
    seed: int,
    model: str | None,
    template: str | None,
    max_length: int | None,
    force: bool,
    json_path: str | None,
) -> None:
    """Writes a selection as training data for another trainer.

    Examples go to OUT/sft, preference pairs to OUT/dpo. What a format cannot hold is an error that
    names the example, or, if the format holds no such thing at all, is said.
    """
    from fusionfactory.distill.exporting import ExportSettings, export
    from fusionfactory.distill.selection import Selection

    settings = ExportSettings(
        eval_share=eval_share, seed=seed, model=model, template=template, max_length=max_length
    )
    done = export(Selection.load(selection), format_name, out, settings, force=force)
    if json_path:
        facts = {**done.manifest.model_dump(), "notes": done.notes, "usage": done.usage}
        write_json(facts, json_path)
    _print(console(json_path), done, out)


def _print(where: Console, done: Exported, out: Path) -> None:
    made = done.manifest
    where.print(
        f"{out} holds selection {made.selection} ({made.criterion}) for {made.training_format}",
        markup=False, soft_wrap=True,
    )  # fmt: skip
    for name in made.files:
        rows = f", {made.rows[name]} rows" if name in made.rows else ""
        where.print(f"  {name}{rows}", markup=False)
    for note in done.notes:
        where.print(note, style="yellow", markup=False, soft_wrap=True)
    if done.usage:
        where.print(f"In {out}:", markup=False)
    for line in done.usage:
        where.print(f"  {line}", markup=False, soft_wrap=True)
