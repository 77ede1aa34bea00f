"""RouterDC: a list of questions with a score per LLM."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fusionfactory.errors import FormatError
from fusionfactory.importers.files import read_objects
from fusionfactory.importers.rows import Rows, needed

if TYPE_CHECKING:
    from fusionfactory.table import OutcomeTable

__all__ = ["read"]


def read(path: str | Path, *, task: str = "") -> OutcomeTable:
    """Reads `[{question, scores: {llm: score}, cluster_id}]`, JSON or JSONL.

    The format has no costs. A null score is missing.

    Args:
        path: The file.
        task: Task of all questions.

    Raises:
        FormatError: The content is malformed.
    """
    path = Path(path)
    rows = Rows(
        {"task_name": "task", "query": "question", "llm": "scores", "performance": "scores"}
    )
    for row, item in read_objects(path):
        question = needed(item, "question", path, row)
        scores = needed(item, "scores", path, row)
        if not isinstance(scores, dict):
            msg = f"is a {type(scores).__name__}, expected an object of LLM to score"
            raise FormatError(msg, file=path, row=row, field="scores")
        for llm, score in scores.items():
            values = {"task_name": task, "query": question, "llm": llm, "performance": score}
            rows.add(path, row, values)
    return rows.table(path)
