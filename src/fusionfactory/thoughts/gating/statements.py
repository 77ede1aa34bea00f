"""What is claimed of the gates, checked on a comparison's rows and said in words, true or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fusionfactory.standing import measured

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ALLOWANCE", "statements"]

ALLOWANCE = 0.005
"""What a gate may lose on a task against zero-shot: half a point."""

_NOTHING = 1e-9


def statements(
    rows: Sequence[Mapping[str, Any]],
    tasks: Sequence[Mapping[str, Any]],
    gates: Sequence[str],
    baseline: str,
    control: str,
) -> list[dict[str, Any]]:
    """Two claims about every gate: name of the row, claim, whether it holds, and the words.

    Args:
        rows: Of the comparison.
        tasks: Of the comparison.
        gates: Names of the rows to speak of; those that are absent are passed over.
        baseline: Name of the row that may not be undercut.
        control: Name of the row that must be beaten; where it is absent, the claim is open.
    """
    made = []
    for row in rows:
        if row["name"] in gates:
            made.append(_never_below(row, tasks, baseline))
            made.append(_above(row, control))
    return made


def _never_below(
    row: Mapping[str, Any], tasks: Sequence[Mapping[str, Any]], baseline: str
) -> dict[str, Any]:
    found = [part["against"][baseline] for part in row["tasks"]]
    below = [
        task["name"]
        for task, part in zip(tasks, found, strict=True)
        if part["gain"] < -ALLOWANCE - _NOTHING
    ]
    worst = row["worst_task"]
    size = next(task["queries"] for task in tasks if task["name"] == worst["name"])
    evidence = f"{worst['name']}, {measured(worst)} on {size} queries"
    if below:
        words = (
            f"{row['label']} is below zero-shot by more than half a point on {len(below)} of "
            f"{len(tasks)} tasks ({', '.join(below)}); its worst is {evidence}."
        )
    else:
        words = (
            f"{row['label']} is on no task below zero-shot by more than half a point; its worst is "
            f"{evidence}."
        )
    return {
        "row": row["name"],
        "claim": "never-below-zero-shot",
        "holds": not below,
        "words": words,
    }


def _above(row: Mapping[str, Any], control: str) -> dict[str, Any]:
    claim = {"row": row["name"], "claim": "above-format-only"}
    found = row["against"].get(control)
    if found is None:
        words = f"{row['label']} has no format-only control to be held against."
        return claim | {"holds": None, "words": words}
    above = found["gain"] > 0
    low, high = found["ci95"]
    clear = low is not None and (low > 0 or high < 0)
    words = (
        f"{row['label']} is {'' if above else 'not '}above format-only on average: "
        f"{measured(found)}, {'clear of' if clear else 'not clear of'} chance."
    )
    return claim | {"holds": above, "words": words}
