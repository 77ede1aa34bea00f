"""`fusionfactory judge` against an endpoint of its own, and what the table then holds."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest

from fusionfactory.cli import main
from fusionfactory.demo import bundled_log
from fusionfactory.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ARM, OTHER = "qwen2.5-coder-1.5b-instruct", "smollm2-135m-instruct"


class Endpoint(BaseHTTPRequestHandler):
    """Grades by whether the reference stands in the response; prefers the longer answer."""

    requests: ClassVar[list[dict[str, Any]]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.requests.append(body)
        if "response_format" in body:
            self._send(400, {"error": {"message": "response_format: not here"}})
            return
        text = body["messages"][0]["content"]
        found = dict(re.findall(r"<(\w+)-[0-9a-f]{8}>\n(.*?)\n</\1-", text, re.DOTALL))
        if "first" in found:
            longer = len(found["first"]) >= len(found["second"])
            said = json.dumps({"better": "first" if longer else "second"})
        else:
            right = found["reference"].split("|")[0].lower() in found["response"].lower()
            said = f"It is what it is.\nScore: {0.8 if right else 0}"
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
def endpoint() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The URL of an endpoint, and the requests that it got."""

    class Handler(Endpoint):
        requests: ClassVar[list[dict[str, Any]]] = []

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", Handler.requests
        server.shutdown()
        thread.join()


@pytest.fixture
def folder(
    tmp_path: Path, endpoint: tuple[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder with settings and a store of 40 questions, in which the test runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUDGE_KEY", "secret")
    (tmp_path / "fusionfactory.toml").write_text(
        f'store = "runs.db"\n[[endpoints]]\nname = "here"\nbase_url = "{endpoint[0]}"\n'
        'api_key_env = "JUDGE_KEY"\nconcurrency = 1\n'
        '[[models]]\nname = "strict"\nendpoint = "here"\n'
        'input_price = 1.0\noutput_price = 1.0\n[judge]\nmodel = "strict"\n',
        encoding="utf-8",
    )
    with Store(tmp_path / "runs.db") as store:
        store.write_table(bundled_log().select_arms([ARM, OTHER]).rows(np.arange(40)))
    return tmp_path


def run(*arguments: str) -> int:
    code: object = 0
    try:
        main(list(arguments))
    except SystemExit as done:
        code = done.code
    assert isinstance(code, int)
    return code


def facts(capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: ANN401  JSON
    return json.loads(capsys.readouterr().out)


def test_judge_then_evaluate(
    folder: Path,
    endpoint: tuple[str, list[dict[str, Any]]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("judge", "--limit", "10", "--json") == 0
    done = facts(capsys)["run"]
    assert (done["judged"], done["failed"], done["unread"]) == (10, 0, 0)
    assert done["spent_usd"] == pytest.approx(10 * 110e-6)
    assert len(endpoint[1]) == 11  # one try of structured output
    assert run("judge", "--json") == 0
    assert facts(capsys)["run"]["held"] == 10
    with Store(folder / "runs.db") as store:
        table = store.table()
    assert not np.isnan(table.judge).any()
    assert set(np.unique(table.judge)) == {0.0, 0.8}
    assert run("evaluate", "runs.db", "--router", "elo", "--scenario", "judge", "--json") == 0
    rows = facts(capsys)["scenarios"]["judge"]
    oracle = next(row for row in rows if row["router"] == "oracle")
    assert 0 < oracle["quality"] <= 0.8


@pytest.mark.usefixtures("folder")
def test_retest_and_agreement(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("judge", "--agreement") == 0
    assert "the store holds no verdict of a judge" in capsys.readouterr().out
    assert run("judge", "--task", "arithmetic", "--task", "string_ops", "--json", "o.json") == 0
    assert "verdicts of strict" in capsys.readouterr().out
    assert run("judge", "--retest", "4", "--json") == 0
    content = facts(capsys)
    assert content["run"]["judged"] == 4
    assert content["agreement"][0]["retest"]["exact"] == 1.0
    assert run("judge", "--agreement") == 0
    said = capsys.readouterr().out
    assert "against itself: 4 grades repeated, 100.0% the same" in said
    assert "string_ops" in said


@pytest.mark.usefixtures("folder")
def test_pairwise(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("judge", "--pairwise", ARM, OTHER, "--limit", "5", "--json") == 0
    (pairs,) = facts(capsys)["pairs"]
    assert pairs["n"] >= 5
    assert {row["arm"] for row in pairs["ratings"]} == {ARM, OTHER}
    assert run("judge", "--pairs", "1", "--task", "sentiment") == 0
    said = capsys.readouterr().out
    assert "position bias" in said
    assert "Elo" in said


@pytest.mark.usefixtures("folder")
def test_the_budget_stops_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("judge", "--budget-usd", "0.0005") == 1
    assert "the budget of 0.0005 USD is spent" in capsys.readouterr().out


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("arguments", "message"), [
    (["--model", "nobody"], "no model 'nobody' in the settings; known: strict"),
    (["--retest", "3", "--agreement"], "--retest and --agreement are different things"),
    (["--retest", "3", "--limit", "1"], "--limit does nothing beside --retest"),
    (["--retest", "3", "--right-only"], "it does nothing beside --retest"),
    (["--task", "none"], "the store has no task 'none'"),
    (["--pairwise", ARM, ARM], "cannot be compared with itself"),
])  # fmt: skip
def test_wrong_use(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("judge", *arguments) == 2
    assert message in capsys.readouterr().err


def test_a_judge_must_be_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "fusionfactory.toml").unlink()
    assert run("judge", "--store", "runs.db") == 2
    assert "name the judge: --model NAME" in capsys.readouterr().err
