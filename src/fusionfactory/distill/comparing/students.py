"""How a student was made, for a report: what its record tells, and the selection it learnt from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fusionfactory.distill.training.record import StudentRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from fusionfactory.distill.selection import Selection

__all__ = ["student_facts"]


def student_facts(folder: Path, selections: Iterable[Selection] = ()) -> dict[str, Any]:
    """JSON values on training and selection, for `compare_students(records=...)`.

    Args:
        folder: Of the student.
        selections: Of these, the one that it learnt from is told of, known by its fingerprint.

    Raises:
        DistillError: The folder holds no finished student, or its record is damaged.
    """
    record = StudentRecord.load(folder)
    data = record.data
    mine = next((one for one in selections if one.fingerprint() == data.fingerprint), None)
    report = {} if mine is None else mine.report
    return {
        "base": record.base.name,
        "method": record.method,
        "criterion": data.criterion,
        "device": record.device,
        "examples": data.examples,
        "tokens": record.tokens,
        "steps": record.steps,
        "epochs": record.epochs,
        "seconds": record.seconds,
        "settings": {
            "parameters of the base": record.base.parameters,
            "parameters trained": record.trainable,
            "dtype": record.dtype,
            "examples held out": data.validation,
            "examples too long": data.too_long,
            "step kept": record.steps if record.best_step is None else record.best_step,
            **{name: value for name, value in record.settings.items() if _is_plain(value)},
        },
        "loss": [list(point) for point in record.losses],
        "validation": [list(point) for point in record.validation],
        "selection": {
            "fingerprint": data.fingerprint,
            "questions": report.get("questions", {}),
            "sources": _sources(data.sources, report),
            "lengths": report.get("lengths", {}),
            "rejected": report.get("rejected", {}),
        },
    }


def _sources(taken: Mapping[str, int], report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Arms that were learnt from, most first, with the answers that they had to offer if known."""
    answers = {part["arm"]: part["answers"] for part in report.get("arms", ())}
    ordered = sorted(taken, key=lambda arm: (-taken[arm], arm))
    return [{"arm": arm, "answers": answers.get(arm), "taken": taken[arm]} for arm in ordered]


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | float | bool)
