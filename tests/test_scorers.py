"""The text scorers: tables of cases, the published scorers' mistakes, and properties."""

from __future__ import annotations

import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusionfactory.errors import MissingExtraError, TaskError, UnknownNameError
from fusionfactory.scorers import SCORERS, Scorer, make_scorer, verdict
from fusionfactory.scorers.choice import option_letters
from fusionfactory.scorers.extract import final_answer, spoken
from fusionfactory.scorers.math import Math
from fusionfactory.scorers.number import numerals
from fusionfactory.scorers.words import words
from fusionfactory.testing import check_scorer
from fusionfactory.types import Query, Score

TEXT_SCORERS = ("exact_match", "contains", "token_f1", "multiple_choice", "number", "math")
FOUR = "Which?\n(A) one\n(B) two\n(C) three\n(D) four"


def score(metric: str, target: str, response: str, text: str = "What?") -> Score:
    found = make_scorer(metric).score(Query("t:1", text, target=target), response)
    assert 0 <= found.value <= 1
    assert (found.name, found.scorer) == ("performance", metric)
    assert found.value == 1 or found.reason, "a score below 1 has a reason"
    return found


Case: TypeAlias = tuple[str, str, float]
"""Target, response, value."""


def gold(*answers: str) -> str:
    return json.dumps(answers)


# Where the final answer stands


@pytest.mark.parametrize(
    ("response", "text", "form"),
    [
        ("42", "42", "line"),
        ("First this.\n\n42\n", "42", "line"),
        ("Some code:\n```\n42\n```", "42", "line"),
        ("", "", "line"),
        ("<answer>41</answer> no, <answer> 42 </answer> done", "42", "tag"),
        ("so <answer>42", "42", "tag"),
        ("<answer>\\boxed{A}</answer>", "A", "tag"),
        ("<answer>42</answer> and \\boxed{41}", "42", "tag"),
        ("\\boxed{1} then $\\boxed{\\frac{1}{2}}$.", "\\frac{1}{2}", "boxed"),
        ("\\boxed{\\{1, 2\\}}", "\\{1, 2\\}", "boxed"),
        ("\\boxed{\\frac{1}{2", "\\frac{1}{2", "boxed"),
        ("\\boxed 5.", "5", "boxed"),
        ("The answer is 7. \\fbox{8}", "8", "boxed"),
        ("so 2+2=4\n#### 4", "4", "hashes"),
        ("#### $1,234.50\n\nHope that helps!", "$1,234.50", "hashes"),
        ("#### Step 1: add\nSo it is 9.", "So it is 9.", "line"),
        ("##### 4", "##### 4", "line"),
        ('{"reasoning": "a \\boxed{3}", "answer": "4"}', "4", "json"),
        ('{"answer": 42, "why": "x"}', "42", "json"),
        ('{"answer": "4", "more": "\\boxed{5}"}', "5", "boxed"),
        ('{"answer": ["a", "b"]}', '["a", "b"]', "json"),
        ('"answer": "\\\\frac{1}{2}"', "\\frac{1}{2}", "json"),
        ('"answer": "\\frac{1}{2}"', "\\frac{1}{2}", "json"),
        ('"answer": "\\boxed{7}"', "7", "json"),
        ('"answer": "\\u00e9\\ud83d\\ude42"', "é🙂", "json"),
        ('"answer": "\\ud83d"', "\ufffd", "json"),
        ('{"reasoning": "cut", "answer": "4', "4", "json"),
        ("{'answer': 'no'}", "no", "json"),
        ('"answer": "1"\n"answer": "2"', "2", "json"),
        ('"answer": ' + "[" * 5000, "[" * 5000, "json"),
        ('"answer": ' + "9" * 5000, "9" * 5000, "json"),
        ("The answer is Paris. It is the capital.", "Paris.", "phrase"),
        ("The answer is J. K. Rowling. She wrote it.", "J. K. Rowling.", "phrase"),
        ("The answer is St. Louis", "St. Louis", "phrase"),
        ("**Answer:** Paris", "Paris", "phrase"),
        ("**Final Answer**: Paris", "Paris", "phrase"),
        ("Answer:\n\n42 apples", "42 apples", "phrase"),
        ("The answer to the question is: 3.", "3.", "phrase"),
        ("answer is 3, so the answer is 4", "4", "phrase"),
        ("The answer is not 5.\n6", "6", "line"),
    ],
)
def test_final_answer(response: str, text: str, form: str) -> None:
    found = final_answer(response)
    assert (found.text, found.form) == (text, form)
    assert found.explicit == (form != "line")


