"""`fusionfactory think index`: makes a bank's templates findable."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from fusionfactory.cli.output import console, json_option, write_json

__all__ = ["command"]


@click.command("index", epilog="Example: fusionfactory think index --bank thoughts")
@click.option("--bank", required=True, type=click.Path(path_type=Path, file_okay=False),
              help="Folder of the templates.")  # fmt: skip
@click.option("--encoder", help="Text encoder [that of the index there is, or text].")
@click.option("--anew", is_flag=True, help="Fit the encoder and embed every question again.")
@click.option("--allow-endpoint", is_flag=True,
              help="Let the index's encoder use the endpoint that it names.")  # fmt: skip
@json_option
def command(
    bank: Path, encoder: str | None, anew: bool, allow_endpoint: bool, json_path: str | None
) -> None:
    """Embeds the questions of a bank's templates, so that similar ones are found.

    Run it after every build: only new templates are embedded, and those that are gone are taken
    out. Another --encoder makes the index anew.
    """
    from fusionfactory.thoughts.search.indexing import index_bank

    done = index_bank(bank, encoder, anew=anew, network=allow_endpoint)
    if json_path:
        write_json(asdict(done), json_path)
    made = "made anew" if done.anew else f"{done.added} added, {done.deleted} taken out"
    console(json_path).print(
        f"{bank}: {done.templates} templates in {done.dim} dimensions by {done.encoder}, {made}",
        markup=False,
    )
