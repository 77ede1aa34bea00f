"""The extractive writer: notes that are general, say how, and give nothing away."""

from __future__ import annotations

from pathlib import Path

import pytest

from fusionfactory.importers import import_table
from fusionfactory.tasks import make_task
from fusionfactory.thoughts.extract.reasoning import code_of, reasoning
from fusionfactory.thoughts.extract.sketch import approach, formulas, operations, programming
from fusionfactory.thoughts.extract.steps import steps
from fusionfactory.thoughts.extract.writer import EXTRACTIVE, ExtractiveWriter
from fusionfactory.thoughts.leaks.check import leaks
from fusionfactory.thoughts.leaks.particulars import Particulars
from fusionfactory.thoughts.writing.select import Selection, select
from fusionfactory.types import Outcome, Query

DATA = Path(__file__).parents[2] / "shared" / "data"
QUESTION = (
    "Errol bought a computer, 2 monitors, and a printer for $2,400. He paid $400 less for the "
    "printer than the computer. If the computer cost $1,100, how much did one monitor cost?"
)
PRINTER = Query("gsm8k:1", QUESTION, "gsm8k", "math", "300", "number")
LISTED = (
    "Here's how to solve the problem:\n\n"
    "1. **Find the cost of the printer:** It cost $400 less, so it cost $1100 - $400 = $700.\n\n"
    "2. **Subtract the known costs from the total:** $2400 - $1100 - $700 = $600.\n\n"
    "3. Divide by 2 to find the cost of one monitor: $600 / 2 = $300.\n\nThe answer is 300."
)
JSON = (
    '```json\n{\n    "reasoning": "First, we know that Errol paid $400 less. We can subtract the '
    "cost of the printer from the total to find the cost of the two monitors. So, $2,400 - "
    '$1,100 = $1,300.",\n    "answer": "300"\n}\n```'
)
OHM = Query(
    "mmlu_pro:1",
    "What is the resistance of a toaster that takes 5 amperes at 120 volts?\n(A) 28 ohms\n"
    "(B) 24 ohms\n(C) 30 ohms",
    "mmlu_pro",
    "physics",
    "B",
    "em_mc",
)


def chosen(query: Query, *responses: str) -> Selection:
    outcomes = [Outcome(query.id, f"m{i}", response=text) for i, text in enumerate(responses)]
    return Selection(query, tuple(outcomes), ("performance",))


def told(text: str, question: str = "") -> list[tuple[str, str]]:
    return [(step.kind, step.text) for step in steps(text, Particulars(question))]


def test_a_note_names_task_steps_and_form() -> None:
    note = ExtractiveWriter().write(chosen(PRINTER, LISTED, JSON), make_task("gsm8k"))
    assert note == (
        "Grade school mathematics: word problems that take two to eight steps of arithmetic and "
        "end in one number. Steps: find the cost of the printer; subtract the known costs from the "
        'total; divide to find the cost of one monitor. End your answer with "#### " and the '
        "number."
    )


def test_the_same_answers_make_the_same_note() -> None:
    writer = ExtractiveWriter()
    first = writer.write(chosen(PRINTER, JSON, LISTED))
    assert first == ExtractiveWriter().write(chosen(PRINTER, JSON, LISTED))
    assert "subtract the known costs" in first
    assert (writer.name, writer.version) == ("extractive", EXTRACTIVE)


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("First, we need to find the height of the second tree: 6 + 5 = 11.",
         "find the height of the second tree"),
        ("Squaring both sides, we get: 25 = 9 + (1 - n)^2.", "square both sides"),
        ("To find the left money, we subtract the total spent from his money: 32 - 24 = 8.",
         "to find the left money, subtract the total spent from his money"),
        ("Let's convert the fractions to decimals.", "convert the fractions to decimals"),
        ("## Step 2: Break down the expression into cases", "break down the expression into cases"),
        ("**Total monthly cost:** 3 * 5 = 15", "work out the total monthly cost"),
        ("**Dylan's monthly cost:** 3 * 5 = 15", "work out the monthly cost"),
        ("Take half of the coefficient (-14), square it ((-7)^2 = 49), and add it to both sides.",
         "take half of the coefficient, square it, and add it to both sides"),
    ],
)  # fmt: skip
def test_what_somebody_does_becomes_advice(said: str, advice: str) -> None:
    assert told(said) == [("advice", advice)]


def test_what_a_program_does_becomes_advice() -> None:
    said = "The function `f` splits the text at spaces and returns the longest word."
    assert told(said, "[PYTHON]\ndef f(text):") == [
        ("advice", "split the text at spaces and return the longest word")
    ]


def test_rules_are_kept_with_their_formulas() -> None:
    said = "The GDP deflator is calculated as (nominal GDP / real GDP) * 100."
    assert told(said, "Nominal GDP is 5000, real GDP 4000.") == [("rule", said[:-1])]
    assert told("It is defined as 5000 / 4000.", "Nominal GDP is 5000, real GDP 4000.") == []


@pytest.mark.parametrize(
    "said",
    [
        "Therefore, the answer is (B).",
        "Errol had $21 and paid 5.",
        "In this case, the input is empty.",
        'The word "bank" fits best here of all.',
        "It follows at once from the above remark.",
        "We refer to Wikipedia articles on physics for help.",
        "Multiply 700 by 2.",
        "x^2 - 14x + y^2 - 48y = 0",
        "",
    ],
)
def test_what_holds_for_one_question_only_is_no_step(said: str) -> None:
    assert told(said, "Errol bought a pen.") == []


