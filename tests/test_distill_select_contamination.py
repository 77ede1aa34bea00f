"""Train questions that are held out too: what counts as one, and what does not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from fusionfactory.distill.selecting.answers import Answers
from fusionfactory.distill.selecting.contamination import contaminated, held_out_questions
from fusionfactory.distill.selecting.select import select
from fusionfactory.distill.selecting.settings import ContaminationSettings, SelectSettings
from fusionfactory.errors import DistillError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fusionfactory.distill.selection import Selection

USUAL = ContaminationSettings()
LONG = (
    "A baker sells forty loaves before noon and half as many after it at three coins each; how "
    "many coins does she take home in the evening?"
)


def questions(name: str, texts: Sequence[str], task: str | None = "t") -> pl.DataFrame:
    ids = [f"{name}{place}" for place in range(len(texts))]
    frame = pl.DataFrame({"query_id": ids, "query": list(texts)})
    return frame.with_columns(task=pl.lit(task, pl.String))


def found(
    train: Sequence[str], held_out: Sequence[str], settings: ContaminationSettings = USUAL
) -> dict[str, tuple[str, float]]:
    frame = contaminated(questions("train", train), questions("held", held_out), settings)
    return {row[0]: (row[1], row[2]) for row in frame.iter_rows()}


def test_equal_but_for_case_and_punctuation_is_the_same_question() -> None:
    assert found(["What is 2 + 2?", "Who?"], ["what IS 2 + 2 !!", "Where?"]) == {
        "train0": ("held0", 1.0)
    }


def test_most_of_a_question_inside_a_held_out_one_is_too_much() -> None:
    changed = LONG.replace("in the evening", "on a rainy day")
    inside = f"Read with care. {LONG} Think about it before you answer."
    other = "A smith forges forty nails before noon and a boy carries all of them to the market."
    result = found([LONG, other], [inside, changed])
    assert list(result) == ["train0"]
    assert result["train0"] == ("held0", 1.0)
    (share,) = [value for _, value in found([LONG], [changed]).values()]
    assert 0.5 < share < 1


def test_the_share_is_that_of_one_held_out_question_not_of_all_together() -> None:
    words = LONG.split()
    parts = [" ".join(words[start : start + 12]) for start in (0, 12)]
    assert found([LONG], [f"Once more, {part} and so on it goes" for part in parts]) == {}
    loose = ContaminationSettings(share=0.2)
    assert list(found([LONG], [f"Once more, {parts[0]} and so on"], loose)) == ["train0"]


def test_what_the_questions_of_a_task_share_tells_nothing() -> None:
    drawn = np.random.default_rng(0)

    def sums(count: int) -> list[str]:
        return [
            "State the final answer to the following arithmetic problem and give nothing but the "
            f"number at the end of your reply: {drawn.integers(100)} + {drawn.integers(100)} ="
            for _ in range(count)
        ]

    train, held = sums(60), sums(40)
    held = [text for text in held if text not in train]
    assert found(train, held) == {}
    assert found(train, [*held, train[7]]) == {"train7": (f"held{len(held)}", 1.0)}
    # A template does not hide a question that is copied with it.
    template = train[0].partition(":")[0]
    copied = [f"{template}: {LONG}", *train]
    assert "train0" in found(copied, [f"{template}: {LONG} Hurry.", *held])


def test_a_template_is_known_from_both_sides() -> None:
    lead = "State the final answer to the following arithmetic problem, please:"
    train = [f"{lead} 12 + {number} =" for number in range(3)]
    held = [f"{lead} 12 + {number} =" for number in range(20, 25)]
    assert found(train, held) == {}


def test_some_variants_of_a_train_question_are_no_template() -> None:
    drawn = np.random.default_rng(2).integers(3_000, size=(1_000, 30)).astype(str)
    variants = [LONG.replace("forty", str(number)) for number in range(8)]
    assert list(found([LONG], [*variants, *(" ".join(row) for row in drawn)])) == ["train0"]


def test_a_short_question_is_compared_whole() -> None:
    assert found(["Who wrote the novel Emma?"], ["Who wrote the novel Emma Brown?"]) == {}


def test_ten_thousand_questions_are_compared_with_ten_thousand() -> None:
    drawn = np.random.default_rng(1)

    def texts(count: int) -> list[str]:
        return [" ".join(row) for row in drawn.integers(3_000, size=(count, 60)).astype(str)]

    train, held = texts(10_000), texts(10_000)
    copies = {17: 3, 5_000: 9_999, 9_999: 0}
    for mine, theirs in copies.items():
        held[theirs] = "Now then: " + train[mine] + " That is all."
    assert {name: other for name, (other, _) in found(train, held).items()} == {
        f"train{mine}": f"held{theirs}" for mine, theirs in copies.items()
    }


def source(splits: Sequence[str | None]) -> Answers:
    """Questions of gsm8k's form, all with one text, each answered."""
    rows = [
        {
            "query_id": f"q{place}", "query": LONG if place < 2 else f"What is {place} and 1?",
            "task": "t", "domain": "math", "target": "180", "metric": "number", "split": split,
            "description": None, "arm": "m", "model": "m", "output_price": None,
            "response": "So it is 180", "quality": 1.0, "judge": None, "cost_usd": None,
            "output_tokens": 4.0,
        }
        for place, split in enumerate(splits)
    ]  # fmt: skip
    return Answers.of(pl.DataFrame(rows))


