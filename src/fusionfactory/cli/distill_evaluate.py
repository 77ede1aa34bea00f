"""`fusionfactory distill evaluate`: students against the model before, and the alarm."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.table import Table

from fusionfactory.cli.gains import coloured, print_notes
from fusionfactory.cli.output import console, is_store, json_option, read_table, write_json
from fusionfactory.errors import DistillError
from fusionfactory.report import check_path, write_report
from fusionfactory.report.distill_document import read_distill
from fusionfactory.report.distill_words import distill_lead, distill_remarks
from fusionfactory.report.figures import MISSING, decimal, percent, points, significant

if TYPE_CHECKING:
    from rich.console import Console

    from fusionfactory.config import Config
    from fusionfactory.distill.comparing.lineup import Lineup
    from fusionfactory.report.distill_document import DistillDocument
    from fusionfactory.report.rows import RowFacts
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import FloatArray

__all__ = ["command", "print_students"]

_WORSE = "worse"


@click.command(
    "evaluate",
    epilog="Example: fusionfactory distill evaluate --store runs.db --before smollm2 "
    "--student smollm2-best --control smollm2-label",
)
@click.option("--store", required=True,
              help="Outcomes of the arms to compare: a store, or a table.")  # fmt: skip
@click.option("--before", required=True, help="The model before training.")
@click.option("--student", "students", multiple=True, required=True,
              help="A model that was trained from it; repeat it.")  # fmt: skip
@click.option("--control", help="The student that was trained on the labels alone.")
@click.option("--teacher", "teachers", multiple=True,
              help="An arm to measure by, such as a source of answers; repeat it.")  # fmt: skip
@click.option("--recommended", help="The student that was named before the outcomes were seen.")
@click.option("--strategy", default="direct", show_default=True,
              help="How all were asked; an arm may say otherwise: smollm2|think.")  # fmt: skip
@click.option("--task", "tasks", multiple=True, help="Only questions of this task [all].")
@click.option("--test-split", default="test", show_default=True, help="Split that is shown.")
@click.option("--tolerance", type=click.FloatRange(0, 1), default=0.02, show_default=True,
              help="Loss of quality that raises no alarm while it may be chance.")  # fmt: skip
@click.option("--min-coverage", type=click.FloatRange(0, 1), default=0.9, show_default=True,
              help="Leave out arms that are scored on less of some task.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="Of the resamples.")  # fmt: skip
@click.option("--student-dir", "folders", multiple=True, metavar="NAME=DIR",
              help="Where `distill train` made a student [where the settings say its GGUF file "
              "is].")  # fmt: skip
@click.option("--selection", "selections", multiple=True,
              type=click.Path(path_type=Path, file_okay=False),
              help="Folder of what a student learnt from, to report on; repeat it.")  # fmt: skip
@click.option("--html", "report_path", type=click.Path(path_type=Path),
              help="Report to write: .html, .md or .json.")  # fmt: skip
@click.option("--fail-on-regression", is_flag=True,
              help="Exit with 1 where a student, or the recommended one, is clearly worse "
              "anywhere, with 2 where it was left out.")  # fmt: skip
@json_option
@click.pass_obj
def command(
    config: Config,
    /,
    store: str,
    folders: tuple[str, ...],
    selections: tuple[Path, ...],
    report_path: Path | None,
    *,
    fail_on_regression: bool,
    json_path: str | None,
    **chosen: Any,  # noqa: ANN401  as `compare_students` takes them
) -> None:
    """Compares students with the model before training, on test questions.

    Collect and score them first, and the control and teachers likewise, on the same questions.
    """
    from fusionfactory.distill.comparing.lineup import Lineup
    from fusionfactory.distill.comparing.students import student_facts
    from fusionfactory.distill.comparison import compare_students
    from fusionfactory.distill.selection import Selection
    from fusionfactory.pricing import with_usable_costs

    if report_path:
        check_path(report_path)
    where = console(json_path)
    names = [name for name in (*chosen["students"], chosen["control"]) if name]
    learnt = [Selection.load(folder) for folder in selections]
    places = _folders(names, folders, config)
    records = {name: student_facts(folder, learnt) for name, folder in places.items()}
    table = with_usable_costs(read_table(store))
    cut_off = _cut_off(store, table)
    found = compare_students(table, **chosen, cut_off=cut_off, records=records)
    document = read_distill(found)
    print_students(where, document)
    if json_path:
        write_json(found, json_path)
    if report_path:
        write_report(found, report_path)
        where.print(f"report: {report_path}", markup=False)
    roles = ("before", "students", "control", "teachers", "recommended", "strategy")
    lineup = Lineup.of(**{role: chosen[role] for role in roles})
    if fail_on_regression and _has_regressed(document, lineup):
        raise click.exceptions.Exit(1)


def _folders(names: list[str], given: tuple[str, ...], config: Config) -> dict[str, Path]:
    """Name of a student to its folder: as told, else beside its GGUF file in the settings."""
    from fusionfactory.distill.training.record import RECORD

    models = {name.partition("|")[0]: name for name in names}
    found = {
        models[model.name]: model.gguf.parent
        for model in config.models
        if model.name in models and model.gguf and (model.gguf.parent / RECORD).is_file()
    }
    for pair in given:
        name, equals, folder = pair.partition("=")
        if not equals or name not in names:
            msg = f"{pair!r} names no student, expected NAME=DIR with a name of: {', '.join(names)}"
            raise DistillError(msg, field="student-dir")
        found[name] = Path(folder)
    return found


def _cut_off(source: str, table: OutcomeTable) -> FloatArray | None:
    """Which answers the token limit cut off; a table does not tell."""
    from fusionfactory.distill.comparing.endings import cut_off
    from fusionfactory.store import Store

    if not is_store(source):
        return None
    with Store(source) as store:
        return cut_off(table, store.outcomes())


def _has_regressed(document: DistillDocument, lineup: Lineup) -> bool:
    """Whether the recommended student, or without one any, is clearly worse somewhere.

    Raises:
        DistillError: None is, but one of these was left out.
    """
    watched = {lineup.recommended} if lineup.recommended else set(lineup.students)
    if any(alarm.row in watched and alarm.verdict == _WORSE for alarm in document.alarms):
        return True
    unknown = sorted(watched & document.arms_left_out.keys())
    if unknown:
        msg = f"whether {unknown[0]} is worse is not known: {document.arms_left_out[unknown[0]]}; "
        msg += "collect and score the rest first"
        raise DistillError(msg, field="fail-on-regression")
    return False


def print_students(where: Console, document: DistillDocument) -> None:
    """The rows, the claims and alarms, and what was left out."""
    where.print()
    where.print(distill_lead(document), markup=False, soft_wrap=True)
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("row")
    against = ("vs before", "vs label-only") if document.control else ("vs before",)
    for heading in ("quality", *against, "tokens out", "cut off"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("worst task", overflow="fold")
    for row in document.rows:
        table.add_row(*_cells(row, document))
    where.print(table)
    print_notes(where, distill_remarks(document))


def _cells(row: RowFacts, document: DistillDocument) -> list[str]:
    worst, is_base = row.worst_task, row.name == document.before
    gains = [MISSING if is_base else coloured(row.over(document.before))]
    if document.control:
        is_control = row.name == document.control
        gains.append(MISSING if is_control else coloured(row.over(document.control)))
    return [
        row.label,
        decimal(row.quality),
        *gains,
        significant(row.output_tokens),
        percent(row.cut_share),
        MISSING if is_base else f"{worst.name} {points(worst.gain)}",
    ]
