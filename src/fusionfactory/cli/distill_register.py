"""`fusionfactory distill register`: a student becomes one more model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fusionfactory.cli.output import console, json_option, read_table, write_json
from fusionfactory.config import CONFIG_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from fusionfactory.config import Config, ModelSettings
    from fusionfactory.distill.router_arm import Joined
    from fusionfactory.distill.serving import ServeCommand

__all__ = ["command"]

_EXAMPLE = "Example: fusionfactory distill register students/best --name smollm2-best"


@click.command("register", epilog=_EXAMPLE)
@click.argument("student", type=click.Path(path_type=Path, file_okay=False))
@click.option("--name", required=True, help="What the model is to be called.")
@click.option("--like", help="Model whose strategies, prices and parameters are copied [the base].")
@click.option("--strategy", multiple=True, help="How it is asked [as the base; else direct].")
@click.option("--endpoint", help="Endpoint of the settings that serves it [its GGUF file, here].")
@click.option("--input-price", type=click.FloatRange(0), help="USD per million tokens.")
@click.option("--output-price", type=click.FloatRange(0), help="USD per million tokens.")
@click.option("--description", help="For routers that read it [what it was made of].")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True,
              help="Of the servers whose command lines are printed.")  # fmt: skip
@click.option("--untrained", is_flag=True,
              help="Add its base as it was, stored as the student is: the fair one to compare "
              "with.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Show the block and change nothing.")
@click.option("--router", type=click.Path(path_type=Path, file_okay=False),
              help="Saved router that learns of it, without a refit.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path, file_okay=False),
              help="Where that router goes then.")  # fmt: skip
@click.option("--store", help="Store with its scored answers, for the router.")
@click.option("--labels", type=click.IntRange(0), default=50, show_default=True,
              help="Of these, to questions that are neither test nor learnt; 0 goes by the "
              "description.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="Of the draw of labels.")  # fmt: skip
@click.option("--allow-endpoint", is_flag=True,
              help="Let the router's encoder send queries to its endpoint.")  # fmt: skip
@json_option
@click.pass_context
def command(
    context: click.Context,
    /,
    student: Path,
    name: str,
    port: int,
    untrained: bool,
    dry_run: bool,
    router: Path | None,
    out: Path | None,
    store: str | None,
    labels: int,
    seed: int,
    allow_endpoint: bool,
    json_path: str | None,
    **told: Any,  # noqa: ANN401  as the options have them
) -> None:
    """Adds the model in the folder STUDENT to the settings, so that collect can ask it.

    Nothing that stands in the settings changes. With --router, a fitted router takes the student as
    an arm, from a few of its scored answers; run that once those are collected and scored.
    """
    from fusionfactory.distill.register import register, student_settings
    from fusionfactory.distill.serving import serve_commands
    from fusionfactory.distill.untrained import write_untrained

    if router is not None and (out is None or (labels and store is None)):
        msg = "--router needs --out, and --store unless --labels is 0"
        raise click.UsageError(msg)
    path = context.find_root().params.get("config") or Path(CONFIG_NAME)
    if untrained and router is not None:
        msg = "--router takes a student; leave --untrained out"
        raise click.UsageError(msg)
    told["strategies"] = told.pop("strategy")
    there = _there(context.obj, name) if router is not None else None
    settings = there or student_settings(student, name, context.obj, untrained=untrained, **told)
    commands = serve_commands(student, name, port=port, untrained=untrained)
    joined: list[Joined] = []
    if router is not None and out is not None and not dry_run:
        joined = _join(student, router, out, settings, store, labels, seed, allow_endpoint)
    new = there is None
    if new and not dry_run:
        if untrained:
            write_untrained(student)
        register(settings, path)
    if json_path:
        facts = {
            "model": settings.model_dump(mode="json", exclude_defaults=True),
            "settings": str(path),
            "added": new and not dry_run,
            "serve": [{**asdict(one), "line": one.line} for one in commands],
            "router": None if not joined else str(out),
            "joined": [asdict(one) for one in joined],
        }
        write_json(facts, json_path)
    if json_path != "-":
        where = console(json_path)
        _show_block(where, path, settings, new=new, dry_run=dry_run)
        _show_commands(where, commands)
        _show_joined(where, out, joined)


def _there(config: Config, name: str) -> ModelSettings | None:
    return next((model for model in config.models if model.name == name), None)


def _join(
    student: Path,
    router: Path,
    out: Path,
    settings: ModelSettings,
    store: str | None,
    labels: int,
    seed: int,
    allow_endpoint: bool,
) -> list[Joined]:
    from fusionfactory.distill.router_arm import join_router
    from fusionfactory.distill.training.record import StudentRecord
    from fusionfactory.routers import load_router, save_router
    from fusionfactory.routers.files import check_directory
    from fusionfactory.types import Arm

    check_directory(out)
    loaded = load_router(router, network=allow_endpoint)
    arms = [
        Arm(settings.name, strategy, settings.input_price, settings.output_price,
            settings.description)
        for strategy in settings.strategies
    ]  # fmt: skip
    table = None if store is None or not labels else read_table(store)
    learnt = StudentRecord.load(student).data.queries
    joined = join_router(loaded, arms, table, labels=labels, seed=seed, learnt=learnt)
    save_router(loaded, out)
    return joined


def _show_block(
    where: Console, path: Path, settings: ModelSettings, *, new: bool, dry_run: bool
) -> None:
    from fusionfactory.distill.settings_block import model_block

    if not new:
        where.print(f"{settings.name} stands in {path} already", markup=False)
        return
    where.print(f"{'would be added' if dry_run else 'added'} to {path}:", markup=False)
    where.print(model_block(settings), markup=False, soft_wrap=True, highlight=False)


def _show_commands(where: Console, commands: Sequence[ServeCommand]) -> None:
    if commands:
        where.print("to serve it on this machine:")
    for one in commands:
        where.print(f"  {one.line}", markup=False, soft_wrap=True, highlight=False)


def _show_joined(where: Console, out: Path | None, joined: Sequence[Joined]) -> None:
    for one in joined:
        learned = f"{len(one.labels)} labels" if one.labels else "its description"
        mean = "" if one.quality is None else f", mean quality {one.quality:.3f}"
        where.print(f"{out}: the router took {one.arm} from {learned}{mean}", markup=False)