def chosen(selection: Selection) -> list[str]:
    return [example.query_id for example in selection.examples]


def test_a_question_of_another_split_is_left_out_and_shown() -> None:
    pool = source(["train", "test", "train"])
    selection = select(pool, SelectSettings(), tasks={})
    assert chosen(selection) == ["q2"]
    assert selection.report["rejected"] == {
        "question of another split": 1,
        "question is held out too": 1,
    }
    assert selection.report["contamination"] | {"against": None} == {
        "held_out": 1, "split": "train", "ngram": 8, "share": 0.5, "against": None,
        "questions": 1, "shown": [{"train": "q0", "held_out": "q1", "share": 1.0}],
    }  # fmt: skip
    label = select(pool, SelectSettings("label"), tasks={})
    assert chosen(label) == ["q2"]
    careless = select(pool, SelectSettings(contamination=None), tasks={})
    assert chosen(careless) == ["q0", "q2"]
    assert careless.report["contamination"] is None


def test_without_splits_only_files_say_what_is_held_out(tmp_path: Path) -> None:
    pool = source([None, None, None])
    settings = SelectSettings(split="all")
    selection = select(pool, settings, tasks={})
    assert chosen(selection) == ["q0", "q1", "q2"]
    assert selection.report["contamination"]["held_out"] == 0
    path = tmp_path / "held.jsonl"
    path.write_text(json.dumps({"question": "what is 2 and 1"}) + "\n", encoding="utf-8")
    against = ContaminationSettings(against=(str(path),))
    selection = select(pool, SelectSettings(split="all", contamination=against), tasks={})
    assert chosen(selection) == ["q0", "q1"]
    (shown,) = selection.report["contamination"]["shown"]
    assert shown["held_out"] == f"{path}:1"


def test_a_file_of_held_out_questions_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "held.jsonl"
    path.write_text('{"question": "one"}\n{"id": 7}\n', encoding="utf-8")
    with pytest.raises(DistillError, match=r"held\.jsonl, row 2: holds no question: .* found id"):
        held_out_questions([str(path)])
    path.write_text("{", encoding="utf-8")
    with pytest.raises(DistillError, match=r"held\.jsonl, row 1"):
        held_out_questions([str(path)])
    with pytest.raises(DistillError, match="cannot be read"):
        held_out_questions([str(tmp_path / "none.jsonl")])


def test_odd_settings_are_refused() -> None:
    with pytest.raises(DistillError, match="'ngram': 0 is too few"):
        ContaminationSettings(ngram=0)
    with pytest.raises(DistillError, match=r"'share': 1\.5 is no share"):
        ContaminationSettings(share=1.5)
