"""What a production log cannot hold, and how its records become samples of a store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from fusionfactory.cli import main
from fusionfactory.errors import ConfigError, FormatError, UnknownNameError
from fusionfactory.importers import LOGS, detect, import_log, import_table
from fusionfactory.importers.logs.appending import append
from fusionfactory.store import Store
from fusionfactory.table import OutcomeTable

if TYPE_CHECKING:
    from collections.abc import Iterable

FIXTURES = Path(__file__).parent / "fixtures" / "logs"


def write(path: Path, *items: object) -> Path:
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    return path


def spend(query: object = "a?", **given: object) -> dict[str, Any]:
    return {
        "request_id": "r", "spend": 0.5, "model": "m", "startTime": "2026-01-01T00:00:00Z",
        "endTime": "2026-01-01T00:00:01Z",
        "messages": [{"role": "user", "content": query}],
        "response": {"choices": [{"message": {"role": "assistant", "content": "b"}}]},
    } | given  # fmt: skip


def span(attributes: object = None, **given: object) -> dict[str, Any]:
    asked = {"gen_ai.request.model": "m", "gen_ai.input.messages": "a?"}
    return {"attributes": asked if attributes is None else attributes} | given


def generation(**given: object) -> dict[str, Any]:
    call = {"id": "1", "traceId": "t", "type": "GENERATION", "startTime": 1.8e9}
    return call | {"model": "m", "input": "a?", "output": "b"} | given


def score(**given: object) -> dict[str, Any]:
    return {"traceId": "t", "observationId": "1", "name": "quality", "dataType": "NUMERIC"} | given


def code_of(arguments: list[str]) -> object:
    """The command's exit code."""
    try:
        main(arguments)
    except SystemExit as done:
        return done.code
    return 0


@pytest.mark.parametrize(
    ("form", "items", "message"),
    [
        ("litellm", [spend(), spend(None)], "row 2, field 'messages': says no query .*prompts_in"),
        ("litellm", [spend(" ")], "row 1, field 'messages': says no query"),
        (
            "litellm",
            [spend(model="", call_type="completion")],
            "row 1, field 'model_group': says no model; skip_incomp",
        ),
        ("litellm", [spend(spend=-1)], "row 1, field 'spend': -1.0 must be finite and not neg"),
        ("litellm", [spend(spend="much")], "row 1, field 'spend': 'much' is no number"),
        ("litellm", [spend(model="|x")], r"row 1, field 'model_group': '\|x' names no model"),
        ("litellm", [spend(endTime="soon")], "row 1, field 'endTime': 'soon' is no time: exp"),
        ("litellm", [spend(endTime=[1])], r"row 1, field 'endTime': \[1\] is no time"),
        ("litellm", [spend(startTime=1e30)], r"row 1, field 'startTime': 1e\+30 is no time"),
        ("litellm", [spend(metadata={"propensity": 0})], "row 1, field 'metadata': 0 is no prop"),
        ("litellm", [spend(metadata='{"propensity": "x"}')], "field 'metadata': 'x' is no propen"),
        ("litellm", [spend(call_type="rerank")], "no calls of a model .*: 1 x call of type rerank"),
        ("litellm", ["text"], "row 1: holds a str, expected an object"),
        (
            "langfuse",
            [generation(), score(value=4)],
            r"row 2, field 'value': 4 of .* \[0, 1\]; say",
        ),
        (
            "langfuse",
            [generation(), score(value=-0.1)],
            "field 'value': -0.1 of the score 'quality'",
        ),
        (
            "langfuse",
            [generation(), score(value=None, stringValue="good")],
            "'good' of .* no number",
        ),
        ("langfuse", [generation(model=None)], "row 1, field 'model': says no model"),
        ("langfuse", [generation(usageDetails={"input": -3})], "field 'usageDetails': -3.0 must"),
        ("langfuse", [generation(costDetails={"total": "x"})], "'costDetails': 'x' is no numb"),
        ("langfuse", [score(value=1)], "no calls .*: 1 x score of an observation that is not in"),
        ("otel", [span({"gen_ai.request.model": "m"})], "'gen_ai.input.messages': says no query"),
        ("otel", [span(start_time="x")], "row 1, field 'startTimeUnixNano': 'x' is no time"),
        ("otel", [{"name": "GET /"}], "no calls of a model .*: 1 x span that is no call of a mod"),
        ("openinference", [span()], "no calls of a model .*: 1 x span of no kind"),
        ("openinference", [{"span_kind": "LLM"}], "row 1, field 'llm.input_messages': says no qu"),
        ("openai-chat", [{"x": 1}], "row 1, field 'messages': is no list of messages; found x"),
        ("openai-chat", [{"custom_id": "1", "response": None}], "says no query .*requests=FILE"),
        ("openai-chat", [{"messages": [{"role": "assistant", "content": "b"}]}], "says no query"),
        ("openai-chat", [{"messages": []}], "no calls of a model .*: 1 x chat without an answer"),
        ("openai-evals", [{"spec": {}}], "holds no calls of a model$"),
        ("openai-evals", [{"item": {}, "sample": {}}], "row 1, field 'input': says no query"),
    ],
)
def test_faults(tmp_path: Path, form: str, items: Iterable[object], message: str) -> None:
    with pytest.raises(FormatError, match=rf"log\.jsonl(, |: ).*{message}"):
        import_log(form, write(tmp_path / "log.jsonl", *items))


