"""From settings to calls."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from fusionfactory.clients import EndpointClient
from fusionfactory.clients.local import LocalClient
from fusionfactory.config import Config, ThinkSection
from fusionfactory.errors import ConfigError, ThoughtError, UnknownNameError, UnsupportedError
from fusionfactory.plan import (
    call_price,
    choose,
    known_tasks,
    make_clients,
    make_prompter,
    plan_calls,
    questions,
    tasks_by_name,
)
from fusionfactory.thoughts.search.indexing import index_bank
from fusionfactory.thoughts.template import TEMPLATES, Source, ThoughtTemplate, write_templates
from fusionfactory.types import Query

if TYPE_CHECKING:
    from pathlib import Path

ENDPOINT = {"name": "lab", "base_url": "http://localhost:9/v1", "provider": "openai"}


def settings(**sections: list[dict[str, Any]]) -> Config:
    return Config.model_validate({"endpoints": [ENDPOINT], **sections})


def test_own_questions_in_five_lines(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    rows = [{"question": f"What is {i} + 1?", "target": i + 1} for i in range(20)]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    task = {"name": "mine", "path": str(path), "metric": "number", "instruction": "A number.",
            "domain": "support"}  # fmt: skip
    config = settings(tasks=[task])
    asked = questions(config.tasks, train=6, test=4, seed=1)
    assert sorted(query.split or "" for query in asked) == ["test"] * 4 + ["train"] * 6
    assert {query.domain for query in asked} == {"support"}
    assert {query.split for query in asked[:6]} == {"train", "test"}, "splits are mixed"
    assert asked == questions(config.tasks, train=6, test=4, seed=1)
    assert asked != questions(config.tasks, train=6, test=4, seed=2)
    calls = plan_calls(
        config,
        settings(models=[{"name": "m", "endpoint": "lab"}]).models,
        asked,
        tasks=tasks_by_name(config.tasks),
    )
    content = calls[0].request.messages[0]["content"]
    assert content == f"{asked[0].text}\n\nA number."


def test_every_strategy_and_sample_is_a_call_query_by_query() -> None:
    config = settings(
        models=[
            {"name": "m", "endpoint": "lab", "model": "vendor/m-1",
             "strategies": ["direct", "think"],
             "params": {"temperature": 0.0, "max_tokens": 10},
             "strategy_params": {"think": {"max_tokens": 99}}},
            {"name": "n", "gguf": "n.gguf"},
        ]
    )  # fmt: skip
    calls = plan_calls(
        config, config.models, [Query("a", "A?"), Query("b", "B?")], tasks={}, samples=2
    )
    assert [call.key for call in calls[:6]] == [
        ("a", "m", 0), ("a", "m", 1), ("a", "m|think", 0), ("a", "m|think", 1),
        ("a", "n", 0), ("a", "n", 1),
    ]  # fmt: skip
    assert calls[6].query.id == "b"
    think = calls[2].request
    assert think.model == "vendor/m-1"
    assert think.messages[0]["content"] == "A?\n\nLet's think step by step."
    assert think.params == {"temperature": 0.0, "max_tokens": 99}
    assert {call.endpoint for call in calls} == {"lab", "gguf:n"}
    some = plan_calls(config, config.models, [Query("a", "A?")], tasks={}, strategies=["think"])
    assert [call.key for call in some] == [("a", "m|think", 0)]


def test_log_probabilities_are_asked_for_where_the_settings_say_so() -> None:
    models: list[dict[str, Any]] = [
        {"name": "m", "endpoint": "lab", "logprobs": True, "params": {"max_tokens": 10}},
        {"name": "n", "gguf": "n.gguf"},
    ]
    config = settings(models=models)
    calls = plan_calls(config, config.models, [Query("a", "A?")], tasks={})
    assert [dict(call.request.params) for call in calls] == [
        {"logprobs": True, "max_tokens": 10},
        {},
    ]


def test_a_strategy_that_no_model_has() -> None:
    config = settings(models=[{"name": "m", "endpoint": "lab"}])
    with pytest.raises(ConfigError, match="no model of the settings has a strategy think"):
        plan_calls(config, config.models, [], tasks={}, strategies=["think"])


def test_a_strategy_that_is_no_prompt() -> None:
    config = settings(models=[{"name": "m", "endpoint": "lab", "strategies": ["shout"]}])
    with pytest.raises(UnsupportedError, match="'shout' is no prompt pattern"):
        plan_calls(config, config.models, [Query("a", "A?")], tasks={})


def test_clients_are_made_once_per_endpoint() -> None:
    config = settings(
        models=[
            {"name": "m", "endpoint": "lab"},
            {"name": "n", "endpoint": "lab"},
            {"name": "o", "gguf": "o.gguf", "threads": 1},
        ]
    )
    clients = make_clients(config, config.models)
    assert {name: type(client) for name, client in clients.items()} == {
        "lab": EndpointClient,
        "gguf:o": LocalClient,
    }


def test_a_model_of_an_unknown_endpoint() -> None:
    config = settings(models=[{"name": "m", "endpoint": "home"}])
    with pytest.raises(ConfigError, match="'m' names the endpoint 'home'; known: lab"):
        make_clients(config, config.models)


def test_two_endpoints_of_one_name() -> None:
    config = Config.model_validate({"endpoints": [ENDPOINT, {**ENDPOINT, "base_url": "http://x"}]})
    with pytest.raises(ConfigError, match="'lab' stands twice in the settings"):
        make_clients(config, config.models)


def test_an_unknown_metric_is_named_before_anything_is_paid() -> None:
    config = settings(tasks=[{"name": "mine", "path": "absent.jsonl", "metric": "contain"}])
    with pytest.raises(ConfigError, match="'mine' has the unknown metric 'contain'; known: exact"):
        questions(config.tasks)


def test_prices_are_given_listed_or_unknown() -> None:
    config = settings(
        models=[
            {"name": "cheap", "endpoint": "lab", "model": "gpt-4o-mini"},
            {"name": "gpt-4o-mini", "gguf": "x.gguf"},
            {"name": "own", "gguf": "y.gguf", "input_price": 1.0, "output_price": 2.0},
        ]
    )
    listed, local, given = (call_price(config, model) for model in config.models)
    assert listed.provider == "openai"
    assert listed.known
    assert not local.known
    assert given.per_million() == (1.0, 2.0)


def test_settings_are_chosen_by_name() -> None:
    config = settings(models=[{"name": n, "endpoint": "lab"} for n in ("a", "b", "c")])
    assert [m.name for m in choose("model", config.models, ["c", "a"])] == ["a", "c"]
    assert len(choose("model", config.models, [])) == 3
    with pytest.raises(ConfigError, match="no model 'z' in the settings; known: a, b, c"):
        choose("model", config.models, ["z"])
    twice = settings(models=[{"name": "a", "endpoint": "lab"}] * 2)
    with pytest.raises(ConfigError, match="'a' stands twice in the settings"):
        choose("model", twice.models, [])


def test_an_unknown_task_is_named() -> None:
    with pytest.raises(UnknownNameError, match="unknown task 'gsm9k'"):
        tasks_by_name(settings(tasks=[{"name": "gsm9k"}]).tasks)


# Strategies with templates


def _template(number: int) -> ThoughtTemplate:
    return ThoughtTemplate(
        f"Note {number}.", f"What is {number} + {number}?", f"It is {2 * number}.",
        (Source(f"q{number}", "m"),), ("performance",), "extractive", "1", "sums",
    )  # fmt: skip


def _with_bank(folder: Path, *strategies: str) -> Config:
    write_templates([_template(number) for number in range(8)], folder / TEMPLATES)
    index_bank(folder, "hashing")
    model = {"name": "m", "endpoint": "lab", "strategies": strategies}
    return Config.model_validate(
        {"endpoints": [ENDPOINT], "models": [model], "think": {"bank": str(folder)}}
    )


def test_strategies_with_templates_are_arms_like_others(tmp_path: Path) -> None:
    config = _with_bank(tmp_path, "direct", "format", "thought:2", "few-shot:1", "random:1")
    asked = [Query("q3", "What is 3 + 3?", "sums"), Query("new", "What is 5 + 5 ?", "sums")]
    prompter = make_prompter(config, config.models)
    calls = plan_calls(config, config.models, asked, tasks={}, prompter=prompter)
    told = {(c.query.id, c.arm.strategy): str(c.request.messages[0]["content"]) for c in calls}
    assert len(told) == 10
    assert [call.arm.name for call in calls[:3]] == ["m", "m|format", "m|thought:2"]
    assert told["q3", "thought:2"].count("Note: ") == 2
    assert told["q3", "few-shot:1"].count("Answer: ") == 1
    for own, number in (("q3", 3), ("new", 5)):
        for strategy in ("thought:2", "few-shot:1", "random:1"):
            block, question, closing = told[own, strategy].rpartition(f"What is {number} + ")
            assert block.startswith(("Notes on", "Similar questions"))
            assert f"Note {number}." not in block
            assert f"What is {number} +" not in block
            assert told[own, "format"] == question + closing
    some = plan_calls(
        config, config.models, asked, tasks={}, strategies=["thought:2"], prompter=prompter
    )
    assert [call.key for call in some] == [("q3", "m|thought:2", 0), ("new", "m|thought:2", 0)]


def test_a_token_budget_is_a_setting(tmp_path: Path) -> None:
    config = _with_bank(tmp_path, "thought:5")
    short = config.model_copy(update={"think": ThinkSection(bank=tmp_path, token_budget=50)})
    lengths = []
    for setting in (config, short):
        prompter = make_prompter(setting, setting.models)
        (call,) = plan_calls(
            setting, setting.models, [Query("new", "2?")], tasks={}, prompter=prompter
        )
        lengths.append(str(call.request.messages[0]["content"]).count("Note: "))
    assert lengths[0] == 5
    assert 1 <= lengths[1] < 5


def test_no_bank_is_read_where_no_strategy_needs_it(tmp_path: Path) -> None:
    model = {"name": "m", "endpoint": "lab", "strategies": ["direct", "format", "thought:3"]}
    config = Config.model_validate(
        {"endpoints": [ENDPOINT], "models": [model], "think": {"bank": str(tmp_path / "absent")}}
    )
    assert make_prompter(config, config.models, ["direct", "format"]) is None
    with pytest.raises(ThoughtError, match=r"absent/templates\.jsonl: no such file: build"):
        make_prompter(config, config.models)


def test_a_strategy_that_needs_a_bank_and_has_none() -> None:
    model = {"name": "m", "endpoint": "lab", "strategies": ["direct", "thought:3"]}
    config = settings(models=[model])
    with pytest.raises(ConfigError, match=r"'think\.bank': the strategy 'thought:3' needs a bank"):
        make_prompter(config, config.models)
    with pytest.raises(ConfigError, match="'thought:3' needs a prompter"):
        plan_calls(config, config.models, [Query("a", "A?")], tasks={})


def test_tasks_known_by_name_and_by_the_settings(tmp_path: Path) -> None:
    task = {"name": "mine", "path": str(tmp_path / "x.jsonl"), "metric": "number"}
    found = known_tasks(settings(tasks=[task]), ["gsm8k", "unheard-of", None])
    assert set(found) == {"gsm8k", "mine"}
