"""Other projects' clients, as they are, against a served gateway with client keys."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from gateway_process import Serving, router_that_prefers, serving, settings
from stub_upstream import Knobs, StubUpstream, stub_upstream

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
SCRIPTS = HERE / "gateway_clients"
BIN = HERE.parent / ".clients" / "bin"
EMBEDDER = "embedder"
Facts: TypeAlias = "dict[str, Any]"

ANSWER = "arm-1 says: Say it."

pytestmark = pytest.mark.skipif(
    not BIN.is_dir() and os.environ.get("CI") != "true", reason="`make clients` installs them"
)


class Opened:
    """A gateway, a key to it, and what it stands before."""

    def __init__(self, gateway: Serving, key: str, stub: StubUpstream) -> None:
        self.url, self.key, self.stub = gateway.url, key, stub

    def run(self, python: Path, script: str, *more: str) -> Facts:
        """What a script of `gateway_clients` prints."""
        command = [str(python), str(SCRIPTS / script), self.url, self.key, "auto:best", *more]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        found: Facts = json.loads(done.stdout)
        return found


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    folder = tmp_path_factory.mktemp("gateway")
    with stub_upstream(embedder=Knobs()) as stub:
        models = (
            f'keys = "required"\n[[models]]\nname = "{EMBEDDER}"\nendpoint = "stub"\n'
            "strategies = []\nembeds = true\n"
        )
        (folder / "fusionfactory.toml").write_text(settings(stub.url, models, workers=1))
        router = router_that_prefers("arm-1", folder / "router")
        program = [sys.executable, "-m", "fusionfactory"]
        added = subprocess.run(
            [*program, "keys", "add", "clients", "--json"],
            cwd=folder, capture_output=True, text=True, check=True,
        )  # fmt: skip
        key = json.loads(added.stdout)["key"]
        with serving(folder, "--router", str(router)) as gateway:
            yield Opened(gateway, key, stub)


@pytest.fixture(scope="module", params=["openai 2", "openai 3"])
def openai_facts(request: pytest.FixtureRequest, opened: Opened) -> Facts:
    version = request.param.split()[1]
    python = BIN / "python" if version == "2" else Path(sys.executable)
    if version == "3":
        pytest.importorskip("openai")
    facts = opened.run(python, "openai_calls.py", EMBEDDER)
    assert facts["version"].startswith(f"{version}.")
    return facts


def test_openai_gets_every_choice_with_log_probabilities_and_usage(openai_facts: Facts) -> None:
    chat = openai_facts["chat"]
    assert chat["texts"] == ["arm-1 says: What is in it?"] * 2
    assert (chat["finish"], chat["logprob"], chat["model"]) == ("stop", -0.5, "arm-1")
    assert chat["usage"] > 0
    assert chat["headers"]["x-fusionfactory-arm"] == "arm-1"
    assert chat["headers"]["x-request-id"] == chat["headers"]["x-fusionfactory-decision"]


def test_what_the_gateway_does_not_know_reaches_the_endpoint(
    openai_facts: Facts, opened: Opened
) -> None:
    (served, *_) = (s for s in opened.stub.ledger if s.body.get("seed") == 4)
    assert served.body["max_completion_tokens"] == 9
    assert served.body["messages"][0] == {"role": "developer", "content": "Answer in one word."}
    assert served.body["messages"][1]["content"][1]["type"] == "image_url"
    assert openai_facts["chat"]["texts"]


def test_openai_streams_with_usage_only_where_it_asks(openai_facts: Facts) -> None:
    plain, counted = openai_facts["stream"], openai_facts["stream_usage"]
    for found in (plain, counted):
        assert found["text"] == ANSWER
        assert (found["first_role"], found["ids"], found["finish"]) == ("assistant", 1, ["stop"])
    assert (plain["usage_chunks"], plain["without_choices"]) == (0, 0)
    assert (counted["usage_chunks"], counted["without_choices"]) == (1, 1)


def test_openai_calls_tools_in_parallel(openai_facts: Facts) -> None:
    tools = openai_facts["tools"]
    assert tools["finish"] == tools["streamed_finish"] == "tool_calls"
    assert tools["names"] == ["weather", "time"]
    assert [call["names"] for call in tools["streamed"]] == [["weather"], ["time"]]
    assert [len(call["ids"]) for call in tools["streamed"]] == [1, 1]
    for call in tools["streamed"]:
        assert json.loads(call["arguments"]) == {"query": "Weather and time in Oslo?"}
    assert tools["after"] == "arm-1 says: Weather and time in Oslo?"


def test_openai_reaches_the_rest_of_the_api(openai_facts: Facts) -> None:
    others = openai_facts["others"]
    assert others["embedded"] == [8, 8]
    assert others["same"] < 1e-6
    assert others["completion"] == others["completion_stream"] == "arm-1 says: Once upon"
    assert (others["response"], others["response_status"]) == (ANSWER, "completed")
    assert (others["events"][0], others["events"][-1]) == (
        "response.created",
        "response.completed",
    )
    assert others["event_text"] == ANSWER
    assert {"auto", "auto:best", "arm-0", EMBEDDER} <= set(others["models"])
    assert others["one_model"] == others["models"][0]


def test_openai_raises_its_own_errors(openai_facts: Facts) -> None:
    errors = openai_facts["errors"]
    assert errors["unknown_model"] == ["NotFoundError", 404, "model_not_found", True]
    assert errors["stranger"][:3] == ["AuthenticationError", 401, "invalid_api_key"]
    for name in ("no_messages", "bad_policy", "stateful"):
        assert errors[name][:2] == ["BadRequestError", 400]
    assert errors["unknown_retrieve"][:2] == ["NotFoundError", 404]


def test_langchain_answers_streams_and_calls_tools(opened: Opened) -> None:
    facts = opened.run(BIN / "python", "langchain_calls.py")
    assert facts["text"] == facts["streamed"] == ANSWER
    assert facts["usage"] > 0
    assert facts["calls"] == [["weather", {"query": "Weather?"}]]
    assert facts["after"] == "arm-1 says: Weather?"


def test_llama_index_chats_streams_and_completes(opened: Opened) -> None:
    facts = opened.run(BIN / "python", "llama_index_calls.py")
    assert facts["text"] == facts["streamed"] == ANSWER
    assert facts["completion"] == "arm-1 says: Once upon"


@pytest.mark.parametrize("more", [(), ("--no-stream",)])
def test_llm_answers_on_the_command_line(
    opened: Opened, tmp_path: Path, more: tuple[str, ...]
) -> None:
    (tmp_path / "extra-openai-models.yaml").write_text(
        f"- model_id: fusion\n  model_name: auto:best\n  api_base: {opened.url}\n"
        "  api_key_name: fusion\n"
    )
    (tmp_path / "keys.json").write_text(json.dumps({"fusion": opened.key}))
    environment = {**os.environ, "LLM_USER_PATH": str(tmp_path)}
    done = subprocess.run(
        [str(BIN / "llm"), "-m", "fusion", "Say it.", *more],
        capture_output=True, text=True, check=False, timeout=60, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ANSWER


def test_the_published_description_holds_for_generated_requests(
    opened: Opened, tmp_path: Path
) -> None:
    command = [
        str(BIN / "schemathesis"), "run", f"{opened.url.removesuffix('/v1')}/openapi.json",
        "--url", opened.url.removesuffix("/v1"), "--header", f"Authorization: Bearer {opened.key}",
        "--checks", "not_a_server_error,status_code_conformance,content_type_conformance",
        "--max-examples", "40", "--seed", "1", "--request-timeout", "10", "--no-color",
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=600, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
