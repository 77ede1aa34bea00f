"""Where a student is worse than the model before training: overall, by domain and by task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fusionfactory.standing import measured

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["MAYBE", "WORSE", "alarms"]

WORSE, MAYBE = "worse", "perhaps worse"
"""The interval lies below 0; the gain is below what is tolerated, but the interval is not."""

_NOTHING = 1e-9


def alarms(
    row: Mapping[str, Any],
    scopes: Mapping[str, Sequence[Mapping[str, Any]]],
    before: str,
    tolerance: float,
) -> Iterator[dict[str, Any]]:
    """One student's alarms, with sample sizes and in words.

    Args:
        row: Of the student, from `Standings`.
        scopes: `average`, `domain` and `task` to names and numbers of queries, in the row's order.
        before: Name of the row that it is held against.
        tolerance: Loss below which a task or domain without a clear loss raises none, in quality.
    """
    figures = {"average": [row], "domain": row["domains"], "task": row["tasks"]}
    for scope, parts in scopes.items():
        for part, found in zip(parts, figures[scope], strict=True):
            figure = found["against"][before]
            verdict = _verdict(figure, tolerance)
            if verdict is None:
                continue
            named = f"the {scope} {part['name']}" if part["name"] else f"queries without a {scope}"
            place = "overall" if scope == "average" else f"on {named}"
            yield {
                "row": row["name"],
                "scope": scope,
                "name": part["name"],
                "verdict": verdict,
                "queries": part["queries"],
                **figure,
                "words": (
                    f"{row['label']} is {verdict} than before {place}: {measured(figure)} on "
                    f"{part['queries']} queries."
                ),
            }


def _verdict(figure: Mapping[str, Any], tolerance: float) -> str | None:
    high = figure["ci95"][1]
    if high is not None and high < 0:
        return WORSE
    return MAYBE if figure["gain"] < -tolerance - _NOTHING else None