@pytest.mark.parametrize(
    ("form", "given", "message"),
    [
        ("litellm", {"arm": "api_base"}, "'arm': 'api_base' names no arm: expected model_group or"),
        (
            "litellm",
            {"score": "x"},
            "'score': the importer 'litellm' has no such option; it has arm",
        ),
        ("litellm", {"skip_incomplete": "no"}, "'skip_incomplete': 'no' is neither true nor false"),
        ("langfuse", {"score": "helpful"}, "'score': no score 'helpful' in the log; found quality"),
        ("langfuse", {"judge": "x"}, "'judge': no score 'x' in the log; found quality"),
        ("langfuse", {"scale": "1"}, "'scale': '1' is no scale: expected two numbers LO,HI"),
        ("langfuse", {"scale": (5, 1)}, r"'scale': \(5, 1\) is no scale"),
        ("langfuse", {"scale": "a,b"}, "'scale': 'a,b' is no scale"),
    ],
)
def test_wrong_options(tmp_path: Path, form: str, given: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "log.jsonl", generation(), score(value=1), spend())
    with pytest.raises(ConfigError, match=message):
        import_log(form, path, **given)


def test_unknown_log() -> None:
    with pytest.raises(UnknownNameError, match="unknown log 'csv'; known: litellm, langfuse"):
        import_log("csv", "x.csv")


@pytest.mark.parametrize("form", LOGS.names())
def test_a_folder_without_logs(form: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"the folder holds no \.jsonl or \.json file"):
        import_log(form, tmp_path)


