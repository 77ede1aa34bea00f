"""From settings to calls."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from fusionfactory.clients import EndpointClient
from fusionfactory.clients.local import LocalClient
from fusionfactory.config import Config
from fusionfactory.errors import ConfigError, UnknownNameError, UnsupportedError
from fusionfactory.plan import (
    call_price,
    choose,
    make_clients,
    plan_calls,
    questions,
    tasks_by_name,
)
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