def test_thoughts_and_further_questions_are_no_response() -> None:
    assert final_answer("<think>The answer is 3.</think>\nThe answer is 4").text == "4"
    assert final_answer("<think>The answer is 3.</think>\n ").text.startswith("3")
    rambling = "It is (B). The answer is (B).\n\nQuestion: What is\nThe answer is (C)."
    assert spoken(rambling) == "It is (B). The answer is (B).\n"
    restated = "Let me restate.\nQuestion: 2+2?\nThe answer is 4"
    assert final_answer(restated).text == "4"


# Tables

EXACT: list[Case] = [
    ("Paris", "paris", 1),
    ("Paris", "**Paris.**", 1),
    ("Paris", "The answer is Paris. It is the capital of France.", 1),
    ("Paris", "I think it is\n\nParis", 1),
    ("Paris", "Paris, France", 0),
    ("Paris", "Lyon", 0),
    ("The Beatles", "Beatles", 1),
    ("Beatles", "the Beatles", 1),
    ("a", "the", 0),
    ("*", "*", 1),
    ("__init__", "`__init__`", 1),
    ("vitamin A", "vitamin", 0),
    ("Beyoncé", "Beyonce", 1),
    ("Straße", "STRASSE", 1),
    ("ﬁne", "fine", 1),
    ("U.S.", "US", 1),
    ("don't", "dont", 1),
    ("well-known", "well known", 1),
    ("18", "18.00", 1),
    ("3.5", "35", 0),
    ("3.5", "3.50", 1),
    ("1,000", "1000", 1),
    ("5", "-5", 0),
    ("−5", "-5", 1),
    ("1.10.2", "1.10.2", 1),
    ("C++", "C", 0),
    ("C#", "C", 0),
    ("5%", "5 percent", 1),
    ("<=", " <= ", 1),
    ("<=", ">=", 0),
    ("東京", "東京", 1),
    (gold("NYC", "New York"), "new york", 1),
    (gold("NYC", "New York"), "Boston", 0),
    ("[1, 2]", "[1, 2]", 1),
    ("'1,2,3,4'", '{"answer": "\'1,2,3,4\'"}', 1),
    ("x", "", 0),
    ("x", " \n", 0),
]

CONTAINS: list[Case] = [
    ("Paris", "It is Paris, of course.", 1),
    ("Paris", "comparison", 0),
    ("cat", "concatenate", 0),
    ("New York", "in New  York.", 1),
    ("the Beatles", "Beatles songs", 1),
    ("the US", "tell us", 0),
    ("Beyoncé", "by Beyonce Knowles", 1),
    ("1,000", "about 1000 men", 1),
    ("1000", "about 1,000 men", 1),
    ("100", "about 1,000 men", 0),
    ("3.5", "35 men", 0),
    ("35", "3.5 men", 0),
    ("5", "it is -5", 0),
    ("東京", "答えは東京です", 1),
    (gold("NYC", "New York"), "New York it is", 1),
    (gold("NYC", "New York"), "Boston", 0),
    ("≠", "a ≠ b", 1),
    ("no", "not at all", 0),
    ("no", "This cannot be true.", 1),
    ("no", "It can't be true", 1),
    ("no", "That is not necessarily true", 1),
    ("no", "not a true statement", 1),
    ("yes", "It is not a false claim.", 1),
    ("Obama", "It was Obama's wife", 1),
    ("Obama", "Obamas", 0),
    ("McDonald's", "at McDonalds", 1),
    ("McDonald's", "at McDonald’s", 1),
    ("Obama | Biden", "Obama or Biden", 0),
    ("no", "nothing", 0),
    ("no", "I do not know", 0),
    ("no", "No.", 1),
    ("no", "No, it is not.", 1),
    ("no", "no it isn't", 1),
    ("no", "**No**", 1),
    ("no", "The answer is no because it fails.", 1),
    ("yes", "Yes, there is no doubt.", 1),
    ("yes", "There is no doubt.", 0),
    ("yes", "yes and no, perhaps no", 0),
    ("True", "True", 1),
    ("True", "yes", 1),
    ("yes", "True.", 1),
    ("no", "False", 1),
    ("False", "no", 1),
    ("True", "False", 0),
    ("True", "True or False? False", 0),
    ("False", "True or False? False", 0),
    ("False", "True at first ... but then False", 0),
    ("False", "True or False? The answer is False.", 1),
    ("True", "True or False? <answer>True</answer>", 1),
    ("False", "That is not true.", 1),
    ("True", "It isn't true", 0),
    ("True", "untrue", 0),
    ("true", "It is a falsehood", 0),
    (gold("yes", "no"), "No.", 1),
    (gold("yes", "Paris"), "Paris", 1),
    ("x", "", 0),
]

