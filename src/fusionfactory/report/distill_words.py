"""What a comparison of students says, in words and rows that every form shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.report.figures import MISSING, count, decimal, percent, points, significant, usd
from fusionfactory.report.findings import Note
from fusionfactory.report.heatmap import task_name
from fusionfactory.report.row_words import Look, gain_words, row_remarks

if TYPE_CHECKING:
    from fusionfactory.report.distill_document import DistillDocument, MadeFacts
    from fusionfactory.report.rows import RowFacts

__all__ = [
    "DISTILL_PROTOCOL", "HEADS", "KINDS", "alarm_rows", "distill_facts", "distill_lead",
    "distill_look", "distill_remarks", "figures_of", "flip_rows", "made_rows", "source_rows",
]  # fmt: skip

_LEAST_P = 0.001

HEADS = ("Row", "Quality", "vs before, points", "vs label-only, points", "USD per 1,000",
         "Tokens out", "Cut off", "Worst task vs before, points")  # fmt: skip

DISTILL_PROTOCOL = (
    "Every figure is a mean over test queries that all compared arms answered; a cell without a "
    "score is left out for all, never counted as 0. A task's mean is over its queries, a domain's "
    "over its tasks and the average over all tasks, so that a task weighs the same however many "
    "queries it has. An interval is a 95 % bootstrap interval of the paired difference: the same "
    "queries are drawn for both rows, near-duplicates together. An alarm says worse where that "
    "interval lies below 0, and perhaps worse where the loss is beyond what is tolerated but may "
    "be chance. Answers won and lost are held against luck by an exact sign test (McNemar's where "
    "answers are right or wrong), corrected by Holm for all tasks of all students. No student is "
    "chosen here: a row that was not named beforehand is the best of several after the fact."
)

KINDS = {
    "before": "The model as it was, asked in the same way: the yardstick.",
    "label only": "The same model trained on the targets alone, without an arm's words: what the "
                  "questions and the answer's form are worth.",
    "recommended": "The student that was named before these outcomes were looked at.",
    "teacher": "An arm whose answers were learnt from, or another to measure by.",
    "Cut off": "Share of the answers that the token limit ended.",
}  # fmt: skip


def distill_look(document: DistillDocument) -> Look:
    """Rows are held against the model before training."""
    return Look(
        document.before,
        "the model before training",
        colours={"before": "k-zero", "student": "k-thought", "teacher": "k-gate"},
        key={
            "k-zero": "before", "k-control": "label only", "k-thought": "students",
            "k-gate": "teachers",
        },
    )  # fmt: skip


def distill_lead(document: DistillDocument) -> str:
    """The main figures in two or three sentences."""
    tasks = len(document.tasks)
    told = [
        f"{count(document.queries)} test queries that all arms answered, on {count(tasks)} "
        f"task{'s' if tasks > 1 else ''}."
    ]
    before = document.row(document.before)
    if before is not None:
        told.append(f"Before training {before.name} has {decimal(before.quality)} on average.")
    named = document.row(document.recommended)
    shown = [named] if named else document.trained
    parts = [
        f"{row.label} {decimal(row.quality)} ({gain_words(gain)})"
        for row in shown
        if (gain := row.over(document.before))
    ]
    if parts:
        told.append(f"Against it in points of .01, with 95 % intervals: {'; '.join(parts)}.")
    return " ".join(told)


def distill_remarks(document: DistillDocument) -> list[Note]:
    """Claims and alarms, true or not, what luck may have done, and what was left out."""
    found = row_remarks(document, document.facts.cost_basis)
    claims = len(document.statements)
    found[claims:claims] = [_alarmed(row, document) for row in document.trained]
    looked = document.facts.intervals
    if looked:
        words = (
            f"{count(looked)} intervals of students were looked at; without any true difference "
            "one in twenty would leave out 0."
        )
        found.append(Note("info", words))
    students = len(document.trained)
    if students > 1 and document.recommended is None:
        words = (
            f"No student was named beforehand: the best of these {students} was found on the "
            "test queries themselves, so some of its lead may be luck."
        )
        found.append(Note("info", words))
    return found


def _alarmed(row: RowFacts, document: DistillDocument) -> Note:
    """One student's alarms in a sentence."""
    mine = [alarm for alarm in document.alarms if alarm.row == row.name]
    if not mine:
        most = significant(100 * (document.facts.tolerance or 0), 2)
        words = (
            f"{row.label} raises no alarm: it is nowhere clearly worse than before, and on no "
            f"task or domain by more than {most} points."
        )
        return Note("ok", words)
    parts = []
    for verdict in dict.fromkeys(alarm.verdict for alarm in mine):
        places = [
            f"{'overall' if alarm.scope == 'average' else task_name(alarm.name)} "
            f"({points(alarm.gain)} on {count(alarm.queries)})"
            for alarm in mine
            if alarm.verdict == verdict
        ]
        parts.append(f"{verdict} than before: {', '.join(places)}")
    clear = any(alarm.verdict == "worse" for alarm in mine)
    words = f"Alarm for {row.label}, in points on queries: {'; '.join(parts)}."
    return Note("warn" if clear else "info", words)


