"""The summariser: what it is asked, what of a reply is a note, and what is paid for once."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_judge import PRICE, FakeClient
from fusionfactory.errors import CallError, ConfigError
from fusionfactory.pricing import CallPrice
from fusionfactory.store import Store
from fusionfactory.tasks import plain_task
from fusionfactory.thoughts.leaks.check import leaks
from fusionfactory.thoughts.writing.asking import messages, messages_again
from fusionfactory.thoughts.writing.general import general, particulars
from fusionfactory.thoughts.writing.select import Selection
from fusionfactory.thoughts.writing.tidy import CHARACTERS, SENTENCES, sentences, shortened, spoken
from fusionfactory.thoughts.writing.write import Summariser, write_notes
from fusionfactory.types import Outcome, Query, Score

if TYPE_CHECKING:
    from collections.abc import Callable

    from fusionfactory.clients import ChatRequest

NOTE = "This asks for a sum. Add the parts one by one. End with the number."
LEAKY = "This asks for a sum. The answer is 4{}."


def selection(number: int = 0, task: str = "sums", response: str = "It is so.") -> Selection:
    query = Query(f"q{number}", f"What is 40 + {number}?", task, "math", str(40 + number), "number")
    outcome = Outcome(query.id, "m", response=response, scores=(Score("performance", 1.0),))
    return Selection(query, (outcome, replace(outcome, arm="m|think")), ("performance",))


@dataclass
class Writer:
    """Answers by a function; a new client for every round, as a real one is closed by it."""

    answer: Callable[[ChatRequest], str]
    clients: list[FakeClient] = field(default_factory=list)

    def client(self) -> FakeClient:
        self.clients.append(FakeClient(self.answer))
        return self.clients[-1]

    @property
    def asked(self) -> list[ChatRequest]:
        return [request for client in self.clients for request in client.asked]

    def summariser(self, price: CallPrice = PRICE) -> Summariser:
        return Summariser("writer", self.client, price)


def tidy(reply: str, *, cut_off: bool = False) -> str:
    return shortened(spoken(reply, cut_off=cut_off))


def first(request: ChatRequest) -> bool:
    return len(request.messages) == 1


# What is asked


def test_the_prompt_shows_question_answers_and_form() -> None:
    (message,) = messages(
        selection(2, response="So: " + "y" * 3_000 + " end"), "End with a number."
    )
    text = str(message["content"])
    places = [
        text.index(part)
        for part in (
            "What is 40 + 2?",
            "Good answer 1:",
            "Good answer 2:",
            "How does one solve",
            "The form of the final answer in this kind of question: End with a number.",
        )
    ]
    assert places == sorted(places)
    assert "yy ... yy" in text
    assert "yy end" in text
    assert len(text) < 2 * 1_000 + 1_500
    assert "The form of the final answer in" not in str(messages(selection())[0]["content"])


def test_the_second_request_says_what_was_given_away() -> None:
    given = selection(2)
    found = leaks("The answer is 42.", given.query)
    asked = messages(given)
    again = messages_again(asked, "The answer is 42.", found)
    assert again[:1] == asked
    assert again[1] == {"role": "assistant", "content": "The answer is 42."}
    assert '"42"' in str(again[2]["content"])


def test_a_request_has_the_settings_of_the_model() -> None:
    by = Summariser("w", lambda: FakeClient(lambda _: ""), PRICE, params={"top_p": 0.9})
    call = by.call(selection(), messages(selection()))
    assert call.request.params == {"temperature": 0, "max_tokens": 160, "top_p": 0.9}
    own = replace(by, params={"max_tokens": 64, "temperature": None})
    assert own.call(selection(), messages(selection())).request.params == {"max_tokens": 64}
    assert (call.query.task, call.query.domain, call.arm.name) == ("sums", "math", "w")


def test_a_call_stands_for_prompt_and_sources() -> None:
    by = Writer(lambda _: NOTE).summariser()
    one = selection()
    ids = {
        by.call(given, messages(given, form)).query.id
        for given in (one, selection(1), selection(response="Else."), replace(
            one, sources=one.sources[::-1]
        ), replace(one, criteria=("judge",)))
        for form in ("", "Say a number.")
    }  # fmt: skip
    assert len(ids) == 8
    assert all(name.startswith("note:") for name in ids)


# What of a reply is a note


@pytest.mark.parametrize(("reply", "note"), [
    (NOTE, NOTE),
    (f"Note: {NOTE}", NOTE),
    (f"**Note:** {NOTE}", NOTE),
    (f'Sure! Here is a short note:\n\n"{NOTE}"', NOTE),
    (f"Certainly, here's the note you asked for:\n{NOTE}", NOTE),
    (f"### Note\n\n{NOTE}\n", NOTE),
    (f"<think>\nSo 42.\n</think>\n\n{NOTE}", NOTE),
    (f"```text\n{NOTE}\n```", NOTE),
    ("1. Read the passage\n2. Find the claim\n3. Answer yes or no",
     "Read the passage. Find the claim. Answer yes or no"),
    ("Steps:\n- **Add** the parts.\n- Say the sum.", "Steps: Add the parts. Say the sum."),
    ('Look for "why" in it. Say yes or "no"', 'Look for "why" in it. Say yes or "no"'),
    ("Sure signs decide here. Weigh them.", "Sure signs decide here. Weigh them."),
    ("<think>\nNo end", ""),
    ("# Note", ""),
    (" \n", ""),
])  # fmt: skip
def test_chatter_is_no_part_of_a_note(reply: str, note: str) -> None:
    assert tidy(reply) == note


def test_a_note_is_cut_at_a_sentence() -> None:
    long = " ".join(f"Sentence number {i} ends here." for i in range(20))
    assert tidy(long) == " ".join(sentences(long)[:SENTENCES])
    wide = " ".join(f"Words {'word ' * 50}end." for _ in range(4))
    assert len(tidy(wide)) <= CHARACTERS
    assert tidy(wide).endswith("end.")
    assert tidy("word " * 500).endswith("word")
    assert CHARACTERS - 5 <= len(tidy("word " * 500)) <= CHARACTERS


def test_a_reply_that_was_cut_off_loses_its_unfinished_sentence() -> None:
    assert tidy("Add the parts. Then say the", cut_off=True) == "Add the parts."
    assert tidy("Add the parts. Then say the") == "Add the parts. Then say the"
    assert tidy("Add the parts and", cut_off=True) == "Add the parts and"
    assert tidy("Add. Say it.", cut_off=True) == "Add. Say it."


def test_a_shortened_word_ends_no_sentence() -> None:
    text = "Look for units, e.g. Metres or such. Ask Dr. Who. End."
    assert sentences(text) == ["Look for units, e.g. Metres or such.", "Ask Dr. Who.", "End."]


@given(st.text(max_size=1_500), st.booleans())
def test_any_reply_is_a_short_note_on_one_line(reply: str, cut_off: bool) -> None:
    note = tidy(reply, cut_off=cut_off)
    assert len(note) <= CHARACTERS
    assert "\n" not in note
    assert note == note.strip()


# What of a note holds for other questions


@pytest.mark.parametrize(("note", "kept"), [
    ("Read it. Look up Ada Byron there. Compare the dates.", "Read it. Compare the dates."),
    ("Divide by 100. Take 37 of them.", "Divide by 100."),
    ("Weigh each place. Only the royal palace fits. Say a letter.",
     "Weigh each place. Say a letter."),
    ("Look closely. For example, a map tells. This means yes. This kind is rare.",
     "Look closely. This kind is rare."),
    ("This means that one looks. It is so.", "This means that one looks. It is so."),
    ("The answer is a letter. The answer is (B).", "The answer is a letter."),
    ("Read it. Compare. Read it.", "Read it. Compare."),
    ('Scan it for "Byron go at". Look for "the main claim".', 'Look for "the main claim".'),
])  # fmt: skip
def test_what_belongs_to_one_question_is_left_out(note: str, kept: str) -> None:
    text = "Where did Ada Byron go at 37, on day 100?\nA. the royal palace\nB. a quiet garden"
    query = Query("q", text, target="B", metric="em_mc")
    assert " ".join(general(sentences(note), query)) == kept


def test_particulars_name_each_thing_once() -> None:
    query = Query("q", "Where did Ada go at 37?\nA. the royal palace\nB. home", target="B")
    said = ["Ask Ada.", "Ask Ada again.", "Add 37.", "Go to the royal palace.", "Read."]
    assert particulars(said, query) == ["Ada", "37", "the text of an option"]


# Writing


def test_every_selection_gets_its_note(tmp_path: Path) -> None:
    writer = Writer(lambda _: f"Note: {NOTE}")
    chosen = [selection(1), selection(2), selection(3, "other")]
    with Store(tmp_path / "w.db") as store:
        done = write_notes(store, writer.summariser(), chosen)
        assert [note.selection for note in done.notes] == chosen
        assert {note.text for note in done.notes} == {NOTE}
        assert (done.left, len(done.rounds)) == (0, 1)
        assert sum(outcome.cost_usd or 0 for outcome in store.outcomes()) == pytest.approx(0.006)
        assert [q.task for q in store.queries()] == ["sums", "other", "sums"]
        assert write_notes(store, writer.summariser(), chosen).notes == done.notes
    assert len(writer.asked) == 3
    assert [client.closed for client in writer.clients] == [1, 1]


def test_the_form_is_told_where_the_task_is_known(tmp_path: Path) -> None:
    writer = Writer(lambda _: NOTE)
    task = replace(plain_task("sums"), instruction="End with the sum.")
    with Store(tmp_path / "w.db") as store:
        chosen = [selection(1), selection(2, "other")]
        write_notes(store, writer.summariser(), chosen, tasks={"sums": task})
    told = [str(request.messages[0]["content"]) for request in writer.asked]
    assert ["End with the sum." in text for text in told] == [True, False]


def test_a_leaky_note_is_asked_for_again_and_then_dropped(tmp_path: Path) -> None:
    def answer(request: ChatRequest) -> str:
        stubborn = "40 + 2" in str(request.messages[0]["content"])
        return LEAKY.format(2) if stubborn else LEAKY.format(1) if first(request) else NOTE

    writer = Writer(answer)
    with Store(tmp_path / "w.db") as store:
        done = write_notes(store, writer.summariser(), [selection(1), selection(2)])
        assert [(note.text, note.again) for note in done.notes] == [(NOTE, True), ("", True)]
        assert not done.notes[0].leaks
        assert {leak.kind for leak in done.notes[1].leaks} >= {"answer"}
        assert [len(r.messages) for r in writer.asked] == [1, 1, 3, 3]
        assert store.count() == 4
        again = write_notes(store, writer.summariser(), [selection(1), selection(2)])
        assert again.notes == done.notes
    assert len(writer.asked) == 4


def test_sentences_that_do_not_belong_there_are_left_out(tmp_path: Path) -> None:
    method = "The task is to add two numbers. Line up their digits and add them from the right."
    own = "In this case, the tens come first. Here one adds. So 40 and 1 are added. So it is 41."
    writer = Writer(lambda _: f"{method} {own} End with the number.")
    with Store(tmp_path / "w.db") as store:
        (note,) = write_notes(store, writer.summariser(), [selection(1)]).notes
        assert note.text == f"{method} End with the number."
        assert (note.again, note.cut, note.leaks) == (False, True, ())
    assert len(writer.asked) == 1


def test_a_note_on_its_question_alone_is_asked_for_again(tmp_path: Path) -> None:
    writer = Writer(lambda request: "Add the 40 to it." if first(request) else NOTE)
    with Store(tmp_path / "w.db") as store:
        (note,) = write_notes(store, writer.summariser(), [selection(1)]).notes
    assert (note.text, note.again, note.cut) == (NOTE, True, False)
    assert "belongs to this one question: 40." in str(writer.asked[1].messages[2]["content"])


def test_a_reply_without_a_note_is_told_apart(tmp_path: Path) -> None:
    writer = Writer(lambda _: "# Note")
    with Store(tmp_path / "w.db") as store:
        (note,) = write_notes(store, writer.summariser(), [selection()]).notes
    assert (note.text, note.leaks, note.error) == ("", (), None)


def test_failed_calls_are_asked_again_on_request(tmp_path: Path) -> None:
    trouble = [True]

    def answer(request: ChatRequest) -> str:
        if trouble[0] and "40 + 1" in str(request.messages[0]["content"]):
            msg = "500: boom"
            raise CallError(msg, status=500)
        return NOTE

    writer = Writer(answer)
    chosen = [selection(1), selection(2)]
    with Store(tmp_path / "w.db") as store:
        done = write_notes(store, writer.summariser(), chosen)
        assert [note.error for note in done.notes] == ["500: boom", None]
        trouble[0] = False
        held = write_notes(store, writer.summariser(), chosen)
        assert [note.error for note in held.notes] == ["500: boom", None]
        retried = write_notes(store, writer.summariser(), chosen, retry_failed=True)
        assert [note.text for note in retried.notes] == [NOTE, NOTE]
    assert len(writer.asked) == 3


def test_a_failed_second_call_leaves_no_leaky_note(tmp_path: Path) -> None:
    def answer(request: ChatRequest) -> str:
        if not first(request):
            msg = "500: boom"
            raise CallError(msg, status=500)
        return LEAKY.format(1)

    with Store(tmp_path / "w.db") as store:
        (note,) = write_notes(store, Writer(answer).summariser(), [selection(1)]).notes
    assert (note.text, note.error, note.again) == ("", "500: boom", True)


# Budget and resumption; a call of the fake costs 0.002 USD


def test_a_budget_counts_both_rounds_and_earlier_runs(tmp_path: Path) -> None:
    writer = Writer(lambda request: LEAKY.format(1) if first(request) else NOTE)
    chosen = [selection(i) for i in range(10, 20)]
    leaky = [replace(s, query=replace(s.query, target="41")) for s in chosen]
    with Store(tmp_path / "w.db") as store:
        done = write_notes(store, writer.summariser(), leaky, budget_usd=0.013)
        assert (len(writer.asked), len(done.notes), done.left) == (7, 0, 10)
        assert done.rounds[0].stopped
        done = write_notes(store, writer.summariser(), leaky, budget_usd=0.025)
        assert (len(writer.asked), len(done.notes), done.left) == (13, 3, 7)
        done = write_notes(store, writer.summariser(), leaky, budget_usd=1.0)
        assert (len(writer.asked), len(done.notes), done.left) == (20, 10, 0)
        assert sum(outcome.cost_usd or 0 for outcome in store.outcomes()) == pytest.approx(0.04)


def test_a_budget_needs_a_price(tmp_path: Path) -> None:
    writer = Writer(lambda _: NOTE)
    with Store(tmp_path / "w.db") as store, pytest.raises(ConfigError, match="needs the price"):
        write_notes(store, writer.summariser(CallPrice(None)), [selection()], budget_usd=1.0)
    assert writer.asked == []


def test_two_criteria_that_were_not_merged_are_asked_once(tmp_path: Path) -> None:
    writer = Writer(lambda _: NOTE)
    chosen = [selection(1), replace(selection(1), criteria=("judge",))]
    with Store(tmp_path / "w.db") as store:
        assert len(write_notes(store, writer.summariser(), chosen).notes) == 2
    assert len(writer.asked) == 1


_RUN = """
import os, sys, time
from pathlib import Path
from test_thought_write import LEAKY, NOTE, Writer, first, selection
from fusionfactory.store import Store
from fusionfactory.thoughts.writing.write import write_notes