def test_other_endings(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("{}")
    with pytest.raises(
        FormatError, match=r"has the ending '\.txt', expected \.jsonl, \.json, \.cs"
    ):
        import_log("otel", tmp_path / "log.txt")
    (tmp_path / "log.json").write_text("3")
    with pytest.raises(FormatError, match="holds a int, expected objects"):
        import_log("otel", tmp_path / "log.json")
    (tmp_path / "log.json").write_text("[3]")
    with pytest.raises(FormatError, match="row 1: holds a int, expected an object"):
        import_log("otel", tmp_path / "log.json")
    (tmp_path / "log.json").write_text('{"a": ')
    with pytest.raises(FormatError, match="row 1: is no JSON"):
        import_log("otel", tmp_path / "log.json")


def test_the_collector_writes_lines_to_a_json_file(tmp_path: Path) -> None:
    document = json.loads((FIXTURES / "otel_traces.json").read_text(encoding="utf-8"))
    path = write(tmp_path / "traces.json", document, document)
    assert detect(path) == "otel"
    assert import_log("otel", path).outcomes["sample"].to_list() == [0, 1, 0, 1, 0, 1]


def test_spans_in_other_envelopes(tmp_path: Path) -> None:
    told = {
        "gen_ai.request.model": {"stringValue": "m"}, "gen_ai.input.messages": "a?",
        "gen_ai.output.messages": "b", "gen_ai.usage.input_tokens": {"intValue": "3"},
    }  # fmt: skip
    moments = {"startTimeUnixNano": 1.8e18, "endTimeUnixNano": 1.8e18 + 2e9}
    path = write(
        tmp_path / "log.jsonl", {"trace_id": "t", "spans": [{"attributes": told} | moments]}
    )
    (row,) = import_log("otel", path).outcomes.to_dicts()
    names = ("query", "arm", "response", "input_tokens", "latency_s")
    assert [row[name] for name in names] == ["a?", "m", "b", 3, 2]


def test_phoenix_spans_as_a_table(tmp_path: Path) -> None:
    row = {
        "name": "llm", "span_kind": "LLM", "context.span_id": "1", "status_code": "OK",
        "start_time": "2026-01-01T00:00:00", "end_time": "2026-01-01T00:00:02",
        "attributes.llm.model_name": "m", "attributes.llm.token_count.prompt": 4,
        "attributes.llm.input_messages": [{"message.role": "user", "message.content": "a?"}],
        "attributes.llm.output_messages": [{"message.role": "assistant", "message.content": "b"}],
    }  # fmt: skip
    times = [pl.col(name).str.to_datetime() for name in ("start_time", "end_time")]
    pl.DataFrame([row]).with_columns(times).write_parquet(tmp_path / "spans.parquet")
    path = write(tmp_path / "spans.jsonl", row)
    for file in (tmp_path / "spans.parquet", path):
        assert detect(file) == "openinference"
        (outcome,) = import_log("openinference", file).outcomes.to_dicts()
        assert [outcome[name] for name in ("query", "arm", "response", "input_tokens")] == [
            "a?", "m", "b", 4
        ]  # fmt: skip
        assert outcome["latency_s"] == 2


def test_deep_nesting_is_an_error(tmp_path: Path) -> None:
    deep: list[object] = []
    for _ in range(450):
        deep = [{"type": "tool_result", "content": deep}]
    path = write(tmp_path / "log.jsonl", spend(deep))
    with pytest.raises(FormatError, match=r"log\.jsonl.*(nested too deeply|RecursionError)"):
        import_log("litellm", path)


def test_incomplete_records_left_out_are_counted(tmp_path: Path) -> None:
    path = write(
        tmp_path / "log.jsonl",
        spend(),
        spend(None),
        spend(None),
        spend(model=None, call_type="acompletion"),
    )
    log = import_log("litellm", path, skip_incomplete=True)
    assert log.left_out == {"record without query": 2, "record without model": 1}
    assert log.outcomes.height == 1


def test_litellm_refused_requests_and_keys_that_look_like_nothing(tmp_path: Path) -> None:
    told = {"error_class": "AssertionError", "error_message": "Received=P0-EfXcv, expected sk-"}
    failed = {
        "status": "failure", "response": {}, "messages": [{"role": "user", "content": "a?"}],
        "metadata": {"user_api_key": "P0-EfXcv", "error_information": told},
    }  # fmt: skip
    refused = spend(**failed | {"messages": {}, "model": ""})
    path = write(tmp_path / "log.jsonl", spend(**failed), refused)
    log = import_log("litellm", path)
    assert log.outcomes["error"].to_list() == ["AssertionError: Received=[redacted], expected sk-"]
    assert log.left_out == {"request that the proxy refused before it asked a model": 1}


def test_langfuse_in_other_words(tmp_path: Path) -> None:
    told = {"output": {"label": "ä"}, "costDetails": {"input": 0.25, "output": 0.5}}
    good = score(value=1, dataType="BOOLEAN")
    word = score(name="judge", value=None, stringValue="True")
    log = import_log(
        "langfuse", write(tmp_path / "log.jsonl", generation(**told), good, word), scale="1,5"
    )
    assert log.outcomes.select("response", "cost_usd", "quality", "judge").row(0) == (
        '{"label": "ä"}', 0.75, 1.0, 1.0
    )  # fmt: skip


def test_litellm_request_as_its_body_in_an_envelope(tmp_path: Path) -> None:
    request = json.dumps({"url": "/v1/responses", "body": {"input": "a?"}})
    given = spend(messages="{}", proxy_server_request=request, call_type="aresponses")
    log = import_log("litellm", write(tmp_path / "log.jsonl", given))
    assert log.outcomes["query"].to_list() == ["a?"]


def test_openinference_scores_by_events_and_the_model_of_the_parameters(tmp_path: Path) -> None:
    told = {"llm.invocation_parameters": '{"model": "m"}', "input.value": "a?", "output.value": "b"}
    result = {"gen_ai.evaluation.name": "quality", "gen_ai.evaluation.score.value": 0.5}
    events = [{"name": "gen_ai.evaluation.result", "attributes": result}, {"name": "other"}]
    path = write(tmp_path / "log.jsonl", span(told, span_kind="LLM", events=events))
    assert import_log("openinference", path).outcomes.select(
        "query", "arm", "response", "quality"
    ).row(0) == ("a?", "m", "b", 0.5)


def test_otel_messages_in_the_event_of_details(tmp_path: Path) -> None:
    told = {
        "gen_ai.input.messages": "a?",
        "gen_ai.output.messages": '[{"parts": [{"content": "b"}]}]',
    }
    event = {"name": "gen_ai.client.inference.operation.details", "attributes": told}
    path = write(tmp_path / "log.jsonl", span({"gen_ai.request.model": "m"}, events=[event]))
    assert import_log("otel", path).outcomes.select("query", "response").row(0) == ("a?", "b")


def test_a_record_that_says_nothing_is_left_out(tmp_path: Path) -> None:
    said = {"endTime": None, "spend": None}
    path = write(tmp_path / "log.jsonl", spend(), spend("b?", response={}, **said))
    assert import_log("litellm", path).left_out == {"record that says nothing about the answer": 1}


def test_a_clock_that_went_back_leaves_the_latency_unknown(tmp_path: Path) -> None:
    path = write(tmp_path / "log.jsonl", spend(endTime="2025-12-31T23:59:59Z"))
    assert import_log("litellm", path).outcomes["latency_s"].to_list() == [None]


@pytest.mark.parametrize("model", ["m_think", "vendor/m_think"])
def test_a_model_keeps_its_name(tmp_path: Path, model: str) -> None:
    asked = "a?\nLet's think step by step."
    log = import_log("litellm", write(tmp_path / "log.jsonl", spend(asked, model=model)))
    assert log.outcomes.select("query", "arm", "model", "strategy").row(0) == (
        asked, model, model, "direct"
    )  # fmt: skip


def test_an_arm_keeps_its_strategy(tmp_path: Path) -> None:
    log = import_log("litellm", write(tmp_path / "log.jsonl", spend(model="m|think")), task="t")
    columns = ("arm", "model", "strategy", "task")
    assert log.outcomes.select(columns).row(0) == ("m|think", "m", "think", "t")


def test_the_table_holds_means_over_what_did_not_fail(tmp_path: Path) -> None:
    failed = {"status": "failure", "spend": 8, "startTime": "2025-01-01T00:00:00Z"}
    items = [
        spend(endTime="2026-01-01T00:00:04Z", spend=1.5, response={}),
        spend(),
        spend(endTime="2025-01-01T00:00:01Z", **failed),
        spend("only failed?", **failed),
    ]
    log = import_log("litellm", write(tmp_path / "log.jsonl", *items))
    assert log.failed == 2
    table = log.table()
    places = [table.texts.index(text) for text in ("a?", "only failed?")]
    np.testing.assert_array_equal(table.cost_usd[places], [[1.0], [np.nan]])
    np.testing.assert_array_equal(table.latency_s[places], [[2.5], [np.nan]])
    assert table.responses is not None
    assert table.responses[places].tolist() == [["b"], [None]]


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("litellm_spend_logs.jsonl", "litellm"),
        ("langfuse", "langfuse"),
        ("otel_traces.json", "otel"),
        ("phoenix_spans.jsonl", "openinference"),
        ("openai_batch", "openai-chat"),
        ("openai_evals_items.jsonl", "openai-evals"),
    ],
)
def test_read_gives_the_table_of_the_log(name: str, form: str) -> None:
    read = import_table(form, FIXTURES / name)
    assert read.fingerprint() == import_log(form, FIXTURES / name).table().fingerprint()
    assert read.fingerprint() == import_table("auto", FIXTURES / name).fingerprint()


