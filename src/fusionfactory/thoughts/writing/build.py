"""Building a bank: from a table of outcomes to a directory of thought templates.

A bank grows: what a later build finds for new queries is added, what is there stays, and no note is
paid for twice. `notes.jsonl` holds every note as it was written, `templates.jsonl` the templates
that are left once near-duplicates are merged, `writing.db` what was asked of a summariser, and
`build.json` how the bank was built.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from fusionfactory.calls import run_calls
from fusionfactory.encoders.hashing import HashingEncoder
from fusionfactory.errors import ThoughtError
from fusionfactory.store import Store
from fusionfactory.table import QUERY_COLUMNS
from fusionfactory.thoughts.leaks.check import leaks
from fusionfactory.thoughts.template import (
    NOTES,
    TEMPLATES,
    ThoughtTemplate,
    read_templates,
    write_templates,
)
from fusionfactory.thoughts.writing.asking import PROMPT_VERSION
from fusionfactory.thoughts.writing.merge import THRESHOLD, merge
from fusionfactory.thoughts.writing.record import BuildSummary, read_record
from fusionfactory.thoughts.writing.select import FINALISTS, KEEP, Selection, merged, select
from fusionfactory.thoughts.writing.training import training_rows
from fusionfactory.thoughts.writing.write import Note, Summariser, Written, write_notes
from fusionfactory.types import Query

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from fusionfactory.calls import Progress, Runner
    from fusionfactory.encoders import Encoder
    from fusionfactory.table import OutcomeTable
    from fusionfactory.tasks import Task

__all__ = ["NOTES", "WRITING", "TextWriter", "build"]

WRITING = "writing.db"


class TextWriter(Protocol):
    """Writes notes without calls, as `extractive.ExtractiveWriter` does."""

    @property
    def name(self) -> str:
        """Stands with every template."""
        ...

    @property
    def version(self) -> str:
        """Likewise."""
        ...

    def write(self, selection: Selection, task: Task | None) -> str:
        """The note; empty where there is nothing to say."""
        ...


def build(
    table: OutcomeTable,
    writer: Summariser | TextWriter,
    directory: Path,
    *,
    criteria: Sequence[str] = ("performance",),
    source_arms: Sequence[str] = (),
    keep: int = KEEP,
    finalists: int = FINALISTS,
    min_quality: float = 1.0,
    seed: int = 0,
    split: str | None = "train",
    only: Sequence[str] = (),
    tasks: Mapping[str, Task] | None = None,
    near: float = THRESHOLD,
    encoder: Encoder | None = None,
    budget_usd: float | None = None,
    retry_failed: bool = False,
    progress: Callable[[Progress], None] | None = None,
    run: Runner = run_calls,
) -> BuildSummary:
    """Writes templates for the table's queries into a bank, or adds those that it lacks.

    Args:
        table: With responses.
        writer: An LLM, or a writer without one.
        directory: Of the bank; made if need be.
        criteria: How source answers are chosen; those that choose alike share a template.
        source_arms: Only answers of these arms.
        keep: As `select` has it, like the next three.
        finalists: Likewise.
        min_quality: Likewise.
        seed: Likewise.
        split: As `training_rows` has it.
        only: Only queries of these tasks.
        tasks: Name to task, for the form of the answers; none is told for other tasks.
        near: Cosine from which two notes of a task are merged.
        encoder: Pretrained, for that cosine; hashed words and characters where none is given.
        budget_usd: As `write_notes` has it, like the next three.
        retry_failed: Likewise.
        progress: Likewise.
        run: Likewise.

    Raises:
        ThoughtError: Nothing can be selected (see `select`, `training_rows`), or the bank is
            damaged or another writer's.
        ConfigError, CallError, StoreError: As `write_notes`.
    """
    started_s = time.perf_counter()
    record = read_record(directory, writer.name)
    notes = _held(directory / NOTES)
    if not record.runs:
        _check_writer(notes, writer.name, directory / NOTES)
    own = [template for template in _held(directory / TEMPLATES) if not template.notes]
    choice: dict[str, Any] = {
        "source_arms": list(source_arms),
        "keep": keep,
        "finalists": finalists,
        "min_quality": min_quality,
        "seed": seed,
    }
    rows = training_rows(table, split=split, tasks=only)
    chosen = merged(select(rows, criterion=criterion, **choice) for criterion in criteria)
    new = _lacking(chosen, notes)
    if isinstance(writer, Summariser):
        version = PROMPT_VERSION
        directory.mkdir(parents=True, exist_ok=True)
        with Store(directory / WRITING) as store:
            written = write_notes(
                store, writer, new, tasks=tasks, budget_usd=budget_usd, retry_failed=retry_failed,
                progress=progress, run=run,
            )  # fmt: skip
    else:
        version = writer.version
        written = Written(tuple(_own(writer, s, tasks or {}) for s in new), 0, ())
    notes = _joined(
        [*notes, *(_template(n, writer.name, version) for n in written.notes if n.text)]
    )
    encoder = encoder or HashingEncoder()
    vectors = encoder.encode([note.text for note in notes])
    templates = merge(notes, vectors, threshold=near, gives_away=_leaky(table))
    merged_away = len(notes) - len(templates)
    templates += own
    summary = replace(
        _told(BuildSummary(writer.name, version, len(rows), 0, 0), written),
        unanswered=len(rows) - len({selection.query.id for selection in chosen}),
        held=len(chosen) - len(new),
        templates=len(templates),
        merged=merged_away,
        tasks=dict(sorted(Counter(t.task or "" for t in templates).items())),
        seconds=time.perf_counter() - started_s,
    )
    write_templates(notes, directory / NOTES)
    write_templates(templates, directory / TEMPLATES)
    settings = {"criteria": list(criteria), **choice, "split": split, "only": list(only)}
    record.add({**settings, "near": near}, summary).save(directory)
    return summary


def _held(path: Path) -> list[ThoughtTemplate]:
    return read_templates(path) if path.exists() else []


def _check_writer(notes: Sequence[ThoughtTemplate], writer: str, path: Path) -> None:
    """Looks at the notes of a first build that was cut short before its record was written."""
    for row, note in enumerate(notes, 1):
        if note.writer != writer:
            msg = (
                f"the note was written by {note.writer!r}, not {writer!r}: build into another "
                "directory, so that templates of two writers are not mixed"
            )
            raise ThoughtError(msg, file=path, row=row, field="writer")


def _joined(notes: Sequence[ThoughtTemplate]) -> list[ThoughtTemplate]:
    """Each note once: what a later criterion chose alike adds that criterion to the note."""
    by_id: dict[str, ThoughtTemplate] = {}
    for note in notes:
        there = by_id.get(note.id, note)
        criteria = dict.fromkeys((*there.criteria, *note.criteria))
        by_id[note.id] = replace(there, criteria=tuple(criteria))
    return list(by_id.values())


def _leaky(table: OutcomeTable) -> Callable[[str, ThoughtTemplate], bool]:
    """Whether a text gives away the answer to a note's question; of one not in the table, yes."""
    queries = {row[0]: Query(*row) for row in table.queries.select(QUERY_COLUMNS).rows()}

    def gives_away(text: str, note: ThoughtTemplate) -> bool:
        query = queries.get(note.sources[0].query_id)
        return query is None or bool(leaks(text, query))

    return gives_away