F1: list[Case] = [
    ("Paris", "Paris", 1),
    ("the Paris", "Paris", 1),
    ("New York City", "New York", 0.8),
    ("Paris", "The answer is Paris.", 1),
    ("Paris", "It is <answer>Paris</answer>, I think.", 1),
    ("Paris", "Lyon", 0),
    ("a", "a", 1),
    ("the", "a", 0),
    ("?", "?", 1),
    ("?", "!", 0),
    ("b b c", "b c c", 2 / 3),
    (gold("Lyon", "New York"), "York", 2 / 3),
    ("18", "18.0", 1),
    ("3.5", "35", 0),
    ("x", "", 0),
]

CHOICE: list[Case] = [
    ("A", "A", 1),
    ("A", "a", 1),
    ("A", "(A)", 1),
    ("A", "A)", 1),
    ("A", "A.", 1),
    ("A", "**A**", 1),
    ("A", "`A`", 1),
    ("A", "A. one", 1),
    ("A", "A: one", 1),
    ("A", "Option A", 1),
    ("A", "\\boxed{A}", 1),
    ("A", "$\\boxed{\\text{A}}$", 1),
    ("A", "<answer>A</answer>", 1),
    ("A", '{"reasoning": "B or C", "answer": "A"}', 1),
    ("A", '```json\n{"answer": "(A) one"}\n```', 1),
    ("A", "#### A", 1),
    ("A", "The answer is A", 1),
    ("A", "The answer is (A).", 1),
    ("A", "The answer is **A**.", 1),
    ("A", "The answer is: A. one", 1),
    ("A", "the answer is option A.", 1),
    ("A", "The answer is A because one is first.", 1),
    ("A", "Answer: A", 1),
    ("A", "ANSWER: A", 1),
    ("A", "Final Answer: (a)", 1),
    ("B", "answer: b", 1),
    ("B", "The correct option is B, not C.", 1),
    ("B", "The correct answer is most likely B.", 1),
    ("B", "Option B is correct. Options C and D are not.", 1),
    ("B", "I would choose B", 1),
    ("B", "(A) is wrong, so (B)", 1),
    ("B", "(A) is right", 0),
    ("B", "so it must be (b).", 1),
    ("B", "(b) is treated first; nothing follows", 0),
    ("B", "The answer is (A). Wait, the answer is (B).", 1),
    ("B", "The answer is (B). Note that (C) is wrong.", 1),
    ("B", "Thinking it through.\n\nB", 1),
    ("B", "B. two\n\nTwo is even.", 1),
    ("B", "A. is odd\nB. is even", 0),
    ("C", "This is called C. three", 1),
    ("A", "A good question. I do not know.", 0),
    ("A", "I am not sure.", 0),
    ("A", "The answer is a matter of taste", 0),
    ("A", "The answer is A rectangular prism", 0),
    ("A", "P(A) = 0.3", 0),
    ("A", "Apple", 0),
    ("A", "The answer is (A, C).", 0),
    ("A", "The answer is A, C", 0),
    ("A", "The answer is A and C.", 0),
    ("A", "The answer is A and I am sure.", 1),
    ("B", "There is (B) in P(A)", 1),
    ("A", "The answer is (E).", 0),
    ("A", "The answer is (E), that is (A)", 1),
    ("A", "no idea", 0),
    ("A", "", 0),
    ("D", "(A) one\n(B) two\n(C) three\n(D) four", 0),
    ("D", "**(A)** one: odd\n**(B)** two: even\n**(C)** three\n**(D)** four, which is", 0),
    ("B", "- **Option (A):** odd\n- **Option (B):** the", 0),
    ("B", "(A) one: no\n(B) two: yes\n(C) three: no\n\n(B) two", 1),
    ("B", "(A) one: no\n(B) two: yes\n(C) three: no\n\nSo it is (B).", 1),
    ("B", "The answer is not (B).", 0),
    ("B", "It's (B), not (A).", 1),
    ("B", "It is not (A) but (B).", 1),
    ("B", "(B) two\n\nThe others, (A), (C) and (D), are wrong.", 1),
    ("B", "**(B)**\n\n(A) is incorrect because it is odd; so is three, hence (C) isn't it.", 1),
    ("B", "(B) is correct because (A) is odd and (C) is odd.", 1),
    ("B", "B\n\nOption A is wrong, option C is not even.", 1),
    ("B", "Thus, B is the correct answer.", 1),
    ("B", "The only one that fits is B", 1),
    ("B", "The correct choice: B", 1),
    ("B", "> B", 1),
    ("B", "The answer is:\n- B", 1),
    ("B", "\uff08\uff22\uff09", 1),
    ("A", "<answer>(A) or (B)</answer>", 0),
    ("A", "\\boxed{(A) and (B)}", 0),
    ("A", "The answer is (A) or (B).", 0),
    ("A", "The answer is (A) and (B) is wrong.", 1),
    ("A", "Answer: A/B", 0),
    ("A", "Answer: A & B", 0),
    ("B", "(A) and (B)", 0),
    ("(B)", "b", 1),
    ("B. two", "(B)", 1),
    (gold("A", "C"), "C", 1),
]

