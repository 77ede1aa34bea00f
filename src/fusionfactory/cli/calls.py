"""What the verbs that pay for calls share: options, who makes the calls, progress, the summary."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

if TYPE_CHECKING:
    from fusionfactory.calls import Progress, Runner, Summary
    from fusionfactory.config import Config, ModelSettings

__all__ = [
    "call_progress",
    "duration",
    "print_summary",
    "runner",
    "store_option",
    "summary_facts",
]

Command = TypeVar("Command", bound=Callable[..., Any])

_MINUTE_S = 60
_HOUR_S = 3600
_SHOWN_ERRORS = 3


def store_option(command: Command) -> Command:
    """Adds `--store`."""
    return click.option(
        "--store",
        required=True,
        help="Store: a SQLite path or a database URL.",
    )(command)


@contextmanager
def runner(
    engine: str,
    config: Config,
    models: Sequence[ModelSettings],
    store: str,
    *,
    structured: bool = False,
) -> Iterator[Runner]:
    """Who makes the calls: this process, or the workers of a Ray cluster.

    Args:
        engine: `local` or `ray`.
        config: As `ray_calls` has it, like the rest.
        models: Likewise.
        store: Likewise.
        structured: Likewise.

    Raises:
        MissingExtraError, ConfigError: As `ray_calls`.
    """
    if engine == "local":
        from fusionfactory.calls import run_calls

        yield run_calls
        return
    from fusionfactory.scale.calls import ray_calls

    with ray_calls(config, models, store, structured=structured) as run:
        yield run


@contextmanager
def call_progress() -> Iterator[Callable[[Progress], None]]:
    """Calls done, throughput, spend, failures and time left, on a terminal; nothing elsewhere."""
    err = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Bar(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("starting", total=None)

        def report(progress: Progress) -> None:
            bar.update(
                task,
                completed=progress.done,
                total=progress.total,
                description=_described(progress),
            )

        yield report


def _described(progress: Progress) -> str:
    left = "-" if progress.left_s is None else duration(progress.left_s)
    parts = [f"{progress.per_second:.1f}/s", f"{progress.spent_usd:.4f} USD", f"{left} left"]
    if progress.failed:
        parts.append(f"[red]{progress.failed} failed[/]")
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """Seconds in words, for a progress display."""
    whole = round(seconds)
    if whole >= _HOUR_S:
        return f"{whole // _HOUR_S} h {whole % _HOUR_S // _MINUTE_S} min"
    return f"{whole // _MINUTE_S} min" if whole >= _MINUTE_S else f"{whole} s"


def summary_facts(summary: Summary) -> dict[str, Any]:
    """The summary for JSON."""
    return {
        "done": summary.done,
        "failed": summary.failed,
        "left": summary.left,
        "spent_usd": summary.spent_usd,
        "unpriced": summary.unpriced,
        "errors": dict(summary.errors),
        "stopped": list(summary.stopped),
        "seconds": round(summary.seconds, 3),
    }


def print_summary(where: Console, summary: Summary, what: str) -> None:
    """What was done, what it cost, what is left and why."""
    rate = summary.done / summary.seconds if summary.seconds else 0.0
    spent = f"{summary.spent_usd:.6g} USD"
    if summary.unpriced:
        spent += f", and {summary.unpriced} of unknown cost"
    where.print(
        f"{summary.done} {what} in {duration(summary.seconds)} ({rate:.1f}/s), {spent}",
        markup=False,
    )
    if summary.failed:
        where.print(f"{summary.failed} of them failed: --retry-failed asks those again")
        for error, count in list(summary.errors.items())[:_SHOWN_ERRORS]:
            where.print(f"  {count} x {error}", markup=False)
    for reason in summary.stopped:
        where.print(f"stopped: {reason}", markup=False)
    if summary.left:
        where.print(f"{summary.left} calls are left: the next run goes on there")