def _lacking(chosen: Sequence[Selection], notes: Sequence[ThoughtTemplate]) -> list[Selection]:
    """The selections without a note in the bank, each for the criteria that lack one."""
    there = {
        (query_id, criterion)
        for note in notes
        for query_id in note.query_ids
        for criterion in note.criteria
    }
    found = []
    for selection in chosen:
        criteria = tuple(c for c in selection.criteria if (selection.query.id, c) not in there)
        if criteria:
            found.append(replace(selection, criteria=criteria))
    return found


def _own(writer: TextWriter, selection: Selection, tasks: Mapping[str, Task]) -> Note:
    text = writer.write(selection, tasks.get(selection.query.task or "")).strip()
    found = tuple(leaks(text, selection.query))
    return Note(selection, "" if found else text, found)


def _template(note: Note, writer: str, version: str) -> ThoughtTemplate:
    query = note.selection.query
    return ThoughtTemplate(
        text=note.text,
        question=query.text,
        answer=note.selection.sources[0].response or "",
        sources=note.selection.keys,
        criteria=note.selection.criteria,
        writer=writer,
        prompt_version=version,
        task=query.task,
        domain=query.domain,
    )


def _told(summary: BuildSummary, written: Written) -> BuildSummary:
    """The summary with what writing came to."""
    notes = written.notes
    errors: Counter[str] = Counter()
    for note in notes:
        errors.update([] if note.error is None else [note.error])
    return replace(
        summary,
        written=sum(bool(note.text) for note in notes),
        again=sum(note.again and bool(note.text) for note in notes),
        cut=sum(note.cut for note in notes),
        leaky=sum(bool(note.leaks) for note in notes),
        kinds=dict(Counter(kind for note in notes for kind in {x.kind for x in note.leaks})),
        unusable=sum(not (note.text or note.leaks or note.error) for note in notes),
        failed=errors.total(),
        left=written.left,
        spent_usd=sum(done.spent_usd for done in written.rounds),
        unpriced=sum(done.unpriced for done in written.rounds),
        errors=dict(errors.most_common()),
        stopped=tuple(reason for done in written.rounds for reason in done.stopped),
    )