NUMBER: list[Case] = [
    ("18", "18", 1),
    ("18", "18.00", 1),
    ("18.00", "18", 1),
    ("18", "18.", 1),
    ("18", "She has 18.", 1),
    ("3.5", "35", 0),
    ("35", "3.5", 0),
    ("# 803", "803", 1),
    ("a long solution 3 + 4 = 7\n#### 7", "7", 1),
    ("1,234", "1234", 1),
    ("1234", "$1,234.00", 1),
    ("1234", "1{,}234", 1),
    ("1234", "1\u202f234 km", 1),
    ("1234", "1.234", 0),
    ("118000", "$118,000", 1),
    ("-5", "-5", 1),
    ("-5", "\u22125", 1),
    ("-5", "It is \u20135", 1),
    ("12", "10\u201312", 1),
    ("11", "11.000000000000002", 1),
    ("0.3", "0.30000000000000004", 1),
    ("0.3", "0.29999999999999998", 1),
    ("11", "11.0000002", 0),
    ("3.14", "3.141592653589793", 0),
    ("1234567890123456", "1234567890123457", 0),
    ("-5", "-$5", 1),
    ("-5", "5", 0),
    ("5", "10-5", 1),
    ("5", "- 5 apples", 1),
    ("18", "18%", 1),
    ("18", "18\\%", 1),
    ("18", "\\boxed{\\$18}", 1),
    ("18", "€18", 1),
    ("18", "USD18", 1),
    ("18", "18km", 1),
    ("3", '{"answer": "___3___"}', 1),
    ("18", "`18`", 1),
    ("11", '{"answer": "6√55/5"}', 0),
    ("18", "18 kg of CO2", 1),
    ("18", "18 m^2", 1),
    ("18", "x_1 = 18", 1),
    ("0.75", "3/4", 1),
    ("3/4", "0.75", 1),
    ("3/4", "\\frac{3}{4}", 1),
    ("3/4", "\\dfrac34", 1),
    ("-1/2", "-\\frac{1}{2}", 1),
    ("1.5", "1 1/2", 1),
    ("1.5", "1\\frac{1}{2}", 1),
    ("1.5", "1½", 1),
    ("0.5", "½", 1),
    ("0.5", ".5", 1),
    ("1500", "1.5e3", 1),
    ("30000", "3 \\times 10^{4}", 1),
    ("30000", "3 × 10^4", 1),
    ("2/3", "0.67", 1),
    ("2/3", "0.6667", 1),
    ("2/3", "0.7", 0),
    ("2/3", "0.66", 0),
    ("66.67", "66.6667", 1),
    ("66.67", "200/3", 1),
    ("3.1416", "3.14", 0),
    ("33", "33.3333", 0),
    ("33", "33.33", 0),
    ("18", "5 + 13 = 18", 1),
    ("18", "He needs 18 apples.\nIn all, 20.", 0),
    ("18", "The answer is 18. That took 3 steps.", 1),
    ("18", "#### 18\n\nI hope this helps, 100%!", 1),
    ("18", "<answer>18 apples</answer> of 20", 1),
    ("18", '{"reasoning": "6 * 3", "answer": "18", "unit": "2 kg"}', 1),
    ("18", '{"reasoning": "6 * 3 = 18", "answer": "unknown"}', 0),
    ("18", "We know the answer is positive, so x is 18", 1),
    ("18", "eighteen", 0),
    ("18", "3/0", 0),
    ("18", "9" * 5000, 0),
    ("18", "1e999", 0),
    ("18", "", 0),
    (gold("18", "19"), "19", 1),
]

