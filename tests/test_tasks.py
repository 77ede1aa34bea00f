"""The tasks of FusionBench: their rows as published, their prompts and their registry."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from fusionfactory.errors import TaskError, UnknownNameError, UnsupportedError
from fusionfactory.scorers import SCORERS
from fusionfactory.tasks import TASKS, Example, Task, make_task, plain_task
from fusionfactory.tasks.champ import champ_answer
from fusionfactory.tasks.choices import choice, shuffled
from fusionfactory.tasks.math import boxed
from fusionfactory.types import Query

PAPER = (
    "gsm8k", "math", "mbpp", "human_eval", "commonsense_qa", "openbook_qa", "arc_challenge",
    "hellaswag", "natural_qa", "trivia_qa", "squad", "boolq", "mmlu", "gpqa",
)  # fmt: skip

GPQA_ROW = {
    "Question": "Which of these is a noble gas?",
    "Correct Answer": "argon ",
    "Incorrect Answer 1": "iron",
    "Incorrect Answer 2": "chlorine",
    "Incorrect Answer 3": "sodium",
    "Record ID": "rec1",
}
LETTERED = {"label": ["A", "B", "C"], "text": ["rain", "sun", "snow"]}

ROWS: dict[str, dict[str, Any]] = {
    "gsm8k": {"question": "Two and two?", "answer": "It is <<2+2=4>>4.\n#### 1,004"},
    "math": {
        "problem": "Find $x$.",
        "level": "Level 2",
        "type": "Algebra",
        "solution": r"So $\boxed{1}$? No: $\boxed{\frac{1}{2}}$.",
    },
    "mbpp": {
        "task_id": 11,
        "text": "Write a function that doubles.",
        "code": "def double(x):\n    return 2 * x",
        "test_list": ["assert double(2) == 4", "assert double(0) == 0"],
        "test_setup_code": "import math",
        "challenge_test_list": [],
    },
    "human_eval": {
        "task_id": "HumanEval/900",
        "prompt": 'def one():\n    """Returns 1."""\n',
        "canonical_solution": "    return 1\n",
        "test": "\n\ndef check(candidate):\n    assert candidate() == 1\n\n",
        "entry_point": "one",
    },
    "commonsense_qa": {
        "id": "q1",
        "question": "What falls from clouds in winter?",
        "question_concept": "clouds",
        "choices": LETTERED,
        "answerKey": "C",
    },
    "openbook_qa": {
        "id": "7-1",
        "question_stem": "Plants need",
        "choices": LETTERED,
        "answerKey": "B",
    },
    "arc_challenge": {
        "id": "Mercury_1",
        "question": "What melts ice?",
        "choices": {"text": ["shade", "heat", "night", "wind"], "label": ["1", "2", "3", "4"]},
        "answerKey": "2",
    },
    "hellaswag": {
        "ind": 24,
        "activity_label": "Rowing",
        "ctx": "A man sits in a boat. he",
        "endings": ["rows.", "flies.", "burns.", "melts."],
        "label": "0",
    },
    "natural_qa": {
        "id": "test_0",
        "question": "who wrote the book",
        "golden_answers": ["Ann Lee", "A. Lee", "Ann Lee"],
    },
    "trivia_qa": {
        "question_id": "tc_1",
        "question": "Which town?",
        "answer": {
            "value": "Ulm",
            "aliases": ["Ulm", "Ulm, Germany"],
            "normalized_aliases": ["ulm", "ulm germany"],
        },
    },
    "squad": {
        "id": "5733",
        "title": "Ulm",
        "context": "Ulm lies on the Danube.",
        "question": "On which river does Ulm lie?",
        "answers": {"text": ["the Danube", "Danube", "the Danube"], "answer_start": [12, 16, 12]},
    },
    "boolq": {"question": "is ulm a town", "passage": "Ulm is a town.", "answer": True},
    "mmlu": {
        "question": "2 + 2?",
        "subject": "elementary_mathematics",
        "choices": ["3", "4", "5", "6"],
        "answer": 1,
    },
    "gpqa": GPQA_ROW,
}


def _parse(name: str, **changes: Any) -> Example:  # noqa: ANN401  any JSON
    example = make_task(name).parse({**ROWS[name], **changes}, 0)
    assert example is not None
    return example


@pytest.mark.parametrize("name", TASKS.names())
def test_every_task_is_complete(name: str) -> None:
    task = make_task(name)
    assert task.name == name
    assert task.metric in SCORERS.names()
    for text in (task.description, task.instruction):
        assert text == text.strip()
        assert text.endswith((".", "{}.")), text
    assert len(task.instruction) < 100


def test_the_paper_s_tasks_come_first_and_know_their_hub() -> None:
    assert tuple(TASKS.names()[:14]) == PAPER
    for name in PAPER:
        task = make_task(name)
        assert task.hub is not None
        assert set(task.splits) == {"train", "test"}


def test_unknown_task() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown task 'gsm9k'; known: gsm8k, math"):
        make_task("gsm9k")


def test_a_plugin_must_register_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TASKS.builtin, "broken", "fusionfactory.tasks.math:boxed")
    with pytest.raises(TaskError, match="task 'broken' is a function, expected"):
        make_task("broken")


@pytest.mark.parametrize(
    ("name", "id", "target"),
    [
        ("mbpp", "11", "import math\nassert double(2) == 4\nassert double(0) == 0\n"),
        ("human_eval", "HumanEval/900",
         "def check(candidate):\n    assert candidate() == 1\n\ncheck(one)\n"),
        ("commonsense_qa", "q1", "C"),
        ("openbook_qa", "7-1", "B"),
        ("arc_challenge", "Mercury_1", "B"),
        ("natural_qa", "test_0", '["Ann Lee", "A. Lee"]'),
        ("trivia_qa", "tc_1", '["Ulm", "Ulm, Germany", "ulm", "ulm germany"]'),
        ("squad", "5733", '["the Danube", "Danube"]'),
    ],
)  # fmt: skip
def test_rows_with_an_id_keep_it(name: str, id: str, target: str) -> None:
    example = _parse(name)
    assert (example.id, example.target) == (id, target)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("gsm8k", "1004"), ("math", r"\frac{1}{2}"), ("hellaswag", "A"), ("boolq", "yes"),
        ("mmlu", "B"),
    ],
)  # fmt: skip
def test_rows_without_an_id_get_a_digest_of_their_content(name: str, target: str) -> None:
    example = _parse(name)
    assert example.target == target
    assert len(example.id) == 16
    int(example.id, 16)
    again = make_task(name).parse(ROWS[name], 99)
    assert again == example


def test_a_digest_differs_when_the_options_do() -> None:
    assert _parse("mmlu").id != _parse("mmlu", choices=["3", "4", "5", "7"]).id


def test_the_text_is_what_a_user_would_ask() -> None:
    assert _parse("arc_challenge").text == (
        "What melts ice?\n(A) shade\n(B) heat\n(C) night\n(D) wind"
    )
    assert _parse("squad").text == (
        "Ulm lies on the Danube.\n\nQuestion: On which river does Ulm lie?"
    )
    assert _parse("boolq").text == "Ulm is a town.\n\nQuestion: is ulm a town?"
    assert _parse("human_eval").text == ROWS["human_eval"]["prompt"]
    assert _parse("mbpp").text == (
        "Write a function that doubles.\nYour code must pass these tests:\n"
        "assert double(2) == 4\nassert double(0) == 0"
    )


def test_no_text_holds_its_answer_key() -> None:
    assert "####" not in _parse("gsm8k").text
    assert "return 1\n" not in _parse("human_eval").text
    assert "2 * x" not in _parse("mbpp").text


def test_mbpp_of_the_sanitized_set() -> None:
    row = {
        "task_id": 2,
        "prompt": "Write it.",
        "test_imports": ["import re"],
        "test_list": ["assert f()"],
    }
    example = make_task("mbpp").parse(row, 0)
    assert example is not None
    assert example.target == "import re\nassert f()\n"
    assert example.text.startswith("Write it.\n")


@pytest.mark.parametrize(("label", "target"), [(2, "C"), ("3", "D")])
def test_hellaswag_labels_are_texts_or_numbers(label: object, target: str) -> None:
    assert _parse("hellaswag", label=label).target == target


@pytest.mark.parametrize(
    ("name", "changes"),
    [("hellaswag", {"label": ""}), ("hellaswag", {"label": None}),
     ("commonsense_qa", {"answerKey": ""}),
     ("trivia_qa", {"answer": {"value": "<unk>", "aliases": [], "normalized_aliases": []}})],
)  # fmt: skip
def test_unlabelled_test_rows_are_skipped(name: str, changes: dict[str, object]) -> None:
    assert make_task(name).parse({**ROWS[name], **changes}, 0) is None


@pytest.mark.parametrize(
    ("answer", "target"),
    [(True, "yes"), (False, "no"), ("True", "yes"), ("false", "no"), (0, "no")],
)
def test_boolq_answers(answer: object, target: str) -> None:
    assert _parse("boolq", answer=answer).target == target


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        (r"\boxed{42}", "42"),
        (r"first \boxed{1}, then $\boxed{ x^{2} }$.", "x^{2}"),
        (r"\boxed{\left\{ 1, 2 \right\}}", r"\left\{ 1, 2 \right\}"),
        (r"\fbox{7}", "7"),
        (r"so $\boxed 5$.", "5"),
        (r"\boxed{\text{a}} and \boxed{{b}}", "{b}"),
        (r"\boxed{never closed", None),
        (r"\boxed{}", None),
        ("no box", None),
    ],
)
def test_boxed(solution: str, answer: str | None) -> None:
    assert boxed(solution) == answer


@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        ("239", "239"),
        ("-9", "-9"),
        ("@@5/14@@, or approximately 35.7%", r"\frac{5}{14}"),
        ("@@-1/2@@", r"-\frac{1}{2}"),
        ("@@sqrt(3)/3@@, or equivalently @@1/sqrt(3)@@", r"\frac{\sqrt{3}}{3}"),
        ("@@sqrt(2)@@", r"\sqrt{2}"),
        ("@@2^997@@", "2^{997}"),
        ("100 (i.e., all values)", "100"),
        ("0 (none of the values)", "0"),
        ("98 values", "98"),
        ("0 is the only possible value", "0"),
        ("The limit exists and is equal to @@2/3@@", r"\frac{2}{3}"),
        ("@@2^(n-1)@@", None),
        ("@@C(10, 5)@@, or equivalently @@252@@", None),
        ("At most 0 integer-valued zeros (i.e., no integer zeros)", None),
        ("376 and 625", None),
        ("Yes", None),
    ],
)
def test_champ_answers_are_numbers_or_left_out(raw: str, answer: str | None) -> None:
    assert champ_answer(raw) == answer


def test_gpqa_s_key_is_where_the_right_answer_landed() -> None:
    """The published code inverts the shuffle and is wrong for half of the rows."""
    keys: Counter[str] = Counter()
    for number in range(400):
        row = {
            **GPQA_ROW,
            "Record ID": f"rec{number}",
            "Question": f"Question {number}?",
            "Correct Answer": f"right {number}",
        }
        example = make_task("gpqa").parse(row, number)
        assert example is not None
        assert f"\n({example.target}) right {number}" in example.text
        keys[str(example.target)] += 1
    assert set(keys) == set("ABCD")
    assert min(keys.values()) > 70, keys


def test_gpqa_s_order_depends_on_the_question_alone() -> None:
    task = make_task("gpqa")
    moved = {**GPQA_ROW, "Incorrect Answer 1": "sodium", "Incorrect Answer 3": "iron"}
    assert task.parse(GPQA_ROW, 0) == task.parse(moved, 7)
    others = {_parse("gpqa", **{"Record ID": f"rec{i}"}).text for i in range(20)}
    assert len(others) > 5


def test_gpqa_without_a_record_id() -> None:
    example = make_task("gpqa").parse({**GPQA_ROW, "Record ID": None}, 0)
    assert example is not None
    assert len(example.id) == 16


def test_shuffled_returns_every_option_once() -> None:
    options, key = shuffled("seed", "right", ["a", "b", "c"])
    assert sorted(options) == ["a", "b", "c", "right"]
    assert options[key] == "right"


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("gsm8k", {"answer": "4"}, r"field 'answer': '4' does not end in `#### number`"),
        ("gsm8k", {"answer": "#### four"}, r"field 'answer': .* does not end in `#### number`"),
        ("gsm8k", {"question": None}, r"field 'question': is null"),
        ("gsm8k", {"question": "  "}, r"field 'question': '  ' is no text"),
        ("math", {"solution": "x is 2"}, r"field 'solution': 'x is 2' holds no"),
        ("mbpp", {"test_list": []}, r"field 'test_list': \[\] holds no text"),
        ("mbpp", {"test_list": "assert f()"}, r"field 'test_list': .* is no list of texts"),
        ("mbpp", {"task_id": None}, r"field 'task_id': is null"),
        ("human_eval", {"entry_point": ""}, r"field 'entry_point': '' is no text"),
        ("commonsense_qa", {"answerKey": "E"},
         r"field 'answerKey': 'E' is none of the labels A, B, C of 3 options"),
        ("commonsense_qa", {"choices": ["a", "b"]}, r"field 'choices': .* is no pair of lists"),
        ("arc_challenge", {"choices": {"label": ["A"], "text": ["x"]}, "answerKey": "A"},
         r"field 'choices': 1 options, expected 2 to 26"),
        ("hellaswag", {"label": "4"}, r"field 'label': '4' is no position from 0 to 3"),
        ("natural_qa", {"golden_answers": None}, r"field 'golden_answers': is null"),
        ("mbpp", {"test_setup_code": 1}, r"field 'test_setup_code': 1 is no text"),
        ("mbpp", {"test_setup_code": "", "test_imports": "re"},
         r"field 'test_imports': 're' is no list of texts"),
        ("trivia_qa", {"answer": "Ulm"}, r"field 'answer': 'Ulm' holds no `value`"),
        ("squad", {"answers": ["Danube"]}, r"field 'answers': .* holds no list `text`"),
        ("boolq", {"answer": "maybe"}, r"field 'answer': 'maybe' is no truth value"),
        ("mmlu", {"answer": 4}, r"field 'answer': 4 is no position of one of 4 options"),
        ("mmlu", {"answer": "B"}, r"field 'answer': 'B' is no position"),
        ("gpqa", {"Incorrect Answer 2": ""}, r"field 'Incorrect Answer 2': '' is no text"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_used_names_its_field(
    name: str, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(TaskError, match=message):
        make_task(name).parse({**ROWS[name], **changes}, 0)


def test_a_missing_field_says_what_is_there() -> None:
    with pytest.raises(TaskError, match=r"field 'question': missing; found prompt"):
        make_task("gsm8k").parse({"prompt": "?"}, 0)


def test_choice_refuses_a_key_outside_its_options() -> None:
    with pytest.raises(TaskError, match="the key is option 3, but there are 2"):
        choice("?", ["a", "b"], 2)


def test_prompts_are_direct_or_think() -> None:
    task = make_task("gsm8k")
    query = task.query(_parse("gsm8k"), "train")
    direct = task.messages(query)
    think = task.messages(query, "think")
    assert direct == (
        {"role": "user",
         "content": 'Two and two?\n\nEnd your answer with "#### " and the number.'},
    )  # fmt: skip
    assert think[0]["content"] == f"{direct[0]['content']}\n\nLet's think step by step."
    with pytest.raises(UnsupportedError, match="'cot' is no prompt pattern"):
        task.messages(query, "cot")


def test_a_query_carries_what_scoring_and_routing_need() -> None:
    task = make_task("gpqa")
    query = task.query(_parse("gpqa"), "test")
    assert query.id == "gpqa:rec1"
    assert (query.task, query.domain, query.metric) == ("gpqa", "popular", "multiple_choice")
    assert query.split == "test"
    assert query.description == task.description


def test_a_plain_task_asks_the_question_as_it_is() -> None:
    task = plain_task(None)
    assert isinstance(task, Task)
    assert task.messages(Query("q", "Hello?")) == ({"role": "user", "content": "Hello?"},)
    assert task.parse({"question": "?"}, 0) is None
    assert plain_task("chat").name == "chat"


@pytest.mark.parametrize("name", ["natural_qa", "trivia_qa", "squad"])
def test_several_right_answers_are_a_json_list(name: str) -> None:
    gold = json.loads(str(_parse(name).target))
    assert all(isinstance(item, str) for item in gold)
    assert len(gold) == len(set(gold)) > 1
