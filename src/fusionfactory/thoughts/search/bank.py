"""A bank as it is searched: each note under its own question, with the text of its template.

Merging leaves few texts where many questions are alike, but a new question is nearest to one of the
questions, and an example is a question with its own answer. So every note stays a row of the index,
and near-duplicates only share their text.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fusionfactory.thoughts.template import NOTES, TEMPLATES, read_templates

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.thoughts.template import ThoughtTemplate

__all__ = ["read_bank"]


def read_bank(directory: Path) -> list[ThoughtTemplate]:
    """The templates of a directory, one for each note that they stand for.

    Returns:
        In the order of `templates.jsonl`, the note that a text was written for before those that
        share it. Each has question, answer and criteria of its note; its sources are the first that
        its text was written from, then the note's own. A template whose notes are not there, such
        as one that a user has added, is given as it is.

    Raises:
        ThoughtError: There are no templates, or a file is damaged.
    """
    templates = read_templates(directory / TEMPLATES)
    there = read_templates(directory / NOTES) if (directory / NOTES).exists() else []
    notes = {note.id: note for note in there}
    return [
        shown
        for template in templates
        for shown in [_under(notes[i], template) for i in template.notes if i in notes]
        or [template]
    ]


def _under(note: ThoughtTemplate, template: ThoughtTemplate) -> ThoughtTemplate:
    sources = dict.fromkeys((template.sources[0], *note.sources))
    return replace(note, text=template.text, sources=tuple(sources))