MATH: list[Case] = [
    ("\\frac{3}{4}", "\\boxed{0.75}", 1),
    ("\\frac{3}{4}", "\\boxed{\\dfrac{3}{4}}", 1),
    ("\\frac{3}{4}", "3/4", 1),
    ("2\\sqrt{3}", "\\boxed{\\sqrt{12}}", 1),
    ("2\\sqrt{3}", "2√3", 1),
    ("2\\sqrt{3}", "2*sqrt(3)", 1),
    ("2", "\\boxed{2\\sqrt{3}}", 0),
    ("2", "2 + sqrt(3), 2 - sqrt(3)", 0),
    ("x^2+1", "The answer is $1 + x^2$.", 1),
    ("x^2+1", "$x^2$", 0),
    ("(1, 2)", "\\boxed{(1,2)}", 1),
    ("(1, 2)", "\\boxed{(2,1)}", 0),
    ("\\{1, 2\\}", "\\boxed{\\{2, 1\\}}", 1),
    (
        "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}",
        "\\boxed{\\begin{pmatrix}1\\\\2\\end{pmatrix}}",
        1,
    ),
    (
        "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}",
        "\\boxed{\\begin{pmatrix}3\\\\2\\end{pmatrix}}",
        0,
    ),
    ("90^\\circ", "\\boxed{90}", 1),
    ("18", "\\boxed{18.00}", 1),
    ("35", "\\boxed{3.5}", 0),
    ("18", "\\boxed{18\\text{ dollars}}", 1),
    ("18", "The answer is 18 dollars.", 1),
    ("5", "The answer is 5 cm", 1),
    ("1000", "\\boxed{1{,}000}", 1),
    ("\\text{Evelyn}", "\\boxed{\\text{Evelyn}}", 1),
    ("\\text{Evelyn}", "The answer is Evelyn.", 1),
    ("\\text{Evelyn}", "\\boxed{\\text{Briana}}", 0),
    ("the proof ends in \\boxed{7}", "\\boxed{7}", 1),
    ("7", "so $x$ is 7.", 1),
    ("7", "and then we take 7", 0),
    ("7", "\\boxed{8}, no: \\boxed{7}", 1),
    ("7", '{"answer": "___7___"}', 1),
    ("3\\sqrt{5}", '{"answer": "3\\\\\\\\sqrt{5}"}', 1),
    ("7", "\\boxed{}", 0),
    ("7", "\\boxed{\\frac{}", 0),
    ("7", "", 0),
]

