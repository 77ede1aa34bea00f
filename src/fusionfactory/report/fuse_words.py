"""What a comparison of levels says, in words and rows that every form shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.report.figures import MISSING, count, decimal, usd
from fusionfactory.report.findings import Note
from fusionfactory.report.heatmap import task_name
from fusionfactory.report.row_words import Look, gain_words, row_remarks

if TYPE_CHECKING:
    from fusionfactory.report.fuse_document import FuseDocument
    from fusionfactory.report.rows import RowFacts

__all__ = ["FUSE_MEANINGS", "FUSE_PROTOCOL", "HEADS", "chosen_rows", "figures_of", "fuse_lead",
           "fuse_look", "fuse_remarks", "task_rows"]  # fmt: skip

HEADS = ("Row", "Quality", "vs best single, points", "vs best level per task, points",
         "USD per 1,000", "Worst task vs best single, points")  # fmt: skip

FUSE_PROTOCOL = (
    "Levels are compared on the test queries to which every row’s answer is scored. A task’s mean "
    "is over its queries, a domain’s over its tasks and the average over all tasks, so that a task "
    "weighs the same however many queries it has: these averages are not the means over queries of "
    "the leaderboard. An interval is a 95 % bootstrap interval of the paired difference over all "
    "seeds, near-duplicates together. A level’s best arm, and the best level per task, are chosen "
    "on the train side; what routers and plans do there is known out of fold. A plan costs what "
    "all the arms that it called cost."
)

FUSE_MEANINGS = {
    "Best single arm": "The arm that was best on train, for every query.",
    "Direct, think, other prompts": "The best arm of plain prompts, of “Let’s think step by step”, "
                                    "of format-only and few-shot prompts.",
    "Query level": "A router between direct and think arms: an arm per query.",
    "Thought level": "The best arm whose prompts carry thought templates.",
    "Model level": "The best distilled model.",
    "Plans": "Ask arms in an order and stop when the answers are good enough.",
    "Best level per task": "Per true task label the level or plan that was best on train: "
                                 "what a careful person would set up by hand.",
    "Fused choice": "A router between all arms and plans of all levels, without the task label.",
}  # fmt: skip


def fuse_look(document: FuseDocument) -> Look:
    """Rows are held against the best single arm."""
    return Look(
        document.base,
        "the best single arm",
        colours={"single": "k-zero", "plan": "k-thought", "fused": "k-gate"},
        key={"k-zero": "best single arm", "k-control": "levels", "k-thought": "plans",
             "k-gate": "fused"},
    )  # fmt: skip


def fuse_lead(document: FuseDocument) -> str:
    """What the fused choice gains over the best single arm and the best level per task."""
    tasks = len(document.tasks)
    told = [
        f"{count(document.different)} test queries on {count(tasks)} "
        f"task{'' if tasks == 1 else 's'}, each task weighing the same."
    ]
    if document.judged:
        told.append("Quality is the judge’s score.")
    base, fixed = document.row(document.base), document.row(document.fixed)
    if base is not None:
        arm = document.chosen.get(document.base)
        named = f" ({arm})" if arm else ""
        told.append(f"The best single arm{named} has {decimal(base.quality)}.")
    if fixed is not None:
        told.append(f"The best fixed level per task has {decimal(fixed.quality)}.")
    told += [
        f"One choice per query among all of them has {decimal(row.quality)}: in points of .01 "
        f"{gain_words(row.over(document.base))} against the one and "
        f"{gain_words(row.over(document.fixed))} against the other, with 95 % intervals."
        for row in document.rows
        if row.kind == "fused"
    ]
    return " ".join(told)


def fuse_remarks(document: FuseDocument) -> list[Note]:
    """The claims, true or not, what was left out, and what limits the plans."""
    found = row_remarks(document, cost_basis="")
    if document.plans_left_out:
        found.append(Note("info", f"Plans are left out: {document.plans_left_out}."))
    found += [Note("warn", f"{note}.") for note in document.plan_notes]
    return found


def figures_of(row: RowFacts, document: FuseDocument) -> list[str]:
    """A row's cells under `HEADS`, as text."""
    is_base, is_fixed = row.name == document.base, row.name == document.fixed
    worst = f"{task_name(row.worst_task.name)} {gain_words(row.worst_task)}"
    return [
        row.label,
        decimal(row.quality),
        MISSING if is_base else gain_words(row.over(document.base)),
        MISSING if is_fixed else gain_words(row.over(document.fixed)),
        usd(row.cost_usd),
        MISSING if is_base else worst,
    ]


def chosen_rows(document: FuseDocument) -> list[list[str]]:
    """A heading, then every level's number of arms and the one that was best on train."""
    rows = [
        [document.label(level.name), count(len(level.arms)),
         document.chosen.get(level.name, "one per query")]
        for level in document.levels
    ]  # fmt: skip
    return [["Level", "Arms", "Best on train"], *rows] if rows else []


def task_rows(document: FuseDocument) -> list[list[str]]:
    """A heading, then the level that was best on train for every task."""
    rows = [[task_name(task), document.label(name)] for task, name in document.task_levels.items()]
    return [["Task", "Best level on train"], *rows] if rows else []
