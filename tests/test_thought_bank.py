"""A bank as it is searched: every note under its own question, near-duplicates with one text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.encoders.hashing import HashingEncoder
from fusionfactory.thoughts.prompter import Prompter
from fusionfactory.thoughts.search.bank import read_bank
from fusionfactory.thoughts.search.indexing import index_bank
from fusionfactory.thoughts.template import (
    NOTES,
    TEMPLATES,
    Source,
    ThoughtTemplate,
    write_templates,
)
from fusionfactory.thoughts.writing.merge import merge
from fusionfactory.types import Query

if TYPE_CHECKING:
    from pathlib import Path

ADD = "Add the numbers from left to right and check the last digit."
SPELL = "Spell the word letter by letter and turn the letters round."
QUESTIONS = {"a": "Add 3 and 4.", "b": "Add 50 and 6.", "c": "Spell tree backwards."}


def note(name: str, text: str) -> ThoughtTemplate:
    source = Source(name, "m")
    return ThoughtTemplate(
        text, QUESTIONS[name], f"answer {name}", (source,), ("performance",), "w", "1", "t"
    )


def bank(folder: Path) -> list[ThoughtTemplate]:
    notes = [note("a", ADD), note("b", ADD), note("c", SPELL)]
    write_templates(notes, folder / NOTES)
    merged = merge(notes, np.array([[1.0, 0], [1, 0], [0, 1]]))
    write_templates(merged, folder / TEMPLATES)
    index_bank(folder, HashingEncoder())
    return merged


def shown(prompter: Prompter, query: Query, strategy: str) -> list[str]:
    return [one.template.question for one in prompter.find([query], strategy)[0]]


def test_merged_notes_stay_under_their_own_questions(tmp_path: Path) -> None:
    assert len(bank(tmp_path)) == 2
    found = {one.question: one for one in read_bank(tmp_path)}
    assert {question: one.text for question, one in found.items()} == {
        QUESTIONS["a"]: ADD,
        QUESTIONS["b"]: ADD,
        QUESTIONS["c"]: SPELL,
    }
    assert found[QUESTIONS["b"]].answer == "answer b"
    first = next(one for one in read_bank(tmp_path) if one.text == ADD).sources[0]
    assert {one.sources[0] for one in found.values() if one.text == ADD} == {first}


def test_the_nearest_question_is_shown_and_no_text_twice(tmp_path: Path) -> None:
    bank(tmp_path)
    prompter = Prompter.load(tmp_path)
    query = Query("new", "Add 50 and 7.", "t")
    assert shown(prompter, query, "thought:3") == [QUESTIONS["b"], QUESTIONS["c"]]
    assert shown(prompter, query, "few-shot:3") == [QUESTIONS[name] for name in "bac"]


def test_no_question_sees_a_text_that_was_written_for_it(tmp_path: Path) -> None:
    bank(tmp_path)
    prompter = Prompter.load(tmp_path)
    author = next(one for one in read_bank(tmp_path) if one.text == ADD).sources[0].query_id
    other = "b" if author == "a" else "a"
    assert shown(prompter, Query(author, QUESTIONS[author], "t"), "thought:3") == [QUESTIONS["c"]]
    same_text = Query("elsewhere", QUESTIONS[author].upper(), "t")
    assert shown(prompter, same_text, "thought:3") == [QUESTIONS["c"]]
    assert shown(prompter, Query(other, QUESTIONS[other], "t"), "thought:3") == [
        QUESTIONS[author],
        QUESTIONS["c"],
    ]


def test_a_template_of_the_users_own_needs_no_note(tmp_path: Path) -> None:
    own = note("c", SPELL)
    write_templates([own], tmp_path / TEMPLATES)
    assert read_bank(tmp_path) == [own]