def test_people_are_nobody_in_particular() -> None:
    particulars = Particulars(QUESTION)
    assert particulars.people == {"Errol"}
    assert told("Find out how much money Errol has left.", QUESTION) == [
        ("advice", "find out how much money the person has left")
    ]
    assert Particulars("Water is wet. How wet?").people == frozenset()


def test_options_and_names_tie_a_sentence_to_its_question() -> None:
    question = "Which planet did Kepler watch?\n(A) planet Mars\n(B) Venus"
    particulars = Particulars(question)
    assert particulars.names == {"Kepler"}
    assert particulars.tied("Watch what Kepler watched")
    assert particulars.tied("Look for planet mars at night")
    assert not particulars.tied("Use Newton's law of motion")


def test_reasoning_is_what_comes_before_the_answer() -> None:
    assert reasoning(JSON).startswith("First, we know that Errol")
    assert "answer" not in reasoning(JSON)
    thought = "<think>hm</think>It adds up to the number of all legs. So the answer is 8."
    assert reasoning(thought).strip() == "It adds up to the number of all legs."
    assert reasoning("Answer: B\nLight travels in straight lines.").strip() == (
        "Light travels in straight lines."
    )
    assert reasoning("") == ""


def test_a_solution_without_words_is_sketched() -> None:
    assert (
        operations("3 * 4 = 12 apples, 12 + 5 = 17, 17 - 2 = 15") == "multiply, add, then subtract"
    )
    assert operations("3 * 4 = 12") == ""
    assert formulas("By Ohm's law R = V / I = 120 / 5 = 24 ohms.") == ["R = V / I"]
    assert formulas("x = 120 / 5") == []
    code = "```python\ndef fact(n):\n    return 1 if n < 2 else n * fact(n - 1)\n```"
    assert programming(code) == "recursion and a case distinction"
    assert programming("I cannot.") == ""
    assert code_of("[BEGIN]\nx = 1\n[DONE]").strip() == "x = 1"


@pytest.mark.parametrize(
    ("question", "metric", "words"),
    [
        ("Solve for x: 2*x - 4 = 0", "number", "Isolate"),
        ("12 * 7 + 3", "number", "products and quotients"),
        ("How many legs?", "number", "what is given"),
        ("Which is NOT so?\n(A) cats purr\n(B) dogs bark", "multiple_choice", "negation"),
        ("Which is so?\n(A) cats purr\n(B) dogs bark", "multiple_choice", "rule out"),
        ("How long?\n(A) 5 m\n(B) 7 m", "multiple_choice", "formula or method"),
        ("[PYTHON]\ndef f(x): return x\nassert f(1) == ??", "exact_match", "Trace"),
        ("def f(x):", "code", "edge cases"),
        ("who wrote it", "contains", "person"),
        ("when did it end", "contains", "time"),
        ("is it so", "contains", "counterexample"),
        (f"{'A long passage. ' * 20}\n\nQuestion: is it so?", "contains", "exceptions"),
        (f"{'A long passage. ' * 20}\n\nWho says so?", "contains", "Find the sentence"),
        ("Spell it backward: fibre", "contains", "what form"),
        ("", "contains", "what form"),
    ],
)
def test_for_want_of_steps_the_form_of_the_question_is_met(
    question: str, metric: str, words: str
) -> None:
    assert words in approach(question, metric)


def test_an_answer_alone_gives_nothing_away() -> None:
    note = ExtractiveWriter().write(chosen(OHM, "The answer is (B)."))
    assert note.startswith("Subject: physics. Write down what is given")
    assert leaks(note, OHM) == []
    with_formula = ExtractiveWriter().write(
        chosen(OHM, "R = V / I = 120 / 5 = 24 ohms. The answer is (B).")
    )
    assert "Formula: R = V / I." in with_formula
    assert "24" not in with_formula


def test_a_description_that_tells_the_answer_is_left_out() -> None:
    query = Query("q", "Who?", "t", "d", "Ada Lovelace", "em", description="On Ada Lovelace.")
    note = ExtractiveWriter().write(chosen(query, "Ada Lovelace"))
    assert note.startswith("Asked for is a person")


def test_a_note_stays_within_its_length() -> None:
    writer = ExtractiveWriter(longest=120)
    note = writer.write(chosen(PRINTER, LISTED), make_task("gsm8k"))
    assert 0 < len(note) <= 120


def test_a_selection_without_responses_still_has_a_note() -> None:
    assert ExtractiveWriter().write(Selection(PRINTER, (), ("performance",)))


@pytest.mark.parametrize("name", ["zeroeval", "mmlu_pro_dev"])
def test_notes_of_published_answers_leak_nothing(name: str) -> None:
    path = DATA / f"{name}.parquet"
    if not path.exists():
        pytest.skip("the published answers are not here")
    table = import_table("fusionbench", path)
    writer = ExtractiveWriter()
    chosen_ones = select(table)[::40]
    notes = [writer.write(selection) for selection in chosen_ones]
    assert all(notes)
    assert not [n for n, s in zip(notes, chosen_ones, strict=True) if leaks(n, s.query)]
    assert len(set(notes)) > len(notes) / 4