def figures_of(row: RowFacts, document: DistillDocument) -> list[str]:
    """A row's cells under `HEADS`, as text."""
    is_base, is_control = row.name == document.before, row.name == document.control
    worst = f"{row.worst_task.name} {gain_words(row.worst_task)}"
    control = row.over(document.control) if document.control else None
    return [
        row.label,
        decimal(row.quality),
        MISSING if is_base else gain_words(row.over(document.before)),
        MISSING if is_control else gain_words(control),
        usd(row.cost_usd),
        significant(row.output_tokens),
        percent(row.cut_share),
        MISSING if is_base else worst,
    ]


def alarm_rows(document: DistillDocument) -> list[list[str]]:
    """A heading, then every alarm; empty without any."""
    rows = [
        [
            document.label(alarm.row),
            "overall" if alarm.scope == "average" else f"{alarm.scope} {task_name(alarm.name)}",
            alarm.verdict,
            gain_words(alarm),
            count(alarm.queries),
        ]
        for alarm in document.alarms
    ]
    return [["Student", "Where", "Verdict", "vs before, points", "Queries"], *rows] if rows else []


def flip_rows(document: DistillDocument) -> list[list[str]]:
    """A heading, then per task what each student won and lost; empty where nothing is known."""
    known = {name: flips for name, flips in document.flips.items()
             if len(flips) == len(document.tasks)}  # fmt: skip
    rows = [
        [
            task_name(task.name),
            count(task.queries),
            *(
                f"+{count(flip.won)} / −{count(flip.lost)}, {_chance(flip.p_holm)}"
                for flip in (flips[place] for flips in known.values())
            ),
        ]
        for place, task in enumerate(document.tasks)
    ]
    return [["Task", "Queries", *map(document.label, known)], *rows] if known else []


def _chance(p_value: float | None) -> str:
    """`p .023`; never 0."""
    if p_value is not None and p_value < _LEAST_P:
        return f"p < {_LEAST_P}"
    return f"p {decimal(p_value)}"


def made_rows(document: DistillDocument) -> list[list[str]]:
    """A heading, then how each student was made; empty without any record."""
    heads = ["Student", "Criterion", "Method", "Examples", "Tokens", "Steps", "Epochs", "Last loss",
             "Held-out loss", "Minutes", "Device"]  # fmt: skip
    rows = [
        [
            document.label(name),
            made.criterion or MISSING,
            made.method or MISSING,
            count(made.examples),
            count(made.tokens),
            count(made.steps),
            significant(made.epochs),
            decimal(made.curve[-1][1] if made.curve else None),
            decimal(made.held_out[-1][1] if made.held_out else None),
            significant(None if made.seconds is None else made.seconds / 60),
            made.device or MISSING,
        ]
        for name, made in document.students.items()
    ]
    return [heads, *rows] if rows else []


def source_rows(made: MadeFacts) -> list[tuple[str, str]]:
    """What a student learnt from, and with which settings, as names and values."""
    chosen = made.selection
    rows = [(f"From {part.arm}", _taken(part.taken, part.answers)) for part in chosen.sources]
    asked, covered = chosen.questions.get("asked"), chosen.questions.get("covered")
    if asked is not None:
        rows.append(("Questions with an answer", f"{count(covered)} of {count(asked)}"))
    if any(value is not None for value in chosen.lengths.values()):
        parts = (f"{name} {significant(value)}" for name, value in chosen.lengths.items())
        rows.append(("Tokens of an answer", ", ".join(parts)))
    rows += [(f"Turned away: {why}", count(size)) for why, size in chosen.rejected.items()]
    if made.base:
        rows.append(("Base", made.base))
    rows += [(name, _value(value)) for name, value in made.settings.items()]
    if chosen.fingerprint:
        rows.append(("Fingerprint of the selection", chosen.fingerprint))
    return rows


def _taken(taken: int | None, answers: int | None) -> str:
    return count(taken) if answers is None else f"{count(taken)} of {count(answers)} answers"


def _value(value: str | float | bool | None) -> str:
    return MISSING if value is None else str(value)


def distill_facts(document: DistillDocument) -> list[tuple[str, str]]:
    """What was compared, as names and values."""
    facts = document.facts
    return [
        ("Queries of the table", count(facts.queries)),
        ("Tested on", facts.test_split or "unknown"),
        ("Asked by", facts.strategy or "unknown"),
        ("Loss that is tolerated while it may be chance", f"{points(facts.tolerance)} points"),
        ("Least share of a task that an arm must have answered", percent(facts.min_coverage)),
        ("Intervals of students", count(facts.intervals)),
        ("Bootstrap draws", count(facts.draws)),
        ("Costs", facts.cost_basis or "unknown"),
        ("Fingerprint of the table", facts.fingerprint or "unknown"),
    ]
