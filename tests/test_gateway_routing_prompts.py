"""Strategies around real conversations: what each arm is sent, and what happens without notes."""

from __future__ import annotations

import asyncio
from copy import deepcopy
from dataclasses import replace
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from fusionfactory.config import Config
from fusionfactory.errors import ConfigError, EncoderError, ThoughtError
from fusionfactory.gateway.fleet import Fleet
from fusionfactory.gateway.routing.prompts import Prompts
from fusionfactory.tasks.own import plain_task
from fusionfactory.thoughts.gating.gate import Gate, Rule
from fusionfactory.thoughts.prompt import CLOSING
from fusionfactory.thoughts.prompter import Prompter
from fusionfactory.thoughts.search.index import ThoughtIndex
from fusionfactory.thoughts.template import TEMPLATES, write_templates
from fusionfactory.types import Query
from gated_table import gated_table
from spoken_router import ask, make_fleet
from test_thought_prompter import AngleEncoder, bank, question, template

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from fusionfactory.types import FloatArray

STRATEGIES = ("direct", "think", "format", "few-shot:1", "thought:2", "gated")
FLEET = make_fleet("m", m={"strategies": STRATEGIES})
NOTED = [template(n, task=None) for n in (20, 30, 40)]
MADE: list[Prompts] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while MADE:
        MADE.pop().close()


def prompts(prompter: Prompter | None = None, gate: Gate | None = None, **options: Any) -> Prompts:  # noqa: ANN401
    made = Prompts(prompter, None if gate is None else {"m": gate}, **options)
    MADE.append(made)
    return made


def prepared(
    using: Prompts,
    strategy: str,
    messages: object,
    text: str = "",
    **body: Any,  # noqa: ANN401
) -> tuple[Any, str]:
    """The messages that an arm is sent, and its strategy."""
    sent = {"model": "auto", "messages": messages, **body}
    before = deepcopy(sent)
    name = "m" if strategy == "direct" else f"m|{strategy}"
    after, used = asyncio.run(using.prepare(sent, FLEET[name], ask(text)))
    assert sent == before, "the request is the client's"
    assert {**after, "messages": None} == {**before, "messages": None}
    return after["messages"], used


def user(content: object) -> dict[str, Any]:
    return {"role": "user", "content": content}


class Brittle(AngleEncoder):
    """An endpoint that is down, or hangs until the gate opens."""

    def __init__(self, gate: Event | None = None) -> None:
        super().__init__()
        self.gate = gate

    def encode(self, texts: Sequence[str]) -> FloatArray:
        if self.gate is None:
            msg = "the endpoint refused the connection"
            raise EncoderError(msg)
        self.gate.wait(10)
        return super().encode(texts)


def brittle(gate: Event | None = None) -> Prompter:
    vectors = AngleEncoder().encode([t.question for t in NOTED])
    return Prompter(NOTED, ThoughtIndex.build(NOTED, vectors, AngleEncoder()), Brittle(gate))


# As collect asks


@pytest.mark.parametrize("strategy", ["direct", "think", "format", "few-shot:1", "thought:2"])
def test_a_plain_question_is_asked_as_collect_asks_it(strategy: str) -> None:
    messages, used = prepared(prompts(bank(NOTED)), strategy, [user(question(22))])
    asked = Query("q", question(22))
    assert tuple(messages) == bank(NOTED).messages([asked], {}, strategy)[0]
    if strategy in {"direct", "think"}:
        assert tuple(messages) == plain_task(None).messages(asked, strategy)
    assert used == strategy


def test_notes_are_those_of_the_last_question() -> None:
    talk = [
        {"role": "system", "content": "Be kind.", "name": "s"},
        user(question(40)),
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function"}]},
        {"role": "tool", "tool_call_id": "1", "content": "42"},
        {"role": "assistant", "content": "It is 42."},
        {**user(question(21)), "name": "u"},
        {"role": "tool", "tool_call_id": "2", "content": "43"},
    ]
    messages, used = prepared(prompts(bank(NOTED)), "few-shot:1", talk, text="all of it", tools=[1])
    assert used == "few-shot:1"
    assert messages[:5] + messages[6:] == talk[:5] + talk[6:]
    assert messages[5]["name"] == "u"
    content = messages[5]["content"]
    assert "Answer 20." in content
    assert "Answer 40." not in content
    assert content.endswith(f"\n\n{question(21)}\n\n{CLOSING}")