# Into a store


def test_a_growing_log_is_appended_once(tmp_path: Path) -> None:
    later = {"startTime": "2026-01-02T00:00:00Z", "endTime": "2026-01-02T00:00:01Z"}
    failed = {"status": "failure", "metadata": {"error_information": {"error_message": "no"}}}
    path = write(tmp_path / "log.jsonl", spend(), spend(), spend("b?", **failed))
    with Store(tmp_path / "runs.db") as store:
        assert append(store, import_log("litellm", path)) == 3
        assert append(store, import_log("litellm", path)) == 0
        write(path, spend(), spend(), spend("b?", **failed), spend(**later), spend(model="n"))
        assert append(store, import_log("litellm", path)) == 2
        assert append(store, import_log("litellm", path)) == 0
        assert sorted((o.arm, o.sample, o.error) for o in store.outcomes() if not o.error) == [
            ("m", 0, None), ("m", 1, None), ("m", 2, None), ("n", 0, None)
        ]  # fmt: skip
        assert store.failures() == {"m": 1}


def test_the_command_fills_a_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    log = str(FIXTURES / "langfuse")
    given = ["--option", "score=helpfulness", "--option", "scale=1,5", "--option", "task=support"]
    assert code_of(["import", "langfuse", log, "--store", "runs.db", *given]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "3 queries x 3 arms, 1 scored outcomes (11.1% of the cells)",
        "4 calls, 1 of them failed",
        "left out: observation of type SPAN (1x)",
    ]
    with Store("runs.db") as store:
        outcomes = {(o.query_id.split(":")[0], o.arm): o for o in store.outcomes() if not o.error}
        faust = outcomes["support", "gpt-4o-mini"]
        assert store.failures() == {"claude-haiku": 1}
    assert (faust.propensity, faust.input_tokens, faust.latency_s) == (0.25, 25, 2.5)
    assert [(s.name, s.value) for s in faust.scores] == [("performance", 0.75)]
    assert faust.created is not None
    assert faust.created.isoformat() == "2026-04-01T10:00:02.500000+00:00"
    assert code_of(["import", "auto", log, "--store", "runs.db", *given, "--out", "t.parquet"]) == 0
    assert "4 were in the store already" in capsys.readouterr().out
    assert OutcomeTable.read("t.parquet").arm_names == ("gpt-4o-mini", "claude-haiku", "local-7b")
    assert code_of(["import", "auto", log, "--store", "runs.db", *given, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert {name: facts[name] for name in ("calls", "failed", "written", "left_out")} == {
        "calls": 4, "failed": 1, "written": 0, "left_out": {"observation of type SPAN": 1}
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("score", "field '--option': 'score' is no mapping: expected NAME=VALUE"),
        ("scale=[1,", "field '--option': '[1,' is no list"),
        ("colour=red", "field 'colour': the importer 'langfuse' has no such option"),
        ("scale=[5,1]", "field 'scale': [5, 1] is no scale"),
    ],
)
def test_the_command_refuses_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: str, message: str
) -> None:
    store = str(tmp_path / "runs.db")
    log = str(FIXTURES / "langfuse")
    assert code_of(["import", "langfuse", log, "--store", store, "--option", given]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "runs.db").exists()