CASES = [
    (metric, *case)
    for metric, cases in {
        "exact_match": EXACT, "contains": CONTAINS, "token_f1": F1, "number": NUMBER, "math": MATH,
    }.items()
    for case in cases
]  # fmt: skip


@pytest.mark.parametrize(("metric", "target", "response", "value"), CASES)
def test_cases(metric: str, target: str, response: str, value: float) -> None:
    assert score(metric, target, response).value == pytest.approx(value), final_answer(response)


@pytest.mark.parametrize(("target", "response", "value"), CHOICE)
def test_choices(target: str, response: str, value: float) -> None:
    assert score("multiple_choice", target, response, FOUR).value == value


# What the reasons say


@pytest.mark.parametrize(
    ("metric", "target", "response", "reason"),
    [
        ("number", "18", "It is 17.", "read 17, expected 18"),
        ("number", "18", "none", "no number in the answer 'none'"),
        ("multiple_choice", "B", "who knows", "no option letter found in 'who knows'"),
        ("multiple_choice", "B", "(A)", "read A, expected B"),
        ("contains", "Paris", "Lyon", "'Paris' is not in the response"),
        ("contains", "yes", "maybe", "read neither yes nor no, expected yes"),
        ("contains", "yes", "No.", "read no, expected yes"),
        ("contains", "yes", "yes. no.", "states both yes and no"),
        ("exact_match", "Paris", "Lyon", "read 'Lyon', expected 'Paris'"),
        ("token_f1", "Paris", "Lyon", "read 'Lyon', expected 'Paris'"),
        ("math", "2", "\\boxed{3}", "read '3', expected '2'"),
        *((metric, "2", " \n", "empty response") for metric in ("number", "math", "token_f1")),
    ],
)
def test_reasons(metric: str, target: str, response: str, reason: str) -> None:
    assert score(metric, target, response).reason == reason


def test_long_answers_are_cut_in_reasons() -> None:
    reason = score("exact_match", "x" * 500, "y" * 500).reason
    assert reason is not None
    assert len(reason) < 200


# Targets


@pytest.mark.parametrize("metric", TEXT_SCORERS)
@pytest.mark.parametrize("target", [None, "", "  ", '[""]'])
def test_a_query_without_a_target_is_named(metric: str, target: str | None) -> None:
    with pytest.raises(TaskError, match="query 't:9' has no target to score against"):
        make_scorer(metric).score(Query("t:9", "?", target=target), "x")


def test_targets_of_another_kind_are_refused() -> None:
    with pytest.raises(TaskError, match="query 't:1': its target 'Paris' is no option letter"):
        score("multiple_choice", "Paris", "A")
    with pytest.raises(TaskError, match="query 't:1': its target 'eight' holds no number"):
        score("number", "eight", "8")


def test_a_query_for_what_is_wrong_is_answered_by_saying_so() -> None:
    response = "(A) is correct. (B) is wrong."
    assert score("multiple_choice", "B", response, FOUR).reason == "read A, expected B"
    asked = FOUR.replace("Which?", "Which is NOT even?")
    assert score("multiple_choice", "B", response, asked).value == 1


def test_options_are_read_from_the_query() -> None:
    assert option_letters(FOUR) == "ABCD"
    assert option_letters("Which? A. one B. two C. three") == "ABC"
    assert option_letters("A) one\nB) two") == "AB"
    assert option_letters("What is a cat?") == ""
    ten = "Which?\n" + "\n".join(f"({letter}) x" for letter in "ABCDEFGHIJ")
    assert option_letters(ten) == "ABCDEFGHIJ"
    assert score("multiple_choice", "J", "The answer is (J).", ten).value == 1
    assert score("multiple_choice", "J", "The answer is (J).", FOUR).value == 1, "the key counts"