def test_parts_and_pictures_stay() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    content = [{"type": "text", "text": question(21)}, picture]
    messages, _ = prepared(prompts(bank(NOTED)), "thought:2", [user(content)])
    told = messages[0]["content"]
    assert told[1:3] == content
    assert "Note 20." in told[0]["text"]
    assert told[3] == {"type": "text", "text": CLOSING}
    messages, used = prepared(prompts(bank(NOTED)), "thought:2", [user([picture])])
    assert messages[0]["content"] == [picture, {"type": "text", "text": CLOSING}]
    assert used == "thought:2"


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "system", "content": "hi"}, {"role": "assistant", "content": "hello"}],
        [],
        [user(None)],
        [user({"odd": 1})],
        ["no message"],
        None,
        "text",
    ],
)
def test_where_there_is_no_question_nothing_is_added(messages: object) -> None:
    for strategy in STRATEGIES:
        assert prepared(prompts(bank(NOTED)), strategy, messages) == (messages, "direct")


def test_a_body_without_messages_stays_as_it_is() -> None:
    using = prompts()
    body = {"model": "auto", "prompt": "def f("}
    assert asyncio.run(using.prepare(body, FLEET["m|think"], ask())) == (body, "direct")


# Without notes


def test_an_encoder_that_fails_costs_the_notes_and_not_the_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    messages, used = prepared(prompts(brittle()), "thought:2", [user(question(21))])
    assert messages == [user(f"{question(21)}\n\n{CLOSING}")]
    assert used == "format"
    assert "EncoderError: the endpoint refused the connection" in caplog.text


def test_an_encoder_that_hangs_does_too() -> None:
    gate = Event()
    using = prompts(brittle(gate), within_s=0.05)
    for _ in range(2):
        messages, used = prepared(using, "few-shot:1", [user(question(21))])
        assert (messages, used) == ([user(f"{question(21)}\n\n{CLOSING}")], "format")
    gate.set()


def test_many_at_once_get_each_their_own() -> None:
    prompter = bank(NOTED)
    using = prompts(prompter)

    async def run() -> list[tuple[dict[str, Any], str]]:
        return await asyncio.gather(
            *(
                using.prepare({"messages": [user(question(n))]}, FLEET[f"m|{strategy}"], ask())
                for n in (21, 31, 39)
                for strategy in ("few-shot:1", "thought:2")
            )
        )

    made = [body["messages"][0]["content"] for body, _ in asyncio.run(run())]
    assert [f"Answer {n}." in text for n, text in zip((20, 30, 40), made[::2], strict=True)] == [
        True
    ] * 3
    assert [f"Note {n}." in text for n, text in zip((20, 30, 40), made[1::2], strict=True)] == [
        True
    ] * 3


def test_memory_does_not_grow_with_questions() -> None:
    prompter = bank(NOTED)
    using = prompts(prompter)

    async def run() -> None:
        for start in range(0, 3000, 100):
            await asyncio.gather(
                *(
                    using.prepare({"messages": [user(question(n))]}, FLEET["m|thought:2"], ask())
                    for n in range(start, start + 100)
                )
            )

    asyncio.run(run())
    finder = prompter.finder
    assert len(finder._vectors) <= 512
    assert len(finder._rankings) <= 512


# Gates


class Tasks:
    """Tells the task by a word of the text."""

    async def task(self, text: str) -> str | None:
        return next((name for name in ("sums", "facts") if name in text), None)


def gate() -> Gate:
    fitted = Gate.fit(
        gated_table({"thought:3": (0.3, 0.0, 0.0, 0.0)}), model="m", candidates=["thought:3"]
    )
    assert fitted.rules["sums"].strategy == "thought:3"
    return fitted


