"""What is claimed of a student, checked on a comparison's rows and said in words, true or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fusionfactory.standing import measured

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fusionfactory.distill.comparing.lineup import Lineup

__all__ = ["statements"]

_LEVEL = 0.05
_NOTHING = 1e-9


def statements(
    row: Mapping[str, Any],
    tasks: Sequence[Mapping[str, Any]],
    flipped: Sequence[Mapping[str, Any]],
    lineup: Lineup,
    tolerance: float,
) -> list[dict[str, Any]]:
    """Four claims: name of the row, claim, whether it holds, and the words.

    Args:
        row: Of the student.
        tasks: Of the comparison.
        flipped: Per task, answers won and lost, with corrected p-values.
        lineup: Who is who; without a control the claim about it is open.
        tolerance: What a student may lose on a task, in quality.
    """
    made = (
        ("better-overall", _overall(row, lineup)),
        ("better-on-tasks", _on_tasks(row, tasks, flipped, lineup)),
        ("no-task-worse", _no_task_worse(row, tasks, lineup, tolerance)),
        ("above-label-only", _above_control(row, lineup)),
    )
    return [
        {"row": row["name"], "claim": claim, "holds": holds, "words": words}
        for claim, (holds, words) in made
    ]


def _overall(row: Mapping[str, Any], lineup: Lineup) -> tuple[bool | None, str]:
    figure = row["against"][lineup.before]
    gain, clear = figure["gain"], _is_clear(figure)
    words = f"{measured(figure)}, {'' if clear else 'not '}clear of chance."
    if gain < 0:
        return False, f"{row['label']} ends below {lineup.yardstick} overall: {words}"
    if gain == 0:
        return None, f"{row['label']} ends where it began overall: {words}"
    above = "better than" if clear else "above"
    return clear or None, f"{row['label']} is {above} {lineup.yardstick} overall: {words}"


def _on_tasks(
    row: Mapping[str, Any],
    tasks: Sequence[Mapping[str, Any]],
    flipped: Sequence[Mapping[str, Any]],
    lineup: Lineup,
) -> tuple[bool, str]:
    figures = [part["against"][lineup.before] for part in row["tasks"]]
    above = [
        f"{task['name']} {measured(figure)}"
        for task, figure in zip(tasks, figures, strict=True)
        if _is_clear(figure) and figure["gain"] > 0
    ]
    sure = [
        task["name"]
        for task, flip in zip(tasks, flipped, strict=True)
        if flip["p_holm"] < _LEVEL and flip["won"] > flip["lost"]
    ]
    words = (
        f"{row['label']} is better than {lineup.yardstick} on {len(above)} of {len(tasks)} tasks"
    )
    told = f"{words}{': ' + '; '.join(above) if above else ''}."
    kept = f"on {', '.join(sure)}" if sure else "on none"
    return bool(above), f"{told} Corrected for all tasks and students, {kept} (sign test, Holm)."


def _no_task_worse(
    row: Mapping[str, Any], tasks: Sequence[Mapping[str, Any]], lineup: Lineup, tolerance: float
) -> tuple[bool, str]:
    below = [
        task["name"]
        for task, part in zip(tasks, row["tasks"], strict=True)
        if part["against"][lineup.before]["gain"] < -tolerance - _NOTHING
    ]
    worst = row["worst_task"]
    size = next(task["queries"] for task in tasks if task["name"] == worst["name"])
    evidence = f"its worst is {worst['name']}, {measured(worst)} on {size} queries"
    much = f"below {lineup.yardstick} by more than {100 * tolerance:g} points"
    if below:
        named = ", ".join(below)
        words = f"is {much} on {len(below)} of {len(tasks)} tasks ({named}); {evidence}."
    else:
        words = f"is on no task {much}; {evidence}."
    return not below, f"{row['label']} {words}"


def _above_control(row: Mapping[str, Any], lineup: Lineup) -> tuple[bool | None, str]:
    if lineup.control is None or lineup.control not in row["against"]:
        return None, f"{row['label']} has no label-only control to be held against."
    figure = row["against"][lineup.control]
    above, clear = figure["gain"] > 0, _is_clear(figure)
    words = (
        f"{row['label']} is {'' if above else 'not '}above the label-only control overall: "
        f"{measured(figure)}, {'' if clear else 'not '}clear of chance."
    )
    return (clear or None) if above else False, words


def _is_clear(figure: Mapping[str, Any]) -> bool:
    low, high = figure["ci95"]
    return low is not None and (low > 0 or high < 0)
