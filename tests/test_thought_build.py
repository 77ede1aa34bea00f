"""Building a bank: what it holds, how it grows, and that nothing is paid or written twice."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from fake_judge import PRICE, FakeClient
from fake_outcomes import outcome_table
from fusionfactory.demo import bundled_log
from fusionfactory.errors import CallError, ThoughtError
from fusionfactory.store import Store
from fusionfactory.tasks import Task, plain_task
from fusionfactory.thoughts.leaks.check import leaks
from fusionfactory.thoughts.search.bank import read_bank
from fusionfactory.thoughts.template import TEMPLATES, read_templates, write_templates
from fusionfactory.thoughts.writing.build import NOTES, WRITING, build
from fusionfactory.thoughts.writing.record import BUILD
from fusionfactory.thoughts.writing.training import training_rows
from fusionfactory.thoughts.writing.write import Summariser
from fusionfactory.types import Query

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fusionfactory.clients import ChatRequest
    from fusionfactory.table import OutcomeTable
    from fusionfactory.thoughts.writing.select import Selection

ARMS = ("a", "b")


def question(number: int, split: str | None = None) -> Query:
    task = "sums" if number % 2 else "words"
    return Query(
        f"q{number}", f"Question {number}?", task, "own", f"gold{number}", "contains", split
    )


def table(count: int, split: str | None = None, first: int = 0) -> OutcomeTable:
    """Both arms are right; `a` is cheaper, the judge prefers `b` on every third query."""
    rows = range(first, first + count)
    return outcome_table(
        [question(i, split) for i in rows],
        ARMS,
        [[1, 1]] * count,
        cost=[[1.0, 2.0]] * count,
        judge=[[0.6, 0.8] if i % 3 == 0 else [0.8, 0.6] for i in rows],
    )


NUMBERS = ("zero", "one", "two", "three", "four", "five", "six")


def note(selection: Selection) -> str:
    """One that no other query has, and no near-duplicate of it."""
    name = NUMBERS[int(selection.query.id[1:])]
    return f"{name} {name[::-1]} {name * 2}: {selection.sources[0].arm} goes first."


@dataclass
class Hand:
    """Writes by a function, without calls; remembers what it wrote from."""

    write_one: Callable[[Selection], str] = note
    name: str = "hand"
    version: str = "hand-1"
    seen: list[tuple[Selection, Task | None]] = field(default_factory=list)

    def write(self, selection: Selection, task: Task | None) -> str:
        self.seen.append((selection, task))
        return self.write_one(selection)


def facts(bank: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((bank / BUILD).read_text(encoding="utf-8"))
    return found


# What a bank holds


def test_a_template_says_what_it_was_written_from(tmp_path: Path) -> None:
    done = build(table(4), Hand(), tmp_path / "bank", keep=1)
    assert (done.queries, done.written, done.templates, done.unanswered) == (4, 4, 4, 0)
    assert done.tasks == {"sums": 2, "words": 2}
    first = read_templates(tmp_path / "bank" / TEMPLATES)[0]
    assert first.text == "zero orez zerozero: a goes first."
    assert (first.question, first.answer, first.task, first.domain) == (
        "Question 0?", "a on q0", "words", "own",
    )  # fmt: skip
    assert first.sources == (("q0", "a", 0),)
    assert (first.criteria, first.writer, first.prompt_version) == (
        ("performance",), "hand", "hand-1",
    )  # fmt: skip


def test_the_record_tells_settings_and_counts(tmp_path: Path) -> None:
    build(table(2), Hand(), tmp_path, source_arms=["b"], seed=7)
    record = facts(tmp_path)
    assert (record["writer"], record["format"]) == ("hand", 1)
    (run,) = record["runs"]
    assert run["settings"]["source_arms"] == ["b"]
    assert (run["settings"]["seed"], run["settings"]["keep"]) == (7, 3)
    assert run["summary"]["written"] == 2


def test_criteria_that_choose_alike_share_a_note(tmp_path: Path) -> None:
    writer = Hand()
    build(table(4), writer, tmp_path, criteria=["performance", "judge"], keep=1)
    found = {(s.query.id, s.criteria) for s, _ in writer.seen}
    assert found == {
        ("q0", ("performance",)), ("q0", ("judge",)), ("q1", ("performance", "judge")),
        ("q2", ("performance", "judge")), ("q3", ("performance",)), ("q3", ("judge",)),
    }  # fmt: skip


def test_the_writer_is_told_the_task(tmp_path: Path) -> None:
    writer, task = Hand(), plain_task("sums")
    build(table(2), writer, tmp_path, tasks={"sums": task})
    assert [told for _, told in writer.seen] == [None, task]


def test_a_note_that_gives_the_answer_away_is_dropped(tmp_path: Path) -> None:
    def leaky(selection: Selection) -> str:
        return "Say gold1 then." if selection.query.id == "q1" else note(selection)

    done = build(table(3), Hand(leaky), tmp_path)
    assert (done.written, done.leaky, done.kinds) == (2, 1, {"target": 1})
    assert {t.sources[0].query_id for t in read_templates(tmp_path / TEMPLATES)} == {"q0", "q2"}


def test_a_writer_with_nothing_to_say_is_counted(tmp_path: Path) -> None:
    done = build(table(3), Hand(lambda s: " " if s.query.id == "q1" else note(s)), tmp_path)
    assert (done.written, done.unusable, done.leaky) == (2, 1, 0)


def test_queries_without_a_right_answer_are_counted(tmp_path: Path) -> None:
    log = replace(table(3), quality=table(3).quality * [[1, 1], [0, 0], [0, 1]])
    done = build(log, Hand(), tmp_path)
    assert (done.queries, done.unanswered, done.written) == (3, 1, 2)


def test_near_duplicates_are_merged_and_notes_kept(tmp_path: Path) -> None:
    done = build(table(6), Hand(lambda s: f"{s.query.task}: add the parts, say it."), tmp_path)
    assert (done.written, done.templates, done.merged) == (6, 2, 4)
    templates = read_templates(tmp_path / TEMPLATES)
    assert {frozenset(t.query_ids) for t in templates} == {
        frozenset({"q0", "q2", "q4"}), frozenset({"q1", "q3", "q5"}),
    }  # fmt: skip
    assert len(read_templates(tmp_path / NOTES)) == 6
    again = build(table(7), Hand(lambda s: f"{s.query.task}: add the parts, say it."), tmp_path)
    assert (again.written, again.held, again.templates, again.merged) == (1, 6, 2, 5)


# How it grows


def test_a_second_build_writes_only_what_is_new(tmp_path: Path) -> None:
    build(table(4), Hand(), tmp_path)
    before = read_templates(tmp_path / TEMPLATES)
    writer = Hand()
    done = build(table(5, first=2), writer, tmp_path)
    assert [s.query.id for s, _ in writer.seen] == ["q4", "q5", "q6"]
    assert (done.held, done.written, done.templates) == (2, 3, 7)
    after = read_templates(tmp_path / TEMPLATES)
    assert after[:4] == before
    assert len(facts(tmp_path)["runs"]) == 2


def test_a_second_criterion_adds_its_own(tmp_path: Path) -> None:
    build(table(4), Hand(), tmp_path, keep=1)
    writer = Hand()
    both = build(table(4), writer, tmp_path, criteria=["performance", "judge"], keep=1)
    assert all(s.criteria == ("judge",) for s, _ in writer.seen)
    assert (both.held, both.written, both.templates) == (2, 4, 6)
    by_query = {
        (t.sources[0].query_id, t.sources[0].arm): t.criteria
        for t in read_templates(tmp_path / TEMPLATES)
    }
    assert by_query["q1", "a"] == ("performance", "judge")
    assert by_query["q0", "b"] == ("judge",)


def test_criteria_that_choose_alike_later_share_the_note_too(tmp_path: Path) -> None:
    build(table(3, first=1), Hand(), tmp_path)
    build(table(3, first=1), Hand(), tmp_path, criteria=["judge"])
    criteria = {t.sources[0].query_id: t.criteria for t in read_bank(tmp_path)}
    assert criteria["q1"] == criteria["q2"] == ("performance", "judge")


def test_a_merged_text_gives_no_answer_of_another_question_away(tmp_path: Path) -> None:
    advice = "Read all of the words slowly, then compare each of them with {} and count twice."
    named = {"q1": "gold3", "q3": "gold1"}
    queries = [question(i) for i in (1, 3, 5)]
    rows = outcome_table(queries, ARMS, [[1, 1]] * 3)
    writer = Hand(lambda s: advice.format(named.get(s.query.id, "gold9")))
    assert build(rows, writer, tmp_path, near=0.5).merged == 1
    shown = {template.question: template.text for template in read_bank(tmp_path)}
    assert not any(leaks(shown[query.text], query) for query in queries)


def test_a_template_of_the_users_own_is_kept(tmp_path: Path) -> None:
    build(table(2), Hand(), tmp_path)
    first, *rest = read_templates(tmp_path / TEMPLATES)
    own = replace(first, text="My own advice.", writer="me", notes=())
    write_templates([first, *rest, own], tmp_path / TEMPLATES)
    assert build(table(3), Hand(), tmp_path).templates == 4
    assert build(table(3), Hand(), tmp_path).templates == 4
    assert read_templates(tmp_path / TEMPLATES)[-1] == own


def test_a_bank_whose_record_is_lost_has_one_writer_too(tmp_path: Path) -> None:
    build(table(2), Hand(), tmp_path)
    (tmp_path / BUILD).unlink()
    with pytest.raises(ThoughtError, match=r"notes.jsonl, row 1, field 'writer': the note was"):
        build(table(3), Hand(name="other"), tmp_path)
    assert build(table(3), Hand(), tmp_path).held == 2


def test_a_bank_has_one_writer(tmp_path: Path) -> None:
    build(table(2), Hand(), tmp_path)
    with pytest.raises(ThoughtError, match=r"build.json, field 'writer': the bank was written by"):
        build(table(3), Hand(name="other"), tmp_path)
    assert len(read_templates(tmp_path / TEMPLATES)) == 2


@pytest.mark.parametrize(("content", "message"), [
    ("{", "build.json: Invalid JSON"),
    ('{"writer": "hand", "format": 2}', "build.json, field 'format': Input should be 1"),
    ('{"format": 1}', "build.json, field 'writer': Field required"),
])  # fmt: skip
def test_a_damaged_record(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / BUILD).write_text(content, encoding="utf-8")
    with pytest.raises(ThoughtError, match=message):
        build(table(2), Hand(), tmp_path)


def test_a_damaged_note_names_file_and_row(tmp_path: Path) -> None:
    build(table(2), Hand(), tmp_path)
    with (tmp_path / NOTES).open("a", encoding="utf-8") as file:
        file.write('{"id": "x"}\n')
    with pytest.raises(ThoughtError, match=r"notes.jsonl, row 3, field 'text': Field required"):
        build(table(3), Hand(), tmp_path)


# By a summariser; a call of the fake costs 0.002 USD


@dataclass
class Summing:
    """A summariser that answers by a function; remembers what it was asked."""

    answer: Callable[[ChatRequest], str]
    clients: list[FakeClient] = field(default_factory=list)

    def client(self) -> FakeClient:
        self.clients.append(FakeClient(self.answer))
        return self.clients[-1]

    @property
    def asked(self) -> list[ChatRequest]:
        return [request for client in self.clients for request in client.asked]

    @property
    def writer(self) -> Summariser:
        return Summariser("s", self.client, PRICE)


def named(request: ChatRequest) -> str:
    text = str(request.messages[0]["content"])
    name = NUMBERS[int(text.split("Question ")[1].split("?")[0])]
    return f"Note: {name} {name[::-1]} {name * 2} go first."


def test_no_note_is_paid_for_twice(tmp_path: Path) -> None:
    model = Summing(named)
    done = build(table(4), model.writer, tmp_path)
    assert (len(model.asked), done.written) == (4, 4)
    assert done.spent_usd == pytest.approx(0.008)
    assert build(table(4), model.writer, tmp_path).held == 4
    assert len(model.asked) == 4
    for name in (NOTES, TEMPLATES, BUILD):  # as if the build had been killed before its end
        (tmp_path / name).unlink()
    done = build(table(6), model.writer, tmp_path)
    assert (len(model.asked), done.held, done.written) == (6, 0, 6)
    assert done.spent_usd == pytest.approx(0.004)
    with Store(tmp_path / WRITING) as store:
        assert store.table().cost_usd.sum() == pytest.approx(0.012)


def test_a_budget_leaves_notes_to_the_next_build(tmp_path: Path) -> None:
    model = Summing(named)
    done = build(table(6), model.writer, tmp_path, budget_usd=0.005)
    assert (done.written, done.left, done.templates) == (3, 3, 3)
    assert "the budget of 0.005 USD is spent" in done.stopped[0]
    done = build(table(6), model.writer, tmp_path)
    assert (done.held, done.written, done.left, len(model.asked)) == (3, 3, 0, 6)


def test_what_went_wrong_is_counted(tmp_path: Path) -> None:
    def answer(request: ChatRequest) -> str:
        text = str(request.messages[0]["content"])
        if "Question 1?" in text:
            msg = "500: boom"
            raise CallError(msg, status=500)
        if "Question 2?" in text:
            return "The answer is gold2."
        if "Question 3?" in text:
            return named(request) if len(request.messages) > 1 else "Say gold3."
        return "# Note" if "Question 4?" in text else named(request)

    done = build(table(6), Summing(answer).writer, tmp_path)
    assert (done.written, done.again, done.leaky, done.unusable, done.failed) == (3, 1, 1, 1, 1)
    assert done.cut == 0
    assert done.errors == {"500: boom": 1}
    assert done.kinds["target"] == 1
    assert build(table(6), Summing(named).writer, tmp_path, retry_failed=True).written == 1


# Which rows


def test_only_training_rows_are_written_from(tmp_path: Path) -> None:
    queries = [question(i, ("train", "test", None)[i]) for i in range(3)]
    log = outcome_table(queries, ARMS, [[1, 1]] * 3)
    for split, expected in {"train": ["q0"], "test": ["q1"], None: ["q0", "q1", "q2"]}.items():
        assert training_rows(log, split=split).queries["query_id"].to_list() == expected
    assert len(training_rows(table(3))) == 3
    writer = Hand()
    build(log, writer, tmp_path)
    assert [s.query.id for s, _ in writer.seen] == ["q0"]


def test_only_the_tasks_asked_for_are_written_from(tmp_path: Path) -> None:
    writer = Hand()
    build(table(4), writer, tmp_path, only=["sums"])
    assert [s.query.id for s, _ in writer.seen] == ["q1", "q3"]


def test_rows_that_are_not_there() -> None:
    with pytest.raises(ThoughtError, match=r"'task': no query of the task 'x' .* has: sums, words"):
        training_rows(table(2), tasks=["x"])
    with pytest.raises(ThoughtError, match=r"'split': no query of the split 'train' .* has: test"):
        training_rows(table(2, "test"))
    with pytest.raises(ThoughtError, match=r"'split': no query of the split 'test' .* has: none"):
        training_rows(table(2), split="test")


def test_a_build_without_any_calls_works_on_a_real_log(tmp_path: Path) -> None:
    log = bundled_log()
    done = build(log, Hand(lambda s: f"As for {s.query.id}, look closely."), tmp_path, split=None)
    assert done.written + done.leaky + done.unanswered == len(log)
    assert done.written > 500