def test_a_gate_goes_by_the_routers_task() -> None:
    using = prompts(bank(NOTED), gate(), tasks=Tasks())
    messages, used = prepared(using, "gated", [user(question(21))], text="sums please")
    assert used == "thought:3"
    assert "Note 20." in messages[0]["content"]
    for text in ("facts please", "who knows"):
        assert prepared(using, "gated", [user(question(21))], text=text) == (
            [user(question(21))],
            "direct",
        )
    assert prepared(prompts(bank(NOTED), gate()), "gated", [user("?")], text="sums")[1] == "direct"


def near_gate() -> Gate:
    rule = Rule("direct", {}, near="thought:3", threshold=0.999)
    return replace(gate(), rules={"sums": rule})


def test_a_gate_goes_by_similarity_where_that_tells_more() -> None:
    using = prompts(bank(NOTED), near_gate(), tasks=Tasks())
    used = [
        prepared(using, "gated", [user(question(n))], text="sums")[1] for n in (21, 31, 60, 300)
    ]
    assert used == ["thought:3", "thought:3", "direct", "direct"]


def test_a_gate_without_similarity_goes_by_the_task_alone() -> None:
    using = prompts(brittle(), near_gate(), tasks=Tasks())
    messages, used = prepared(using, "gated", [user(question(21))], text="sums")
    assert (messages, used) == ([user(question(21))], "direct")


# From the settings


def config(folder: Path, **options: Any) -> Config:  # noqa: ANN401  any section
    strategies = options.pop("strategies", ("direct", "gated"))
    return Config.model_validate(
        {
            "endpoints": [{"name": "e", "base_url": "http://127.0.0.1:1/v1"}],
            "models": [{"name": "m", "endpoint": "e", "strategies": strategies}],
            **options,
        }
    )


def load(told: Config) -> Prompts:
    made = Prompts.load(told, Fleet(told), tasks=Tasks())
    MADE.append(made)
    return made


def test_the_settings_name_bank_and_gates(tmp_path: Path) -> None:
    from fusionfactory.encoders import make_encoder

    folder, gates = tmp_path / "bank", tmp_path / "gates"
    folder.mkdir()
    gates.mkdir()
    write_templates(NOTED, folder / TEMPLATES)
    encoder = make_encoder("hashing")
    index = ThoughtIndex.build(NOTED, encoder.encode([t.question for t in NOTED]), encoder)
    index.save(folder)
    gate().save(gates / "m.gated.json")
    (gates / "m.gated-any.json").write_text("no gate of ours")
    told = config(
        tmp_path, think={"bank": str(folder)}, serve={"routing": {"gates": str(gates)}}
    )  # fmt: skip
    messages, used = prepared(load(told), "gated", [user(question(20))], text="sums")
    assert used == "thought:3"
    assert "Note 30." in messages[0]["content"]


def test_plain_strategies_need_nothing(tmp_path: Path) -> None:
    told = config(tmp_path, strategies=("direct", "think", "format"))
    assert prepared(load(told), "think", [user("Why?")])[1] == "think"


def test_settings_that_lack_something(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'m' has the strategy 'gated', and no folder of gates"):
        load(config(tmp_path))
    routing = {"routing": {"gates": str(tmp_path)}}
    with pytest.raises(ConfigError, match="holds no gate of the model 'm'; it has those of: none"):
        load(config(tmp_path, serve=routing))
    gate().save(tmp_path / "m.gated.json")
    with pytest.raises(ConfigError, match="'thought:3' needs a bank of templates, and the setting"):
        load(config(tmp_path, serve=routing))
    with pytest.raises(ConfigError, match="'few-shot:3' needs a bank of templates"):
        load(config(tmp_path, strategies=("few-shot:3",)))
    (tmp_path / "m.gated.json").write_text("{}")
    with pytest.raises(ThoughtError, match="version None of a gate"):
        load(config(tmp_path, serve=routing))