# The registry


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        *((name, name) for name in TEXT_SCORERS),
        ("em", "exact_match"),
        ("em_mc", "multiple_choice"),
        ("cem", "contains"),
        ("f1_score", "token_f1"),
        ("GSM8K", "number"),
        ("MATH", "math"),
    ],
)
def test_scorers_are_registered_under_both_names(metric: str, name: str) -> None:
    scorer = make_scorer(metric)
    assert scorer.name == name
    assert re.fullmatch(r"\d+", scorer.version)
    assert name in SCORERS.names()


def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown scorer 'bleu'"):
        make_scorer("bleu")


# The contract, as plugin authors run it

CONTRACTS: dict[str, dict[str, str]] = {
    "multiple_choice": {"target": "B"},
    "number": {"target": "#### 12", "right": "12", "wrong": "13"},
    "math": {"target": "\\frac{1}{2}", "right": "0.5", "wrong": "3"},
    **{name: {"target": "Paris", "right": "Paris", "wrong": "Lyon"}
       for name in ("exact_match", "contains", "token_f1")},
}  # fmt: skip


@pytest.mark.parametrize("metric", TEXT_SCORERS)
def test_contract(metric: str) -> None:
    check_scorer(lambda: make_scorer(metric), **CONTRACTS[metric])


class Constant:
    """Breaks the contract as it is told to."""

    name = "constant"
    version = "1"

    def __init__(self, value: float, reason: str | None = None) -> None:
        self.value, self.reason = value, reason

    def score(self, query: Query, response: str) -> Score:
        value = self.value if response.strip() else 0.0
        return verdict(self, value if response != "C" else 0.0, self.reason)


class Nameless(Constant):
    name = ""


class Counting(Constant):
    calls = 0

    def score(self, query: Query, response: str) -> Score:
        Counting.calls += 1
        return verdict(self, super().score(query, response).value, str(Counting.calls))


@pytest.mark.parametrize(
    ("scorer", "clause"),
    [
        (Constant(1.0), "a score below 1 has a reason"),
        (Constant(0.0, "no"), "the right response scores 1"),
        (Constant(1.0, "no"), "a query without a target raises TaskError"),
        (Nameless(1.0, "no"), "`name` is a text"),
        (Counting(1.0, "no"), "a scorer is deterministic"),
    ],
)
def test_the_contract_finds_what_is_broken(scorer: Scorer, clause: str) -> None:
    with pytest.raises(AssertionError, match=clause):
        check_scorer(lambda: scorer)


# Properties

TEXTS = st.text(max_size=200)
MARKS = st.sampled_from(
    ["<answer>", "</answer>", "\\boxed{", "}", '"answer": "', "#### ", "answer is ", "(A)", "\n",
     "1,0", "3/4", "\\frac{", "no", "True", "</think>", "\nQuestion:", "$", "\\(", "**", "\\\\"]
)  # fmt: skip
MARKED = st.lists(MARKS | st.text(max_size=8), max_size=12).map("".join)
CHEAP = [name for name in TEXT_SCORERS if name != "math"]


@pytest.mark.parametrize("metric", CHEAP)
@given(response=TEXTS | MARKED)
def test_any_text_can_be_scored(metric: str, response: str) -> None:
    target = {"number": "3", "multiple_choice": "A"}.get(metric, "no")
    score(metric, target, response)
    score(metric, target, response, FOUR)


@settings(max_examples=25, deadline=None)
@given(response=MARKED)
def test_any_text_can_be_scored_as_mathematics(response: str) -> None:
    score("math", "\\frac{1}{2}", response)


@pytest.mark.parametrize("metric", ["exact_match", "contains", "token_f1"])
@given(target=(TEXTS | MARKED).filter(str.strip))
def test_the_target_itself_is_right(metric: str, target: str) -> None:
    if metric == "contains" and len(words(target)) == 1:
        return  # yes and no are for the table
    if target.lstrip().startswith("["):
        return  # several answers
    if metric == "contains" and spoken(target) != target:
        return
    assert score(metric, target, target).value == 1


