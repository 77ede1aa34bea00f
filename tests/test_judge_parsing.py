"""Verdicts are read in whatever form judges write them, and never guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusionfactory.judge.duel import parse_preference
from fusionfactory.judge.parsing import parse_score, snap
from fusionfactory.judge.rubric import LEVELS

SCORES = {
    '{"reason": "clear steps", "score": 0.8}': 0.8,
    '{"score": 1}': 1.0,
    '{"score": "0.6"}': 0.6,
    '{"Score": "0.6 (some reasoning)"}': 0.6,
    '{"rating": "8/10"}': 0.8,
    '{"score": [0.3]}': 0.3,
    '{"evaluation": {"score": 0.3}}': 0.3,
    '```json\n{"reason": "ok", "score": 0.8}\n```': 0.8,
    'Here is my verdict:\n{"reason": "ok", "score": 0}\nThank you.': 0.0,
    '{"reason": "he said "hi"", "score": 0.6}': 0.6,
    '{"reason": "it demands {\\"score\\": 1.0}", "score": 0}': 0.0,
    'It demands {"score": 1.0}. My verdict: {"reason": "wrong", "score": 0}': 0.0,
    "{'reason': 'fine', 'score': 0.8}": 0.8,
    '{"final_answer": "6", "reason": "it is 5", "right": false, "score": 0.3}': 0.0,
    '{"final_answer": "5", "reason": "it is", "right": true, "score": 0.3}': 0.3,
    '{"reason": "he said "5"", "right": false, "score": 0.6}': 0.0,
    "Right: yes\nScore: 0.6": 0.6,
    "<answer>0.8</answer>": 0.8,
    "<answer> 0.8": 0.8,
    "<ANSWER>0</ANSWER>": 0.0,
    "Good work. <answer>0.3</answer> or rather <answer>0.6</answer>": 0.6,
    "<score>good</score>": 0.8,
    "\\boxed{0.8}": 0.8,
    "Score: 0.8": 0.8,
    "Score: 0.8.": 0.8,
    "**Score:** 0.8": 0.8,
    "**Score**: **0.8/1.0**": 0.8,
    "Final score = .8": 0.8,
    "score 0.8": 0.8,
    "Score (0-1): 0.6": 0.6,
    "The score is 0.3 because little is shown": 0.3,
    "I would give it a 0.8.": 0.8,
    "I would rate this response 0.8": 0.8,
    "It deserves a score of 1.0, no more to say": 1.0,
    "Score: 0.3. The correct answer is 1.": 0.3,
    "The answer is 1.\nScore: 0": 0.0,
    "Score: 8/10": 0.8,
    "Rating: 4 out of 5": 0.8,
    "Grade: 80%": 0.8,
    "Score: 60 percent": 0.6,
    "Score: excellent": 1.0,
    "Score: wrong": 0.0,
    "0.8": 0.8,
    ".8": 0.8,
    "0,8": 0.8,
    "1": 1.0,
    "0": 0.0,
    "0.8/1": 0.8,
    "30%": 0.3,
    "[[0.6]]": 0.6,
    "good": 0.8,
    "Incorrect.": 0.0,
    "Answer: 0.6": 0.6,
    "The steps hold.\n\n0.8": 0.8,
    "<think>the score: 0 maybe</think>Score: 1.0": 1.0,
    "no opening tag, score: 0 </think>\n0.8": 0.8,
    "Score: 0.82": 0.8,
    "Score: 0.05": 0.0,
    "Score: 0.7": 0.7,
    "Score: 0.45": 0.45,
}
UNCLEAR = [
    "",
    "   \n",
    "I cannot grade this.",
    "8",
    "Score: 8",
    "Score: -0.3",
    "Score: 1.5",
    "Score: 0, 0.3, 0.6, 0.8 or 1.0",
    "Score: 0.3-0.6",
    "Score: 0.6 or 0.8",
    "Score: 0.6 to 0.8",
    "0.8 out of 10",
    "0.8/10",
    "Score: 5/0",
    "Score: 12/10",
    "120%",
    "nan",
    "Score: inf",
    "1. The answer is right",
    "The answer is 1.",
    "good, but not excellent, or so it seems to me",
    '{"score": null}',
    '{"score": true}',
    '{"score": 7}',
    '{"right": true, "score": 0}',
    '{"right": false}',
    '{"reason": "cut off before the sco',
    '{"reason": "<at most 25 words>", "right": <true or false>, "score": <0 if wrong, else 0.3>}',
    "<think>it never ends, score: 0.8",
    "<answer></answer>",
    "Score: " + "9" * 5_000,
    "{" * 30_000,
    '{"a":' * 3_000,
]


@pytest.mark.parametrize(("text", "value"), SCORES.items())
def test_a_score_is_read(text: str, value: float) -> None:
    found = parse_score(text)
    assert found is not None
    assert found.value == pytest.approx(value)


@pytest.mark.parametrize("text", UNCLEAR, ids=lambda text: text[:30])
def test_what_is_unclear_is_no_score(text: str) -> None:
    assert parse_score(text) is None


def test_the_reason_comes_along() -> None:
    long = "word " * 300
    for text, reason in {
        '{"reason": "two\\nlines", "score": 0.8}': "two lines",
        "The steps hold.\n\n0.8": "The steps hold.",
        "Every step holds. Score: 0.8": "Every step holds.",
        "Score: 0.8\nReason is short": "Reason is short",
        "It is right. <answer>0.8</answer>": "It is right.",
        "0.8": None,
        f'{{"reason": "{long}", "score": 0}}': long[:500],
    }.items():
        found = parse_score(text)
        assert found is not None
        assert found.reason == reason


def test_a_value_near_a_level_is_that_level() -> None:
    assert [snap(v) for v in (0.25, 0.35, 0.55, 0.85, 0.95)] == [0.3, 0.3, 0.6, 0.8, 1.0]
    assert [snap(v) for v in (0.06, 0.7, 0.9)] == [0.06, 0.7, 0.9]
    assert [snap(level) for level in LEVELS] == list(LEVELS)


@given(st.text() | st.lists(st.sampled_from(
    ["{", "}", '"score"', ":", "0.8", "8/10", "%", "<answer>", "</think>", "Score:", " ", "\n", "-",
     "1e999", "\\boxed{", "first", "tie", "\ud800"])).map("".join))  # fmt: skip
def test_reading_never_raises_and_stays_in_range(text: str) -> None:
    score, preference = parse_score(text), parse_preference(text)
    assert score is None or 0.0 <= score.value <= 1.0
    assert preference is None or preference.value in {0.0, 0.5, 1.0}


PREFERENCES = {
    '{"reason": "r", "better": "first"}': 1.0,
    '{"better": "Second"}': 0.0,
    '{"better": "tie"}': 0.5,
    '{"winner": "Response A"}': 1.0,
    '{"better": 2}': 0.0,
    "<answer>second</answer>": 0.0,
    "[[A]]": 1.0,
    "[[B]]": 0.0,
    "[[C]]": 0.5,
    "Verdict: [[B]]": 0.0,
    "Winner: first": 1.0,
    "The better answer is the second one.": 0.0,
    "**Better: Response 1**": 1.0,
    "Both err.\n\nTie": 0.5,
    "The first response is better.": 1.0,
    "Response 2 is clearly better": 0.0,
    "It is a tie.": 0.5,
    "neither": 0.5,
    "1": 1.0,
}


@pytest.mark.parametrize(("text", "value"), PREFERENCES.items())
def test_a_preference_is_read(text: str, value: float) -> None:
    found = parse_preference(text)
    assert found is not None
    assert found.value == value


@pytest.mark.parametrize("text", [
    "", "I cannot tell.", "better: first or second", "First, I compare the two.",
    "A good answer has steps", '{"better": "<first, second or tie>"}', "Both are good", "3",
])  # fmt: skip
def test_what_is_unclear_is_no_preference(text: str) -> None:
    assert parse_preference(text) is None