folder, last = Path(sys.argv[1]), int(sys.argv[2])
log = (folder / "asked.log").open("a", encoding="utf-8", buffering=1)

def answer(request):
    text = request.messages[0]["content"]
    log.write(text.split("What is ")[1].split("?")[0] + f" {len(request.messages)}\\n")
    if len((folder / "asked.log").read_text(encoding="utf-8").splitlines()) == last:
        deadline = time.monotonic() + 60
        while not store.count() and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(os.getpid(), 9)
    return LEAKY.format(1) if first(request) and "40 + 1" in text else NOTE

with Store(folder / "w.db") as store:
    chosen = [selection(number) for number in range(20)]
    print(len(write_notes(store, Writer(answer).summariser(), chosen).notes))
"""


def test_a_killed_run_goes_on_and_asks_nothing_that_is_held(tmp_path: Path) -> None:
    def run(last: int) -> tuple[int, list[str]]:
        """Runs until the call of this number, at which it is killed; what this run asked."""
        log = tmp_path / "asked.log"
        before = len(log.read_text(encoding="utf-8").splitlines()) if log.exists() else 0
        done = subprocess.run(
            [sys.executable, "-c", _RUN, str(tmp_path), str(last)],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
            capture_output=True,
            check=False,
        )
        return done.returncode, log.read_text(encoding="utf-8").splitlines()[before:]

    def held() -> int:
        with Store(tmp_path / "w.db") as store:
            return store.count()

    code, asked = run(8)
    assert (code, len(asked)) == (-9, 8)
    first_held = held()
    assert 0 < first_held < 8
    code, asked = run(29)
    assert (code, len(asked)) == (-9, 21)
    assert not set(asked) & {f"40 + {number} 1" for number in range(first_held)}
    assert any(line.endswith(" 3") for line in asked)
    second_held = held()
    code, asked = run(0)
    assert (code, len(asked)) == (0, 31 - second_held)
    assert held() == 31
    assert run(0) == (0, [])
