"""`fusionfactory think build` against an endpoint of its own, and without any."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest

from fusionfactory.cli import main
from fusionfactory.demo import bundled_log
from fusionfactory.store import Store
from fusionfactory.thoughts.template import TEMPLATES, read_templates
from fusionfactory.types import Query

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ARMS = ["qwen2.5-coder-1.5b-instruct", "qwen2.5-coder-0.5b-instruct"]


class Endpoint(BaseHTTPRequestHandler):
    """Writes one note for every question; refuses those on sentiment."""

    requests: ClassVar[list[dict[str, Any]]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.requests.append(body)
        asked = body["messages"][0]["content"].split("Question:\n")[1]
        if "sentiment" in asked:
            self._send(400, {"error": {"message": "not today"}})
            return
        said = "Note: Read the question with care, step by step."
        usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        message = {"role": "assistant", "content": said}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        self._send(200, {"choices": [choice], "usage": usage})

    def _send(self, status: int, content: dict[str, Any]) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """What an endpoint was asked, in a folder with settings that name it and a store of answers."""

    class Handler(Endpoint):
        requests: ClassVar[list[dict[str, Any]]] = []

    monkeypatch.chdir(tmp_path)
    with Store(tmp_path / "runs.db") as store:
        log = bundled_log().select_arms(ARMS)
        store.write_table(log.rows(np.isin(log.tasks, ["arithmetic", "extraction", "sentiment"])))
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        (tmp_path / "fusionfactory.toml").write_text(
            f'store = "runs.db"\n[[endpoints]]\nname = "here"\n'
            f'base_url = "http://127.0.0.1:{server.server_address[1]}/v1"\n'
            'api_key_env = ""\nconcurrency = 2\nretries = 0\n'
            '[[models]]\nname = "pen"\nmodel = "pen-1b"\nendpoint = "here"\n'
            "params = { max_tokens = 99 }\ninput_price = 1.0\noutput_price = 1.0\n"
            '[think]\nbank = "thoughts"\nwriter = "pen"\n',
            encoding="utf-8",
        )
        yield Handler.requests
        server.shutdown()
        thread.join()


def run(*arguments: str) -> int:
    code: object = 0
    try:
        main(["think", "build", *arguments])
    except SystemExit as done:
        code = done.code
    assert isinstance(code, int)
    return code


def facts(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_model_writes_a_bank(
    tmp_path: Path, requests: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--task", "extraction", "--keep", "1", "--json") == 0
    done = facts(capsys)
    assert done["written"] == len(requests) > 10
    assert done["spent_usd"] == pytest.approx(len(requests) * 110e-6)
    assert (done["tasks"], done["merged"]) == ({"extraction": 1}, done["written"] - 1)
    assert {r["model"] for r in requests} == {"pen-1b"}
    assert {(r["max_tokens"], r["temperature"]) for r in requests} == {(99, 0)}
    (only,) = read_templates(tmp_path / "thoughts" / TEMPLATES)
    assert only.text == "Read the question with care, step by step."
    assert (only.writer, len(only.sources)) == ("pen", done["written"])
    assert run("--task", "extraction", "--keep", "1") == 0
    assert f"{done['written']} notes there already" in capsys.readouterr().out
    assert len(requests) == done["written"]


def test_no_model_is_needed(
    tmp_path: Path, requests: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    arm = ("--source-arm", ARMS[0], "--bank", "own", "--writer", "extractive")
    assert run(*arm, "--task", "arithmetic") == 0
    said = capsys.readouterr().out
    assert "notes by extractive" in said
    assert "questions without a right answer" in said
    templates = read_templates(tmp_path / "own" / TEMPLATES)
    assert f"own holds {len(templates)} templates" in said
    assert {s.arm for t in templates for s in t.sources} == {ARMS[0]}
    assert requests == []


def test_the_budget_stops_a_build(
    requests: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--task", "extraction", "--budget-usd", "0.0005") == 1
    said = capsys.readouterr().out
    assert "stopped: the budget of 0.0005 USD is spent" in said
    assert "notes are left: the next build goes on there" in said
    assert len(requests) < 8


def test_a_build_in_which_every_call_failed_has_failed(
    requests: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--task", "sentiment") == 1
    said = capsys.readouterr().out
    assert "calls failed: --retry-failed asks those again" in said
    assert "not today" in said
    assert "is given up after 25 failures in a row" in said
    assert run("--task", "sentiment") == 1
    asked = [request["messages"][0]["content"] for request in requests]
    assert len(set(asked)) == len(asked)
    assert run("--task", "sentiment") == 1
    assert len(requests) == len(asked)


@pytest.mark.usefixtures("requests")
def test_a_table_will_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundled_log().rows(np.arange(30)).write(tmp_path / "log.parquet")
    assert run("--store", "log.parquet", "--writer", "extractive", "--bank", "b", "--json") == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["queries"] == 30
    assert "the table names no splits" in told.err


@pytest.mark.usefixtures("requests")
@pytest.mark.parametrize(("arguments", "message"), [
    (["--writer", "nobody"], "no model 'nobody' in the settings; known: pen"),
    (["--criterion", "judge"], "the criterion 'judge' needs a judge's scores"),
    (["--criterion", "length"], "'length' is not one of"),
    (["--source-arm", "x"], "runs.db, field 'source_arms': no arm 'x' in the table"),
    (["--task", "x"], "field 'task': no query of the task 'x' in the table"),
    (["--store", "none.parquet"], "none.parquet: no such file"),
])  # fmt: skip
def test_wrong_use(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.usefixtures("requests")
def test_a_test_split_is_not_written_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Store(tmp_path / "runs.db") as store:
        rows = store.table().queries.rows()
        splits = ["test" if number % 3 else "train" for number in range(len(rows))]
        store.add_queries(
            Query(row[0], row[1], split=split) for row, split in zip(rows, splits, strict=True)
        )
    extractive = ("--writer", "extractive", "--bank", "b", "--json")
    assert run(*extractive) == 0
    assert facts(capsys)["queries"] == splits.count("train")
    assert run(*extractive, "--split", "all") == 0
    assert facts(capsys)["queries"] == len(rows)
    assert run(*extractive, "--split", "validation") == 2
    assert "no query of the split 'validation'" in capsys.readouterr().err
