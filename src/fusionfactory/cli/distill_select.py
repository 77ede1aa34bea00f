"""`fusionfactory distill select`: from the answers of all arms to what a student learns."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.table import Table

from fusionfactory.cli.output import (
    console,
    is_store,
    json_option,
    progress_bar,
    read_table,
    write_json,
)
from fusionfactory.distill.selecting.sieve import UNSCORED
from fusionfactory.errors import DistillError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import Console

    from fusionfactory.config import Config
    from fusionfactory.distill.selecting.answers import Answers
    from fusionfactory.distill.selecting.settings import SelectSettings

__all__ = ["command"]

_CRITERIA = ("best", "performance", "judge", "hybrid", "label")
_SCORE = click.FloatRange(0, 1)
_SHARE = click.FloatRange(0, 1, min_open=True)
_COUNT = click.IntRange(1)
_CONTAMINATION = {"ngram": "ngram", "overlap": "share", "against": "against"}
_PAIRS = ("min_gap", "min_judge_gap", "per_query", "same_source", "length_ratio")
_MANY = 0.5
_LONGER = 0.65
"""Share of pairs whose better answer is the longer one from which a reader is warned."""


class _Range(click.ParamType[tuple[float, float]]):
    """Two shares, LOW:HIGH."""

    name = "LOW:HIGH"

    def convert(
        self,
        value: object,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[float, float]:
        low, _, high = str(value).partition(":")
        try:
            return float(low), float(high)
        except ValueError:
            self.fail(f"{value!r} is no range, expected LOW:HIGH such as 0.1:0.7", param, ctx)


@click.command(
    "select", epilog="Example: fusionfactory distill select --store runs.db --out selection"
)
@click.option("--store", required=True,
              help="Past answers: a store, or a table with responses.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path, file_okay=False),
              help="Folder to write the examples to.")  # fmt: skip
@click.option("--criterion", type=click.Choice(_CRITERIA), default="best", show_default=True,
              help="best: right, complete, verified, unlike each other, the judge's favourites "
              "first. The others are the paper's: any answers, by quality, judge or both, or the "
              "target itself.")  # fmt: skip
@click.option("--top-k", type=_COUNT, default=5, show_default=True,
              help="Answers of a question at most.")  # fmt: skip
@click.option("--source-arm", "source_arms", multiple=True,
              help="Only answers of this arm or model [all].")  # fmt: skip
@click.option("--max-price", type=click.FloatRange(0), metavar="USD",
              help="Only arms known to cost no more per million output tokens.")  # fmt: skip
@click.option("--task", "tasks", multiple=True, help="Only questions of this task [all].")
@click.option("--split", default="train", show_default=True,
              help="Only questions of this split; all for any.")  # fmt: skip
@click.option("--strategy", default="direct", show_default=True,
              help="How the student will be asked: direct, think, format.")  # fmt: skip
@click.option("--min-quality", type=_SCORE,
              help="The least quality [1 under best, else 0].")  # fmt: skip
@click.option("--min-judge", type=_SCORE, help="The least score of the judge.")
@click.option("--verify/--no-verify", default=None,
              help="Score again what is taken [yes under best].")  # fmt: skip
@click.option("--distinct/--no-distinct", default=None,
              help="Drop answers near to a better one [yes under best].")  # fmt: skip
@click.option("--near", type=_SHARE, default=0.8, show_default=True,
              help="Share of word runs in common from which two answers are near.")  # fmt: skip
@click.option("--one-per-model", is_flag=True, help="Of each model the best answer only.")
@click.option("--student", metavar="ARM",
              help="Hold lengths against this arm's own answers.")  # fmt: skip
@click.option("--stretch", type=click.FloatRange(1), default=2.0, show_default=True,
              help="How many times as long as nine tenths of the student's own.")  # fmt: skip
@click.option("--always-fits", type=_COUNT, default=64, show_default=True,
              help="Tokens that are never too many.")  # fmt: skip
@click.option("--max-tokens", type=_COUNT,
              help="The longest answer where the student's are not known.")  # fmt: skip
@click.option("--solved", type=_Range(),
              help="Only questions that this share of the arms is right on.")  # fmt: skip
@click.option("--per-task", type=_COUNT, help="Examples of a task at most.")
@click.option("--token-budget", type=_COUNT,
              help="Tokens of all prompts and answers, spread over the tasks.")  # fmt: skip
@click.option("--contamination/--no-contamination", default=True, show_default=True,
              help="Leave out questions that stand in another split too.")  # fmt: skip
@click.option("--against", multiple=True, type=click.Path(exists=True, dir_okay=False),
              help="A file of further questions that are held out.")  # fmt: skip
@click.option("--ngram", type=_COUNT, default=8, show_default=True,
              help="Words of the runs that are compared for that.")  # fmt: skip
@click.option("--overlap", type=_SHARE, default=0.5, show_default=True,
              help="Share of a question's runs that is too much.")  # fmt: skip
@click.option("--pairs", is_flag=True,
              help="Make preference pairs too, of a better and a worse answer.")  # fmt: skip
@click.option("--min-gap", type=_SHARE, default=0.5, show_default=True,
              help="How much better in quality a pair's better answer is.")  # fmt: skip
@click.option("--min-judge-gap", type=_SHARE,
              help="Else how much better to the judge, of two right ones [no pair].")  # fmt: skip
@click.option("--pairs-per-question", "per_query", type=_COUNT, default=1, show_default=True,
              help="Pairs of a question at most.")  # fmt: skip
@click.option("--same-source", is_flag=True, help="Both answers of a pair are of one model.")
@click.option("--length-ratio", type=click.FloatRange(1),
              help="How many times longer one answer of a pair may be [any].")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="Of the order of what is equal.")  # fmt: skip
@click.option("--force", is_flag=True, help="Replace a selection that is there.")
@click.option("--dry-run", is_flag=True, help="Write nothing, only say what would be taken.")
@json_option
@click.pass_obj
def command(
    config: Config,
    /,
    store: str,
    out: Path | None,
    *,
    force: bool,
    dry_run: bool,
    json_path: str | None,
    **chosen: Any,  # noqa: ANN401  one by one above
) -> None:
    """Chooses which answers a student is trained on, and says why the others are not.

    No question is taken that stands in another split too, and length never decides between answers.
    """
    from fusionfactory.distill.selecting.select import select
    from fusionfactory.distill.selection import MANIFEST
    from fusionfactory.plan import known_tasks

    if out is None and not dry_run:
        raise click.UsageError("--out says where to; or use --dry-run")  # noqa: EM101
    if out is not None and not (force or dry_run) and (out / MANIFEST).exists():
        msg = "there is a selection here already: --force replaces it"
        raise DistillError(msg, file=out)
    settings = _settings(chosen)
    where = console(json_path)
    answers = _answers(store)
    with _about(store), progress_bar(where) as progress:
        found = select(
            answers,
            settings,
            tasks=known_tasks(config, answers.queries["task"].unique(maintain_order=True)),
            progress=progress,
        )
    if out is not None and not dry_run:
        found.save(out)
    if json_path:
        facts = {
            "settings": dict(found.settings),
            "report": dict(found.report),
            "fingerprint": found.fingerprint(),
            "folder": None if dry_run else str(out),
        }
        write_json(facts, json_path)
    _print(where, found.report, settings)
    written = f"written to {out}" if not dry_run else "nothing is written"
    where.print(f"{written} (fingerprint {found.fingerprint()})", markup=False, soft_wrap=True)


def _settings(chosen: dict[str, Any]) -> SelectSettings:
    from fusionfactory.distill.selecting.settings import (
        ContaminationSettings,
        PairSettings,
        SelectSettings,
    )

    paired = {name: chosen.pop(name) for name in _PAIRS}
    pairs = PairSettings(**paired) if chosen.pop("pairs") else None
    looked = {field: chosen.pop(name) for name, field in _CONTAMINATION.items()}
    contamination = ContaminationSettings(**looked) if chosen.pop("contamination") else None
    return SelectSettings(contamination=contamination, pairs=pairs, **chosen)


def _answers(source: str) -> Answers:
    from fusionfactory.distill.selecting.answers import Answers

    with _about(source):
        if is_store(source):
            from fusionfactory.store import Store

            with Store(source) as store:
                return Answers.of(store)
        return Answers.of(read_table(source))


@contextmanager
def _about(source: str) -> Iterator[None]:
    """Names the store in errors about what it holds."""
    try:
        yield
    except DistillError as error:
        if error.file is not None:
            raise
        raise DistillError(error.message, file=source, row=error.row, field=error.field) from None


def _print(where: Console, report: Mapping[str, Any], settings: SelectSettings) -> None:
    questions, tokens = report["questions"], report["tokens"]
    where.print(
        f"{report['examples']} examples by {settings.criterion} of {questions['covered']} of "
        f"{questions['asked']} questions, {tokens['answers']:.0f} tokens of answers and about "
        f"{tokens['prompts']:.0f} of prompts",
        markup=False,
        soft_wrap=True,
    )
    _print_rows(where, "arm", report["arms"], "answers")
    _print_rows(where, "task", report["tasks"], "questions")
    if report["rejected"]:
        table = Table(box=box.SIMPLE_HEAD)
        table.add_column("not taken, because")
        table.add_column("answers", justify="right")
        for reason, count in report["rejected"].items():
            table.add_row(reason, str(count))
        where.print(table)
    if report["pairs"] is not None:
        where.print(_pair_words(report["pairs"]), markup=False, soft_wrap=True)
    for text in _warnings(report, settings):
        where.print(text, style="yellow", markup=False, soft_wrap=True)


def _print_rows(where: Console, name: str, rows: list[dict[str, Any]], of: str) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(name, overflow="fold")
    for heading in (of, "taken", "median", "p95", "longest"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        sizes = (row["lengths"][key] for key in ("median", "p95", "max"))
        cells = ["-" if size is None else f"{size:.0f}" for size in sizes]
        table.add_row(row[name] or "(no task)", str(row[of]), str(row["taken"]), *cells)
    where.print(table)


def _pair_words(pairs: Mapping[str, Any]) -> str:
    if not pairs["pairs"]:
        return "no pairs: no question has two answers that are far enough apart"
    by = {"performance": "by quality", "llm_judge": "by the judge"}
    told = ", ".join(f"{count} {by[name]}" for name, count in pairs["by"].items())
    return (
        f"{pairs['pairs']} pairs of {pairs['questions']} questions, {told}; the better answer has "
        f"{pairs['chosen']['mean']:.0f} tokens, the worse one {pairs['rejected']['mean']:.0f}"
    )


def _warnings(report: Mapping[str, Any], settings: SelectSettings) -> list[str]:
    said = []
    looked = report["contamination"]
    if looked is None:
        said.append("nothing was looked for that is held out: test results may be too good")
    elif not looked["held_out"]:
        said.append(
            "there is no question of another split to keep out: test on questions that are not "
            "here, and name them by --against"
        )
    elif settings.split == "all":
        said.append("questions of every split are taken: only --against keeps questions out")
    if settings.split == "test":
        said.append("a student of test questions cannot be tested on them")
    if looked and looked["questions"]:
        number = looked["questions"]
        said.append(
            "1 question is left out, for it is held out too:"
            if number == 1
            else f"{number} questions are left out, for they are held out too:"
        )
        said += [
            f"  {pair['train']} is {pair['share']:.0%} of {pair['held_out']}"
            for pair in looked["shown"][:3]
        ]
    if unscored := report["rejected"].get(UNSCORED):
        said.append(f"{unscored} answers have no quality yet: `fusionfactory score` gives it")
    counted = report["tokens"]["counted"]
    if counted is not None and counted < _MANY:
        said.append("most lengths are not counted tokens but a quarter of the characters")
    pairs = report["pairs"]
    if pairs and pairs["chosen_longer"] > _LONGER * pairs["pairs"]:
        said.append(
            f"the better answer is the longer one in {pairs['chosen_longer']} of {pairs['pairs']} "
            "pairs: a student may learn to write more; --length-ratio keeps both alike"
        )
    if report["unpriced"]:
        said.append(f"left out, for their price is not known: {', '.join(report['unpriced'])}")
    return said
