"""`fusionfactory collect`: asks models questions and keeps what they answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fusionfactory.cli.calls import (
    call_progress,
    print_summary,
    runner,
    store_option,
    summary_facts,
)
from fusionfactory.cli.engine import engine_option
from fusionfactory.cli.output import console, json_option, write_json
from fusionfactory.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.collect import ArmCall
    from fusionfactory.config import Config
    from fusionfactory.store import Store

__all__ = ["command"]

_STOPPED = 1


@click.command("collect", epilog="Example: fusionfactory collect --task gsm8k --budget-usd 5")
@store_option
@click.option("--task", "task", multiple=True, help="Task of the settings [all].")
@click.option("--model", "model", multiple=True, help="Model of the settings [all].")
@click.option("--strategy", multiple=True,
              help="Of the models' strategies, such as direct or thought:3 [all].")  # fmt: skip
@click.option("--train", type=click.IntRange(0), help="Questions of each task to learn from.")
@click.option("--test", type=click.IntRange(0), help="Questions of each task to test on.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="Of the draw of questions.")  # fmt: skip
@click.option("--samples", type=click.IntRange(1), default=1, show_default=True,
              help="Answers per question and arm.")  # fmt: skip
@click.option("--from-store", is_flag=True, help="Ask the store's own questions, such as imported.")
@click.option("--budget-usd", type=click.FloatRange(0, min_open=True),
              help="Start no call once all of them have cost this much.")  # fmt: skip
@click.option("--retry-failed", is_flag=True, help="Ask again what failed.")
@click.option("--dry-run", is_flag=True, help="Say what would be asked, and ask nothing.")
@engine_option
@json_option
@click.pass_obj
def command(
    config: Config,
    store: str,
    task: tuple[str, ...],
    model: tuple[str, ...],
    strategy: tuple[str, ...],
    train: int | None,
    test: int | None,
    seed: int,
    samples: int,
    from_store: bool,
    budget_usd: float | None,
    retry_failed: bool,
    dry_run: bool,
    engine: str,
    json_path: str | None,
) -> None:
    """Asks the models of the settings the questions of the settings, into a store.

    Goes on where an earlier run stopped: what the store holds is not asked, or paid, again.
    """
    from fusionfactory.collect import collect, interleaved
    from fusionfactory.plan import (
        choose,
        make_clients,
        make_prompter,
        plan_calls,
        questions,
        tasks_by_name,
    )
    from fusionfactory.store import Store

    models = choose("model", config.models, model)
    if not models:
        msg = "the settings hold no [[models]]: fusionfactory init writes an example"
        raise ConfigError(msg, field="models")
    tasks = choose("task", config.tasks, task)
    if not tasks and not from_store:
        msg = "the settings hold no [[tasks]]: add one, or use --from-store"
        raise ConfigError(msg, field="tasks")
    clients = make_clients(config, models)
    prompter = make_prompter(config, models, strategy)
    with Store(store) as opened:
        if from_store:
            asked = interleaved(q for q in opened.queries() if not task or q.task in task)
            if not asked:
                of = f" of {' or '.join(task)}" if task else ""
                msg = f"{opened!r} holds no questions{of}: import a log first, or check its name"
                raise ConfigError(msg, field="store")
        else:
            asked = questions(tasks, train=train, test=test, seed=seed)
        calls = plan_calls(
            config,
            models,
            asked,
            tasks=tasks_by_name(tasks),
            strategies=strategy,
            samples=samples,
            prompter=prompter,
        )
        where = console(json_path)
        if dry_run:
            facts = _planned(opened, calls, retry_failed=retry_failed)
            if json_path:
                write_json(facts, json_path)
            where.print(
                f"{facts['questions']} questions x {facts['arms']} arms: {facts['calls']} calls, "
                f"of which the store holds {facts['held']}"
            )
            return
        with runner(engine, config, models, store) as run, call_progress() as progress:
            summary = collect(
                opened,
                calls,
                clients,
                budget_usd=budget_usd,
                retry_failed=retry_failed,
                progress=progress,
                run=run,
            )
    if json_path:
        write_json(summary_facts(summary), json_path)
    print_summary(where, summary, "outcomes")
    if summary.stopped or 0 < summary.done == summary.failed:
        raise click.exceptions.Exit(_STOPPED)


def _planned(opened: Store, calls: Sequence[ArmCall], *, retry_failed: bool) -> dict[str, Any]:
    held = opened.keys(failed=not retry_failed)
    return {
        "questions": len({call.query.id for call in calls}),
        "arms": len({call.arm.name for call in calls}),
        "calls": len(calls),
        "held": sum(call.key in held for call in calls),
    }
