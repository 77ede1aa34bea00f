"""`fusionfactory score`: scores the answers in a store."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

import click

from fusionfactory.cli.calls import store_option
from fusionfactory.cli.engine import engine_option
from fusionfactory.cli.output import console, json_option, progress_bar, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fusionfactory.config import Config, ScaleSection
    from fusionfactory.scoring import Marking

__all__ = ["command"]


@click.command("score", epilog="Example: fusionfactory score --store runs.db")
@store_option
@click.option("--task", multiple=True, help="Only the answers to this task [all].")
@click.option("--again", is_flag=True, help="Score anew what has a score, imported ones too.")
@click.option("--workers", type=click.IntRange(1), default=os.cpu_count() or 1,
              help="Threads here, and sandboxes for code [all cores].")  # fmt: skip
@engine_option
@json_option
@click.pass_obj
def command(
    config: Config,
    store: str,
    task: tuple[str, ...],
    again: bool,
    workers: int,
    engine: str,
    json_path: str | None,
) -> None:
    """Scores every answer that has no score yet, or one by another version of its scorer."""
    from fusionfactory.scoring import score_outcomes
    from fusionfactory.store import Store

    where = console(json_path)
    with (
        Store(store) as opened,
        _marking(engine, config.scale, store) as mark,
        progress_bar(where) as bar,
    ):
        total = opened.count()
        scored = score_outcomes(
            opened,
            again=again,
            tasks=task or None,
            workers=workers,
            mark=mark,
            progress=lambda state: bar(sum(asdict(state).values()), total, "scoring"),
        )
    facts = asdict(scored)
    if json_path:
        write_json(facts, json_path)
    if json_path != "-":
        rest = {
            "had a score": scored.kept,
            "failed calls": scored.failed,
            "for a judge": scored.judge_only,
            "without a metric": scored.no_metric,
        }
        notes = ", ".join(f"{count} {name}" for name, count in rest.items() if count)
        where.print(f"{scored.scored} answers scored" + (f" ({notes})" if notes else ""))


@contextmanager
def _marking(engine: str, settings: ScaleSection, store: str) -> Iterator[Marking | None]:
    """Who scores instead of threads of this process."""
    if engine == "local":
        yield None
        return
    from fusionfactory.scale.cluster import cluster
    from fusionfactory.scale.scoring import mark_on_ray
    from fusionfactory.scale.shards import shards_place

    with cluster(settings):
        yield partial(mark_on_ray, settings=settings, place=shards_place(settings, store))
