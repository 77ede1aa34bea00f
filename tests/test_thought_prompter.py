"""Prompts with templates: strategies, who may see what, and the messages that come out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pytest

from fusionfactory.encoders import Encoder
from fusionfactory.errors import ThoughtError, UnsupportedError
from fusionfactory.tasks import make_task
from fusionfactory.thoughts.prompt import CLOSING
from fusionfactory.thoughts.prompter import Prompter
from fusionfactory.thoughts.search.index import ThoughtIndex
from fusionfactory.thoughts.strategy import Strategy, parse_strategy
from fusionfactory.thoughts.template import Source, ThoughtTemplate
from fusionfactory.types import Query

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.types import FloatArray


class AngleEncoder(Encoder):
    """Turns the number in a text into a direction, so that near numbers are near."""

    name: ClassVar[str] = "angle"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> FloatArray:
        self.asked += texts
        angles = np.array([int("".join(filter(str.isdigit, t)) or 0) for t in texts]) / 100
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def question(number: int) -> str:
    return f"How many is {number}?"


def template(number: int, *criteria: str, task: str | None = "sums") -> ThoughtTemplate:
    return ThoughtTemplate(
        text=f"Note {number}.",
        question=question(number),
        answer=f"Answer {number}.",
        sources=(Source(f"q{number}", "m"),),
        criteria=criteria or ("performance",),
        writer="w",
        prompt_version="1",
        task=task,
    )


def query(number: int, id: str | None = None, task: str | None = "sums") -> Query:
    return Query(id or f"new{number}", question(number), task)


def bank(templates: Sequence[ThoughtTemplate], **options: int | str) -> Prompter:
    encoder = AngleEncoder()
    vectors = encoder.encode([t.question for t in templates])
    encoder.asked.clear()
    index = ThoughtIndex.build(templates, vectors, encoder)
    return Prompter(templates, index, encoder, **options)  # type: ignore[arg-type]


def shown(prompter: Prompter, asked: Query, strategy: str) -> list[str]:
    (found,) = prompter.find([asked], strategy)
    return [one.template.text for one in found]


# Strategies


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("direct", Strategy("direct")),
        ("think", Strategy("think")),
        ("format", Strategy("format")),
        ("few-shot:2", Strategy("few-shot", 2)),
        ("random:3", Strategy("random", 3)),
        ("thought:3", Strategy("thought", 3)),
        ("thought-judge:12", Strategy("thought", 12, "judge")),
        ("thought-hybrid:1", Strategy("thought", 1, "hybrid")),
    ],
)
def test_a_strategy_is_read(name: str, expected: Strategy) -> None:
    assert parse_strategy(name) == expected
    assert expected.needs_bank == (":" in name)


@pytest.mark.parametrize(
    "name",
    ["", "shout", "thought", "thought:0", "thought:03", "thought:x", "thought-best:3", "random",
     "random-judge:3", "format:2", "direct:1", "thought:3 ", "thought:1000"],
)  # fmt: skip
def test_a_strategy_that_there_is_not(name: str) -> None:
    with pytest.raises(UnsupportedError, match=f"'{name}' is no prompt pattern; expected direct, "):
        parse_strategy(name)


# Who sees what


def test_the_most_similar_come_first() -> None:
    prompter = bank([template(n) for n in (10, 20, 30, 40)])
    assert shown(prompter, query(22), "thought:3") == ["Note 20.", "Note 30.", "Note 10."]
    (found,) = prompter.find([query(22)], "thought:2")
    assert [one.similarity for one in found] == pytest.approx([np.cos(0.02), np.cos(0.08)])
    assert prompter.similarity([query(22), query(90)]) == pytest.approx(
        [np.cos(0.02), np.cos(0.5)], abs=1e-6
    )


def test_a_query_of_the_bank_never_sees_its_own() -> None:
    prompter = bank([template(n) for n in (10, 20, 30, 40)])
    asked = query(20, id="q20")
    for strategy in ("thought:9", "few-shot:9", "random:9"):
        assert sorted(shown(prompter, asked, strategy)) == ["Note 10.", "Note 30.", "Note 40."]
    assert prompter.similarity([asked]) == pytest.approx([np.cos(0.1)])


def test_nor_that_of_a_query_that_says_the_same() -> None:
    prompter = bank([template(n) for n in (10, 20)])
    same = Query("other", "  how many is 20", "sums")
    for strategy in ("thought:9", "few-shot:9", "random:9"):
        assert shown(prompter, same, strategy) == ["Note 10."]


def test_a_merged_template_is_hidden_from_the_query_that_its_text_is_from() -> None:
    united = replace(template(20), sources=(Source("q20", "m"), Source("q25", "m")))
    prompter = bank([template(10), united])
    assert shown(prompter, query(20, id="q20"), "thought:2") == ["Note 10."]
    assert shown(prompter, query(25, id="q25"), "thought:2") == ["Note 20.", "Note 10."]


def test_a_shared_text_is_hidden_whatever_the_order_of_rows() -> None:
    written = template(20)
    sources = (*written.sources, Source("q30", "m"))
    shared = replace(template(30), text=written.text, sources=sources)
    for templates in ([written, shared, template(40)], [shared, written, template(40)]):
        asked = query(20, id="another id")
        for strategy in ("thought:9", "few-shot:9", "random:9"):
            assert shown(bank(templates), asked, strategy) == ["Note 40."]


def test_its_own_have_no_say_in_which_task_a_query_is_of() -> None:
    of_others = [template(n, task="other") for n in (30, 31, 32)]
    prompter = bank([template(20), *of_others])
    asked = query(20, id="q20", task=None)
    assert shown(prompter, asked, "thought:9") == ["Note 30.", "Note 31.", "Note 32."]


def test_within_the_task() -> None:
    prompter = bank([template(20), template(50), template(21, task="other")])
    assert shown(prompter, query(22), "thought:2") == ["Note 20.", "Note 50."]
    assert shown(prompter, query(22, task="other"), "random:2") == ["Note 21."]
    assert len(shown(prompter, query(22, task="unheard-of"), "random:9")) == 3


def test_by_a_criterion() -> None:
    templates = [
        template(20, "hybrid"), template(30, "judge", "performance"), template(40, "performance"),
    ]  # fmt: skip
    prompter = bank(templates)
    assert shown(prompter, query(22), "thought-hybrid:2") == ["Note 20."]
    assert shown(prompter, query(22), "thought-judge:2") == ["Note 30."]
    assert shown(prompter, query(22), "thought-performance:2") == ["Note 30.", "Note 40."]
    assert shown(prompter, query(22), "thought:2") == ["Note 30.", "Note 40."]
    assert shown(bank(templates, criterion="hybrid"), query(22), "thought:2") == ["Note 20."]
    assert shown(bank([template(20, "judge")]), query(22), "thought:2") == ["Note 20."]
    with pytest.raises(ThoughtError, match="no template chosen by 'hybrid'; it has judge"):
        bank([template(20, "judge")]).find([query(22)], "thought-hybrid:1")


def test_rare_ones_are_found_however_far_they_are() -> None:
    common = [template(n) for n in range(200)]
    prompter = bank([*common, template(300, "judge")])
    assert shown(prompter, query(1000), "thought-judge:1") == ["Note 300."]
    assert shown(prompter, query(0, id="x"), "thought-judge:2") == ["Note 300."]
    assert len(shown(prompter, query(5), "thought:150")) == 150


def test_one_template_of_a_question() -> None:
    again = replace(template(20), text="Another note 20.")
    prompter = bank([template(20), again, template(30)])
    for strategy in ("thought:9", "random:9"):
        assert len(shown(prompter, query(22), strategy)) == 2


def test_random_ones_depend_on_the_query_alone() -> None:
    templates = [template(n) for n in range(50)]
    prompter = bank(templates)
    first = shown(prompter, query(70), "random:5")
    assert shown(bank(templates[::-1]), query(70), "random:5") == first
    assert shown(prompter, query(70), "random:3") == first[:3]
    drawn = {tuple(shown(prompter, query(n), "random:5")) for n in range(70, 90)}
    assert len(drawn) == 20
    assert np.isnan(prompter.similarity([query(70)], "random:5")).all()


def test_a_text_is_embedded_once() -> None:
    prompter = bank([template(n, "judge", "performance") for n in range(100)])
    asked = [query(n) for n in (200, 201)] + [query(200, id="again")]
    for strategy in ("thought:1", "thought:5", "few-shot:90", "thought-judge:99", "random:3"):
        assert len(prompter.find(asked, strategy)) == 3
    assert prompter.finder.encoder.asked == [question(200), question(201)]  # type: ignore[attr-defined]


def test_nothing_to_find() -> None:
    prompter = bank([template(20)])
    assert prompter.find([], "thought:3") == []
    assert shown(prompter, query(20), "thought:3") == []
    assert np.isnan(prompter.similarity([query(20)])).all()
    assert prompter.blocks([query(20)], "thought:3") == [("", [])]
    with pytest.raises(ThoughtError, match="no template chosen by 'performance'; it has none at"):
        Prompter([], ThoughtIndex.build([], np.zeros((0, 2))), AngleEncoder()).find(
            [query(1)], "thought:1"
        )


# Messages


def test_messages_of_every_strategy() -> None:
    prompter = bank([template(n) for n in (20, 30)])
    task = replace(make_task("gsm8k"), name="sums", instruction="A number.")
    asked = query(22)
    told = {
        strategy: prompter.messages([asked], {"sums": task}, strategy)[0][0]["content"]
        for strategy in ("direct", "think", "format", "few-shot:1", "thought:1", "random:1")
    }
    plain = f"{asked.text}\n\nA number."
    assert told["direct"] == plain
    assert told["think"] == f"{plain}\n\nLet's think step by step."
    assert told["format"] == f"{plain}\n\n{CLOSING}"
    assert told["thought:1"].endswith(f"\n\n{plain}\n\n{CLOSING}")
    assert f"Question: {question(20)}\nNote: Note 20." in told["thought:1"]
    assert "Answer 20." not in told["thought:1"]
    assert told["few-shot:1"].endswith(f"\n\n{plain}\n\n{CLOSING}")
    assert f"Question: {question(20)}\nAnswer: Answer 20." in told["few-shot:1"]
    assert "Note 20." not in told["few-shot:1"]
    assert told["random:1"].count("Note: ") == 1


def test_without_templates_a_prompt_is_the_format_alone() -> None:
    prompter = bank([template(20)])
    own = query(20)
    assert prompter.messages([own], {}, "thought:3") == prompter.messages([own], {}, "format")


def test_a_token_budget() -> None:
    templates = [template(n) for n in range(20)]
    (block,) = bank(templates, token_budget=60).blocks([query(50)], "thought:9")
    assert 1 <= block.text.count("Note: ") <= 4
    assert len(block.text) <= 240
    assert [f"Note: {one.template.text}" in block.text for one in block.found] == [True] * (
        block.text.count("Note: ")
    )
    assert bank(templates, token_budget=5).blocks([query(50)], "thought:9") == [("", [])]


def test_an_index_of_other_templates_is_refused() -> None:
    encoder = AngleEncoder()
    old = [template(n) for n in (10, 20, 30)]
    index = ThoughtIndex.build(old, encoder.encode([t.question for t in old]), encoder)
    with pytest.raises(ThoughtError, match=r"it lacks 1 and has 2 others\. Bring it up"):
        Prompter([template(10), template(99)], index, encoder)


def test_what_was_kept_of_queries_can_be_dropped() -> None:
    prompter = bank([template(20), template(30)])
    before = shown(prompter, query(22), "thought:2")
    prompter.forget()
    assert shown(prompter, query(22), "thought:2") == before
    assert prompter.finder.encoder.asked == [question(22)] * 2  # type: ignore[attr-defined]