WORDS = st.lists(
    st.text("abcdefgéXYZ", min_size=2, max_size=9), min_size=1, max_size=4
).map(" ".join).filter(lambda text: words(text)[0] not in {"a", "an", "the"})  # fmt: skip
FORMS = (
    "{}",
    "First, some thought.\n\n{}",
    "<answer>{}</answer>",
    "\\boxed{{{}}}",
    '{{"reasoning": "hm", "answer": "{}"}}',
    "A thought.\n#### {}",
    "The answer is {}",
    "The answer is {}. That is all.",
    "**Answer:** {}",
    "Answer:\n{}",
)


@pytest.mark.parametrize("form", FORMS)
@given(target=WORDS)
def test_the_target_is_right_in_every_form(form: str, target: str) -> None:
    response = form.format(target)
    for metric in ("exact_match", "contains"):
        assert score(metric, target, response).value == 1
    if form != FORMS[1]:
        assert score("token_f1", target, response).value == 1


@pytest.mark.parametrize("form", FORMS)
@given(letter=st.sampled_from("ABCD"), shape=st.sampled_from(["{}", "({})", "**{}**", "{}."]))
def test_the_key_is_right_in_every_form(form: str, letter: str, shape: str) -> None:
    response = form.format(shape.format(letter))
    for key in "ABCD":
        assert score("multiple_choice", key, response, FOUR).value == (key == letter)


NUMBERS = st.integers(-(10**9), 10**9) | st.decimals(-(10**6), 10**6, places=2).map(str)


@pytest.mark.parametrize("form", FORMS)
@given(number=NUMBERS)
def test_the_number_is_right_in_every_form(form: str, number: int | str) -> None:
    response = form.format(number)
    assert score("number", str(number), response).value == 1
    if isinstance(number, int):
        assert score("number", str(number), form.format(f"{number:,}")).value == 1
        assert score("number", str(number + 1), response).value == 0


@given(top=st.integers(0, 999), bottom=st.integers(1, 99))
def test_fractions_are_exact(top: int, bottom: int) -> None:
    for text in (f"{top}/{bottom}", f"\\frac{{{top}}}{{{bottom}}}"):
        assert [numeral.value for numeral in numerals(text)] == [Fraction(top, bottom)]


@pytest.mark.parametrize(
    "unit",
    ["a", "1", "1,", "1,000,", "(", " ", "\n", "*", "_", "\\", "\\\\", "\\boxed{", "{", '"', "$",
     "#### \n", "#### ,", '"answer": "', "answer is ", "answer* to ", "no ", "no*", "A. ", "Q:\n",
     "\\(", "1 1/", "a.", ".", "**(", "option A is ", "\\frac{1}", "√(", "<answer>", "'"],
)  # fmt: skip
def test_long_responses_of_any_make_are_scored(unit: str) -> None:
    """No pattern backtracks over the whole of a long text: a quadratic one would not end here."""
    response = unit * (100_000 // len(unit)) + "!"
    query = Query("t:1", FOUR, target="A")
    number = Query("t:2", "?", target="7")
    for metric in CHEAP:
        make_scorer(metric).score(number if metric == "number" else query, response)
    Math(limit_s=0.1).score(number, response)


# The process behind the `math` scorer

SLOW = "\\boxed{9^{9^{9^{9}}}}"


def test_a_comparison_without_end_is_given_up() -> None:
    scorer = Math(limit_s=0.2)
    query = Query("t:1", "?", target="\\sqrt{2}")
    assert scorer.score(query, SLOW) == verdict(scorer, 0, "math-verify exceeded 0.2 s")
    assert Math().score(query, "\\boxed{\\frac{2}{\\sqrt{2}}}").value == 1, "a new process serves"


def test_the_limit_holds_off_the_main_thread() -> None:
    query = Query("t:1", "?", target="\\sqrt{2}")
    responses = [SLOW, "\\boxed{2^{1/2}}", "\\boxed{\\sqrt{3}}"]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda text: Math(limit_s=3).score(query, text), responses))
    assert [item.value for item in found] == [0, 1, 0]
    assert found[0].reason == "math-verify exceeded 3 s"


def test_without_math_verify_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "math_verify", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'fusionfactory\[math\]'"):
        make_scorer("math")
