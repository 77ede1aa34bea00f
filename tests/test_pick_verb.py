"""`fusionfactory pick` against an endpoint of its own, and a plan made of its verdicts."""

from __future__ import annotations

import json
import re
import threading
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING, ClassVar

import pytest

from answered_table import answered_table
from fusionfactory.plans import load_plan
from test_cli import Run, run
from test_judge_verb import Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

__all__ = ["run"]

SPEC = "select:judge=wise,log=picks.db"
NAMED = f'{SPEC},candidates=["small-a","small-b"]'


class Picker(Endpoint):
    """Picks the answer that ends in the question's last digit, else the first."""

    requests: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.requests.append(body)
        text = body["messages"][0]["content"]
        asked = re.search(r"<question-\w+>\n.*(\d)\n", text)
        found = re.search(rf"<([A-J])-\w+>\n.*{asked[1] if asked else ''}\n", text)
        said = json.dumps({"reason": "", "best": found[1] if found else "A"})
        choice = {"index": 0, "message": {"role": "assistant", "content": said},
                  "finish_reason": "stop"}  # fmt: skip
        usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        self._send(200, {"choices": [choice], "usage": usage})


@pytest.fixture
def requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """What the judge was asked; the working directory has its settings and a table."""
    monkeypatch.chdir(tmp_path)
    answered_table(160, seed=1).write(tmp_path / "log.parquet")
    Picker.requests.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Picker) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        (tmp_path / "fusionfactory.toml").write_text(
            f'[[endpoints]]\nname = "here"\nbase_url = "http://127.0.0.1:{server.server_address[1]}'
            '/v1"\nconcurrency = 8\n[[models]]\nname = "wise"\nendpoint = "here"\n'
            "input_price = 1.0\noutput_price = 1.0\n",
            encoding="utf-8",
        )
        yield Picker.requests
        server.shutdown()
        thread.join()


def test_verdicts_are_collected_once_and_make_a_plan(
    run: Run, requests: list[dict[str, Any]]
) -> None:
    assert run("pick", "log.parquet", "--plan", SPEC, "--dry-run", "--json") == 0
    missing = run.json()["verdicts"]["missing"]
    assert missing > 100
    assert requests == []
    assert run("pick", "log.parquet", "--plan", SPEC, "--limit", "10") == 0
    assert "20 replies in" in run.out
    assert f"10 have their verdict, {missing - 20} calls are missing" in run.out
    assert run("pick", "log.parquet", "--plan", SPEC, "--json") == 0
    facts = run.json()
    assert facts["run"]["done"] == missing - 20
    assert len(requests) == missing
    verdicts = facts["verdicts"]
    assert verdicts["missing"] == verdicts["unread"] == 0
    assert verdicts["answered"] == verdicts["questions"] == missing / 2
    assert 0.5 < verdicts["decided"] / verdicts["answered"] <= 1
    assert facts["plan"] == f"{SPEC},candidates={json.dumps(facts['candidates'])}".replace(" ", "")
    assert run("fit", "log.parquet", "--plan", facts["plan"], "--out", "plan") == 0
    assert load_plan("plan").arms_[-1].name == "wise"
    assert len(requests) == missing


def test_a_budget_ends_the_run_and_the_next_goes_on(
    run: Run, requests: list[dict[str, Any]]
) -> None:
    assert run("pick", "log.parquet", "--plan", NAMED, "--budget-usd", "0.002") == 1
    assert "the next run goes on there" in run.out
    asked = len(requests)
    assert 0 < asked < 60
    assert run("pick", "log.parquet", "--plan", NAMED) == 0
    assert re.search(r"both orders pick the same answer in \d+ \(\d+%\)", run.out)
    assert f"go on with: --plan '{NAMED}'" in run.out


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("vote", "'vote' asks no judge: expected select:judge=MODEL,log=STORE"),
        ("select", "no judge is named"),
        ("select:judge=wise", "no store for the verdicts is named"),
        ("select:judge=wise,log=./log.parquet", "log.parquet holds the answers: give the verdicts"),
        ("select:judge=nobody,log=x.db", "no model 'nobody' in the settings; known: wise"),
        (f"{SPEC},candidates=small-a", "'small-a' is no list of arms"),
        (f"{SPEC},most=1", "expected at least 2, for a judge picks among several, got 1"),
    ],
)
def test_what_cannot_be_asked_is_told(
    run: Run, requests: list[dict[str, Any]], spec: str, message: str
) -> None:
    assert run("pick", "log.parquet", "--plan", spec) == 2
    assert message in run.err
    assert requests == []


def test_a_plan_without_verdicts_says_how_to_get_them(
    run: Run, requests: list[dict[str, Any]]
) -> None:
    assert run("fit", "log.parquet", "--plan", NAMED, "--out", "plan") == 2
    assert "collect them with `fusionfactory pick`" in run.err
