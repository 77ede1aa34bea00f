"""Production logs, each from a fixture in its tool's own schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from fusionfactory.importers import detect, import_log, import_table

LOGS = Path(__file__).parent / "fixtures" / "logs"
FIXTURES = {
    "litellm_spend_logs.jsonl": "litellm",
    "langfuse": "langfuse",
    "otel_traces.json": "otel",
    "otel_spans.jsonl": "otel",
    "openinference_traces.json": "openinference",
    "phoenix_spans.jsonl": "openinference",
    "openai_chat.jsonl": "openai-chat",
    "openai_batch": "openai-chat",
    "openai_evals_items.jsonl": "openai-evals",
    "openai_evals_recorder.jsonl": "openai-evals",
}


def options(name: str) -> dict[str, Any]:
    return {"model": "gpt-4o-mini"} if name == "openai_chat.jsonl" else {}


def rows(name: str, **given: object) -> list[dict[str, Any]]:
    """Outcomes of a fixture, in the order of time."""
    return import_log(FIXTURES[name], LOGS / name, **given).outcomes.to_dicts()


def said(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


NUMBERS = ("input_tokens", "output_tokens", "cost_usd", "latency_s")


@pytest.mark.parametrize(("name", "found"), FIXTURES.items())
def test_the_format_is_found(name: str, found: str) -> None:
    assert detect(LOGS / name) == found


@pytest.mark.parametrize(("name", "form"), FIXTURES.items())
def test_failures_are_outcomes_without_scores(name: str, form: str) -> None:
    log = import_log(form, LOGS / name, **options(name))
    failed = log.outcomes.filter(pl.col("error").is_not_null())
    assert failed.height == log.failed
    assert failed["quality"].null_count() == failed["judge"].null_count() == log.failed
    assert failed["response"].null_count() == log.failed
    assert log.failed or name in {"phoenix_spans.jsonl", "openai_chat.jsonl"}
    table = import_table("auto", LOGS / name, **options(name))
    assert set(table.arm_names) == set(log.outcomes["arm"])
    assert sorted(table.texts) == sorted(log.outcomes["query"].unique())


@pytest.mark.parametrize(("name", "form"), FIXTURES.items())
def test_no_credential_is_carried_over(name: str, form: str) -> None:
    kept = json.dumps(import_log(form, LOGS / name, **options(name)).outcomes.to_dicts())
    for secret in ("sk-", "88dc28d0", "abcdef0123456789", "abcd1234efgh", "1234567890abcdef"):
        assert secret not in kept


def test_litellm() -> None:
    log = import_log("litellm", LOGS / "litellm_spend_logs.jsonl")
    assert log.left_out == {"call of type aembedding": 1}
    first, second, other, failed, weather, thanks = log.outcomes.to_dicts()
    asked = ("query", "arm", "sample")
    assert said(first, *asked) == ("Where is my parcel?", "gpt-4o", 0)
    assert said(second, *asked) == ("Where is my parcel?", "gpt-4o", 1)
    assert said(other, *asked) == ("Where is my parcel?", "mistral-small", 0)
    assert first["query_id"] == second["query_id"] == other["query_id"]
    assert said(second, *NUMBERS) == (50, 12, 0.00042, 1.5)
    assert said(second, "response", "finish_reason") == ("On its way.", "stop")
    assert said(second, "created", "propensity") == ("2026-03-02T09:15:01.625000+00:00", 0.8)
    assert other["propensity"] is None
    assert said(failed, "query", "arm", "response") == ("Cancel my order", "gpt-4o", None)
    assert failed["error"] == (
        "AuthenticationError: 401: Incorrect API key provided: [redacted]. "
        "Authorization: Bearer [redacted]"
    )
    assert said(failed, *NUMBERS) == (None, None, 0.0, 0.01)
    assert weather["query"] == (
        "User: Is it warm there?\n[image]\n\n"
        'Assistant: [calls get_weather({"city": "Köln"})]\n\nTool: 21 °C'
    )
    assert weather["response"] == '[calls get_weather({"city": "Köln"})]'
    assert said(thanks, "query", "arm") == ("Sag danke", "qwen2.5")
    assert said(thanks, *NUMBERS) == (None, None, 0.0, 4.0)


def test_litellm_by_the_model_that_answered() -> None:
    arms = {row["arm"] for row in rows("litellm_spend_logs.jsonl", arm="model")}
    assert arms == {"openai/gpt-4o-2024-08-06", "mistral/mistral-small", "gpt-4o", "ollama/qwen2.5"}


@pytest.mark.parametrize("ending", ["csv", "parquet", "json", "page"])
def test_litellm_in_other_files(tmp_path: Path, ending: str) -> None:
    lines = (LOGS / "litellm_spend_logs.jsonl").read_text(encoding="utf-8").splitlines()
    items = [json.loads(line) for line in lines]
    path = tmp_path / f"spend.{ending}"
    if ending in {"json", "page"}:
        path = tmp_path / "spend.json"
        path.write_text(json.dumps(items if ending == "json" else {"data": items, "total": 7}))
    else:
        held = [
            {k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in item.items()}
            for item in items
        ]
        frame = pl.DataFrame(held, infer_schema_length=None)
        if ending == "csv":
            frame.write_csv(path)
        else:
            times = [pl.col(name).str.to_datetime() for name in ("startTime", "endTime")]
            frame.with_columns(times).write_parquet(path)
    assert detect(path) == "litellm"
    assert import_log("litellm", path).outcomes.to_dicts() == rows("litellm_spend_logs.jsonl")


def test_litellm_spend_of_zero(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    item = {
        "request_id": "1", "spend": 0, "model": "m", "total_tokens": 3, "prompt_tokens": 2,
        "completion_tokens": 1, "messages": [{"role": "user", "content": "a?"}],
    }  # fmt: skip
    free = {"cache_hit": "True", "messages": [{"role": "user", "content": "b?"}]}
    path.write_text(f"{json.dumps(item)}\n{json.dumps(item | free)}\n")
    costs = [row["cost_usd"] for row in import_log("litellm", path).outcomes.to_dicts()]
    assert costs == [0.0, 0.0]
    log = import_log("litellm", path, zero_is_unknown=True)
    assert log.outcomes["cost_usd"].to_list() == [None, 0.0]


def test_langfuse() -> None:
    log = import_log("langfuse", LOGS / "langfuse")
    assert log.left_out == {"observation of type SPAN": 1}
    faust, failed, money, ping = log.outcomes.to_dicts()
    assert said(faust, "query", "arm", "response") == (
        "Who wrote «Faust»?", "gpt-4o-mini", "Goethe."
    )  # fmt: skip
    assert said(faust, *NUMBERS) == (25, 3, 4.8e-06, 2.5)
    assert said(faust, "quality", "propensity") == (1.0, 0.25)
    assert faust["created"] == "2026-04-01T10:00:02.500000+00:00"
    assert said(failed, "query_id", "arm", "error", "quality") == (
        faust["query_id"], "claude-haiku", "529 overloaded_error", None
    )  # fmt: skip
    assert said(failed, *NUMBERS) == (None, None, None, 30.0)
    assert money["query"] == "User: Hi\n\nAssistant: Hello!\n\nUser: Convert 3 € to $"
    assert money["response"] == '[calls convert({"amount": 3})]'
    assert said(money, *NUMBERS) == (31, 8, 0.00012, 1.0)
    assert money["quality"] == 0.0
    assert said(ping, "query", "arm", "response") == ("Ping", "local-7b", '{"answer": 1}')
    assert said(ping, *NUMBERS) == (None, None, None, 0.5)


def test_langfuse_other_scores() -> None:
    faust, *others = rows("langfuse", score="helpfulness", judge="correctness", scale=(0, 5))
    assert said(faust, "quality", "judge") == (0.8, 0.2)
    assert [row["quality"] for row in others] == [None, None, None]


def test_langfuse_traces_with_everything_inside(tmp_path: Path) -> None:
    observations, scores = (
        [json.loads(line) for line in (LOGS / "langfuse" / name).read_text().splitlines()]
        for name in ("observations.jsonl", "scores.jsonl")
    )
    path = tmp_path / "trace.json"
    path.write_text(json.dumps({"id": "t", "observations": observations, "scores": scores}))
    assert detect(path) == "langfuse"
    assert import_log("langfuse", path).outcomes.to_dicts() == rows("langfuse")


def test_langfuse_score_of_a_trace_with_two_generations(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    call = {"type": "GENERATION", "traceId": "t", "model": "m", "input": "a?", "output": "b"}
    score = {"id": "s", "traceId": "t", "name": "quality", "value": 1, "dataType": "NUMERIC"}
    items = [call | {"id": "1"}, call | {"id": "2"}, score]
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    log = import_log("langfuse", path)
    assert log.left_out == {"score of a trace with several generations": 1}
    assert log.outcomes["quality"].to_list() == [None, None]


def test_otlp() -> None:
    log = import_log("otel", LOGS / "otel_traces.json")
    assert log.left_out == {
        "span of the operation execute_tool": 1,
        "span that is no call of a model": 1,
    }
    peak, failed, weather = log.outcomes.to_dicts()
    assert said(peak, "query", "arm", "response") == (
        "Wie hoch ist die Zugspitze?", "gpt-4o", "2962 m"
    )  # fmt: skip
    assert said(peak, *NUMBERS) == (31, 7, None, 1.5)
    assert said(peak, "quality", "propensity", "finish_reason") == (0.75, 0.5, "stop")
    assert peak["created"] == "2026-04-24T03:06:41.500000+00:00"
    assert failed["query_id"] == peak["query_id"]
    assert failed["error"] == "rate_limit_error: 429 for x-api-key: [redacted]"
    assert weather["query"] == (
        'User: Weather?\n\nAssistant: [calls get_weather({"city": "Paris"})]\n\nTool: rain'
    )
    assert said(weather, "response", "finish_reason", "input_tokens") == (
        '[calls get_umbrella({"n": 1})]', "tool_call", None
    )  # fmt: skip


def test_spans_in_lines_older_conventions_and_log_records() -> None:
    first, second, failed = rows("otel_spans.jsonl")
    assert [row["sample"] for row in (first, second, failed)] == [0, 1, 2]
    assert said(first, "query", "response", "finish_reason") == ("Ping", "Pong", "stop")
    assert said(first, *NUMBERS) == (12, 2, None, 0.4)
    assert said(second, "query", "response", "quality") == ("Ping", "Pong!", 1.0)
    assert failed["error"] == "ReadTimeout: 60 s"


def test_openinference_flattened() -> None:
    cat, dog = rows("openinference_traces.json")
    assert said(cat, "query", "arm", "response") == ("Übersetze: cat", "gpt-4o-mini", "Katze")
    assert said(cat, *NUMBERS) == (20, 2, 4.2e-06, 2.0)
    assert cat["propensity"] == 0.9
    assert said(dog, "query", "error") == (
        "Übersetze: dog", "APITimeoutError: Request timed out."
    )  # fmt: skip


def test_openinference_nested() -> None:
    log = import_log("openinference", LOGS / "phoenix_spans.jsonl")
    assert log.left_out == {"span of the kind AGENT": 1}
    picture, turns = log.outcomes.to_dicts()
    assert said(picture, "query", "response", "quality") == (
        "What is this?\n[image]", '[calls zoom({"by": 2})]', 1.0
    )  # fmt: skip
    assert said(picture, "input_tokens", "latency_s") == (95, 0.5)
    assert picture["cost_usd"] == pytest.approx(0.0003)
    assert picture["created"] == "2026-01-11T23:45:18.482858+00:00"
    assert turns["query"] == 'User: Hi\n\nAssistant: Hello\n\nUser: {"json": true}'
    assert turns["response"] == "[1, 2]"


def test_openai_chat() -> None:
    log = import_log("openai-chat", LOGS / "openai_chat.jsonl", model="gpt-4o-mini")
    assert log.left_out == {"chat without an answer": 1}
    stored, danube, clock = log.outcomes.to_dicts()
    assert said(stored, "query", "arm", "response", "propensity") == (
        "Dis oui", "gpt-4o-mini-2024-07-18", "Oui", 0.4
    )  # fmt: skip
    assert said(stored, *NUMBERS, "finish_reason") == (9, 1, None, None, "length")
    assert stored["created"] == "2026-02-25T06:13:20+00:00"
    assert said(danube, "query", "arm", "created") == (
        "Where does the Danube end?", "gpt-4o-mini", None
    )  # fmt: skip
    assert said(clock, "query", "arm", "response") == (
        "User: Hi\n\nAssistant: Yes?\n\nUser: ¿Qué hora es?",
        "ft:gpt-4o-mini:acme::abc",
        "[calls clock({})]",
    )


@pytest.mark.parametrize("apart", [True, False])
def test_openai_batch(*, apart: bool) -> None:
    folder = LOGS / "openai_batch"
    given = (
        (folder / "output.jsonl", {"requests": folder / "input.jsonl"}) if apart else (folder, {})
    )
    lima, four, long = import_log("openai-chat", given[0], **given[1]).outcomes.to_dicts()
    assert said(lima, "query", "arm", "response", "input_tokens") == (
        "Capital of Perú?", "gpt-4o-mini", "Lima", 24
    )  # fmt: skip
    assert said(four, "query", "arm", "error") == (
        "2+2?", "gpt-4o-mini", "invalid_request_error: Invalid 'messages'."
    )  # fmt: skip
    assert long["error"].startswith("batch_expired: This request could not be")


def test_openai_evals_items() -> None:
    table = import_table("openai-evals", LOGS / "openai_evals_items.jsonl")
    city, flag, failed, answer = rows("openai_evals_items.jsonl")
    assert said(city, "query", "target", "arm", "response") == (
        "Größte Stadt?", "Berlin", "gpt-4o", "Berlin"
    )  # fmt: skip
    assert said(city, *NUMBERS, "quality") == (44, 2, None, None, 1.0)
    assert said(flag, "target", "quality", "input_tokens") == ("🇩🇪", 0.0, None)
    assert said(failed, "query", "arm", "error") == (
        "Größte Stadt?", "gpt-4o-mini", "rate_limit_exceeded: Too many requests"
    )  # fmt: skip
    assert said(answer, "query", "target", "response", "quality") == ("Antwort?", "42", "42", 1.0)
    np.testing.assert_array_equal(table.quality[0], [1.0, np.nan])
    named = rows("openai_evals_items.jsonl", score="String check")
    assert [row["quality"] for row in named] == [1.0, 0.0, None, None]


def test_openai_evals_recorder() -> None:
    log = import_log("openai-evals", LOGS / "openai_evals_recorder.jsonl")
    assert log.left_out == {"event sampling after the first": 1}
    water, tree, story = log.outcomes.to_dicts()
    assert said(water, "query", "arm", "response", "target") == (
        "At sea level water boils at 1", "gpt-3.5-turbo", "00", "00"
    )  # fmt: skip
    assert said(water, "quality", "metric", "input_tokens") == (1.0, "match", 20)
    assert said(tree, "response", "quality", "target") == ("pine, señor", 0.0, "sequoia")
    assert said(story, "query", "error", "quality") == ("Once upon a ", "Timeout: timed out", None)
