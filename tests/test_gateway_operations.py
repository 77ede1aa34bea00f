"""What is told of requests: figures, lines, spans; and the small parts of a worker."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import queue
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fusionfactory.config import Config
from fusionfactory.errors import ConfigError, GatewayError, MissingExtraError, StoreError
from fusionfactory.gateway.build import Built
from fusionfactory.gateway.fleet import Fleet
from fusionfactory.gateway.log.record import Attempt, Record
from fusionfactory.gateway.operations.child import Child
from fusionfactory.gateway.operations.duty import Duty, Present
from fusionfactory.gateway.operations.health import Health
from fusionfactory.gateway.operations.listener import bind, url_of
from fusionfactory.gateway.operations.logs import JsonHandler, request_line
from fusionfactory.gateway.operations.metrics import Metrics, forget_worker
from fusionfactory.gateway.operations.reports import Reports
from fusionfactory.gateway.operations.source import Source
from fusionfactory.gateway.operations.spans import Spans, exported_spans
from fusionfactory.gateway.operations.turnstile import Turnstile
from fusionfactory.gateway.refusal import Refusal
from fusionfactory.serve_settings import LogSettings
from fusionfactory.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Message, Receive, Scope, Send

    from fusionfactory.gateway.operations.duty import Step

CONFIG = Config.model_validate(
    {
        "endpoints": [{"name": "here", "base_url": "http://127.0.0.1:9/v1", "provider": "own"}],
        "models": [{"name": "small", "endpoint": "here", "model": "small-1"}],
    }
)


def record(**facts: object) -> Record:
    known: dict[str, Any] = {
        "id": "req_1", "at": 1_700_000_000.25, "asked": "auto", "text": "a secret plan",
        "response": "a secret answer", "arm": "small", "chosen": "small", "why": "best",
        "router": "v1-abc", "policy": "balance", "propensity": 1.0, "status": 200,
        "estimates": {"small": (0.75, 1e-5)}, "input_tokens": 10, "output_tokens": 4,
        "cost_usd": 2e-5, "latency_s": 0.5, "upstream_s": 0.49, "finish_reason": "stop",
        "attempts": [Attempt("small", 0.49, 200, cost_usd=2e-5)],
    }  # fmt: skip
    return Record(**{**known, **facts})


# Figures


def test_figures_of_a_request() -> None:
    metrics = Metrics()
    metrics.observe(record())
    metrics.observe(record(cost_usd=None, input_tokens=None, stream=True, first_byte_s=0.2))
    metrics.observe(
        record(arm=None, status=502, cost_usd=None, attempts=[Attempt("small", 0.1, 500, "x")] * 2)
    )
    metrics.turn_away(429)
    text = metrics.render().decode()
    for line in (
        'fusionfactory_turned_away_total{status="429"} 1.0',
        'fusionfactory_requests_total{api="chat",arm="small",status="200"} 2.0',
        'fusionfactory_requests_total{api="chat",arm="none",status="502"} 1.0',
        'fusionfactory_decisions_total{arm="small",why="best"} 3.0',
        'fusionfactory_tokens_total{arm="small",side="input"} 10.0',
        'fusionfactory_tokens_total{arm="small",side="output"} 8.0',
        'fusionfactory_cost_usd_total{arm="small"} 2e-05',
        'fusionfactory_unpriced_total{arm="small"} 1.0',
        'fusionfactory_unpriced_total{arm="none"} 0.0',
        'fusionfactory_first_byte_seconds_count{arm="small"} 1.0',
        'fusionfactory_request_seconds_count{arm="small"} 2.0',
        'fusionfactory_upstream_failures_total{arm="small",status="500"} 2.0',
        'fusionfactory_overhead_seconds_bucket{le="0.02"} 3.0',
    ):
        assert f"{line}\n" in text


WORKER = """
import sys
from pathlib import Path
from fusionfactory.gateway.log.record import Record
from fusionfactory.gateway.operations.metrics import Metrics, forget_worker
metrics = Metrics(Path(sys.argv[1]), int(sys.argv[2]))
for _ in range(int(sys.argv[3])):
    metrics.observe(Record(id="r", at=0.0, arm="a", status=200, cost_usd=0.5, latency_s=0.02))
metrics.under_way.set(3)
print(metrics.render().decode())
"""


def test_figures_are_summed_over_workers_and_outlive_them(tmp_path: Path) -> None:
    def work(number: int, requests: int) -> str:
        command = [sys.executable, "-c", WORKER, str(tmp_path), str(number), str(requests)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    work(0, 2)
    both = work(1, 3)
    assert 'fusionfactory_requests_total{api="chat",arm="a",status="200"} 5.0' in both
    assert 'fusionfactory_request_seconds_count{arm="a"} 5.0' in both
    assert "fusionfactory_requests_under_way 6.0" in both
    forget_worker(tmp_path, 0)
    files = set(tmp_path.iterdir())
    again = work(1, 4)
    assert 'fusionfactory_requests_total{api="chat",arm="a",status="200"} 9.0' in again
    assert 'fusionfactory_cost_usd_total{arm="a"} 4.5' in again
    assert "fusionfactory_requests_under_way 3.0" in again
    assert set(tmp_path.iterdir()) == files


# Lines


def test_a_line_says_what_happened_but_not_what_was_said() -> None:
    facts = json.loads(request_line(record()))
    told = {"id", "arm", "router", "status", "latency_s", "cost_usd", "at", "level"}
    assert told <= facts.keys()
    assert (facts["event"], facts["at"]) == ("request", "2023-11-14T22:13:20.250+00:00")
    assert b"secret" not in request_line(record(error="wrong: 'a secret plan'", status=400))
    shown = json.loads(request_line(record(), prompts=True))
    assert (shown["text"], shown["response"]) == ("a secret plan", "a secret answer")


def test_a_line_of_a_failure_names_every_attempt() -> None:
    tried = [Attempt("small", 0.1, 500, "broken"), Attempt("large", 0.2, None, "timeout")]
    facts = json.loads(request_line(record(status=502, error="both failed", attempts=tried)))
    assert facts["level"] == "warning"
    assert [(item["arm"], item.get("status")) for item in facts["attempts"]] == [
        ("small", 500), ("large", None),
    ]  # fmt: skip


def test_a_key_sent_as_a_model_is_masked() -> None:
    line = request_line(record(asked="sk-proj-0123456789abcdef"))
    assert json.loads(line)["asked"] == "[key]"


@pytest.fixture
def lines() -> tuple[list[dict[str, Any]], Callable[..., logging.Logger]]:
    written: list[dict[str, Any]] = []

    def logger(*, prompts: bool = False, **facts: object) -> logging.Logger:
        log = logging.Logger("a.library")
        log.addHandler(
            JsonHandler(lambda line: written.append(json.loads(line)), prompts=prompts, **facts)
        )
        return log

    return written, logger


def test_messages_of_libraries_are_lines_without_keys(
    lines: tuple[list[dict[str, Any]], Callable[..., logging.Logger]],
) -> None:
    written, logger = lines
    log = logger(worker=1)
    log.warning("sent %s", "Authorization: Bearer abc.def", extra={"facts": {"more": 2}})
    (line,) = written
    assert line["event"] == "sent Authorization: Bearer [key]"
    assert (line["level"], line["logger"], line["worker"], line["more"]) == (
        "warning", "a.library", 1, 2,
    )  # fmt: skip


def test_an_unforeseen_error_shows_its_place_and_not_its_text(
    lines: tuple[list[dict[str, Any]], Callable[..., logging.Logger]],
) -> None:
    written, logger = lines

    def fail(error: Exception, *, prompts: bool = False) -> dict[str, Any]:
        try:
            raise error
        except Exception:  # noqa: BLE001  as a server catches it
            logger(prompts=prompts).exception("it failed")
        return written.pop()

    hidden = fail(ValueError("a secret plan"))
    assert hidden["error"] == "ValueError"
    assert hidden["where"][-1].endswith(" fail")
    assert "secret" not in json.dumps(hidden)
    assert fail(ValueError("a secret plan"), prompts=True)["message"] == "a secret plan"
    assert fail(ConfigError("a wrong port"))["message"] == "a wrong port"


@pytest.mark.parametrize(
    ("level", "statuses"),
    [("debug", [200, 404, 502]), ("info", [200, 404, 502]), ("warning", [502]), ("error", [])],
)
def test_the_level_chooses_the_lines(level: str, statuses: list[int]) -> None:
    reader, writer = os.pipe()
    reports = Reports(Metrics(), level=level, fd=writer)
    for status in (200, 404, 502):
        reports.observe(record(status=status))
    reports.close()
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        assert [json.loads(line)["status"] for line in file] == statuses


def test_a_log_that_nobody_reads_delays_nobody() -> None:
    reader, writer = os.pipe()
    metrics = Metrics()
    reports = Reports(metrics, fd=writer)
    for _ in range(12_000):
        reports.observe(record(asked="x" * 60))
    assert reports.dropped > 0
    assert b'status="200"} 12000.0' in metrics.render()
    os.close(reader)
    reports.close()
    os.close(writer)


# Spans


def test_spans_by_the_conventions_for_generative_ai() -> None:
    trace = pytest.importorskip("opentelemetry.sdk.trace")
    export = pytest.importorskip("opentelemetry.sdk.trace.export")
    memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    exporter, provider = memory.InMemorySpanExporter(), trace.TracerProvider()
    provider.add_span_processor(export.SimpleSpanProcessor(exporter))
    spans = Spans(provider, Fleet(CONFIG))
    tried = [Attempt("small", 0.2, 500, "broken"), Attempt("small", 0.25, 200, cost_usd=2e-5)]
    spans(record(attempts=tried, session="conversation"))
    first, second, request = exporter.get_finished_spans()
    assert request.name == "chat auto"
    said = dict(request.attributes)
    assert said["gen_ai.operation.name"] == "chat"
    assert said["gen_ai.request.model"] == "auto"
    assert said["gen_ai.response.model"] == "small"
    assert said["gen_ai.conversation.id"] == "conversation"
    assert said["gen_ai.usage.input_tokens"] == 10
    assert said["gen_ai.response.finish_reasons"] == ("stop",)
    assert said["fusionfactory.expected_quality"] == 0.75
    assert request.start_time == 1_700_000_000_250_000_000
    assert request.end_time - request.start_time == 500_000_000
    assert second.name == "chat small-1"
    assert second.parent.span_id == request.context.span_id
    assert dict(second.attributes) | {
        "gen_ai.provider.name": "own", "server.address": "127.0.0.1", "server.port": 9,
        "gen_ai.request.model": "small-1", "gen_ai.usage.output_tokens": 4,
    } == dict(second.attributes)  # fmt: skip
    assert first.attributes["error.type"] == "500"
    assert first.end_time == second.start_time
    assert "secret" not in str([span.to_json() for span in (first, second, request)])
    exporter.clear()
    Spans(provider, Fleet(CONFIG), prompts=True)(record())
    told = json.loads(exporter.get_finished_spans()[-1].attributes["gen_ai.input.messages"])
    assert told == [{"role": "user", "parts": [{"type": "text", "content": "a secret plan"}]}]


def test_spans_are_off_unless_the_environment_names_a_collector(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", raising=False)
    assert exported_spans(Fleet(CONFIG)) is None
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(MissingExtraError, match=r"fusionfactory\[otel\]"):
        exported_spans(Fleet(CONFIG))


# Settings, socket, turnstile, child


def test_what_is_given_counts_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "f.toml"
    text = CONFIG.model_dump_json(include={"endpoints", "models"}, exclude_none=True)
    endpoints, models = json.loads(text)["endpoints"][0], json.loads(text)["models"][0]
    file.write_text(
        f'store = "a.db"\n[[endpoints]]\nname = "{endpoints["name"]}"\n'
        f'base_url = "{endpoints["base_url"]}"\n[[models]]\nname = "{models["name"]}"\n'
        'endpoint = "here"\n[serve]\nport = 1\nworkers = 2\n'
    )
    source = Source.from_json(Source(file, {"port": 2, "store": "b.db"}).to_json())
    config = source.read()
    assert (config.store, config.serve.port, config.serve.workers) == ("b.db", 2, 2)
    before = source.stamp()
    file.write_text('[serve]\nport = "x"\n')
    assert source.stamp() != before
    with pytest.raises(ConfigError, match=r"f\.toml, field 'serve\.port': .*valid integer"):
        source.read()
    file.unlink()
    assert source.stamp() is None


def test_what_counts_from_the_next_start_stays_as_it_was_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "f.toml"
    models = (
        '[[endpoints]]\nname = "here"\nbase_url = "http://127.0.0.1:1/v1"\n'
        '[[models]]\nname = "small"\nendpoint = "here"\n'
    )
    file.write_text(models + "[serve]\nworkers = 2\n")
    source = Source(file)
    source = Source.from_json(source.started(source.read().serve).to_json())
    assert source.postponed() == []
    file.write_text(models + '[serve]\nworkers = 1\nstate = "other"\nkeys = "required"\n')
    settings = source.read().serve
    assert (settings.workers, settings.state, settings.keys) == (2, Path("gateway"), "required")
    assert source.postponed() == ["workers", "state"]
    assert Source(file).read().serve.workers == 1


def test_what_is_redacted_is_in_no_line_either(tmp_path: Path) -> None:
    with (tmp_path / "lines").open("wb") as file:
        reports = Reports(Metrics(tmp_path / "m", 0), prompts=True, fd=file.fileno())
        reports.redact_by(LogSettings(redact=(r"secret \w+",), texts="none"))
        reports.observe(record(asked="auto:secret thing"))
        reports.close()
    facts = json.loads((tmp_path / "lines").read_bytes())
    assert (facts["text"], facts["response"]) == ("a [redacted]", "a [redacted]")
    assert facts["asked"] == "auto:[redacted]"


def test_a_taken_port_is_said_plainly() -> None:
    with bind("127.0.0.1", 0) as bound:
        port = bound.getsockname()[1]
        assert url_of(bound) == f"http://127.0.0.1:{port}/v1"
        with pytest.raises(ConfigError, match=rf"cannot listen on 127\.0\.0\.1:{port} \(Addr"):
            bind("127.0.0.1", port)
    with pytest.raises(ConfigError, match=r"field 'serve\.host': there is no host 'no\.such"):
        bind("no.such.host.invalid", 0)


def test_too_many_requests_at_a_time_get_503_but_probes_do_not() -> None:
    async def ask(app: Turnstile, path: str) -> list[Message]:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            return {"type": "http.request", "body": b""}

        await app({"type": "http", "path": path}, receive, send)
        return sent

    async def run() -> None:
        open_now = asyncio.Event()

        async def slow(scope: Scope, _receive: Receive, send: Send) -> None:
            if scope["path"] == "/v1/models":
                await open_now.wait()
            await send({"type": "http.response.start", "status": 200})

        app = Turnstile(slow, 1)
        first = asyncio.create_task(ask(app, "/v1/models"))
        await asyncio.sleep(0)
        assert app.under_way == 1
        start, body = await ask(app, "/v1/models")
        assert start["status"] == 503
        assert (b"retry-after", b"1") in start["headers"]
        assert json.loads(body["body"])["error"]["code"] == "overloaded"
        assert (await ask(app, "/health"))[0]["status"] == 200
        open_now.set()
        assert (await first)[0]["status"] == 200
        assert app.under_way == 0

    asyncio.run(run())


def test_a_duty_goes_on_after_an_error_and_with_what_is_in_force(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Store(tmp_path / "log.db") as store:
        first, second = Present(CONFIG, store), Present(CONFIG, store)
        present, done = [first], queue.SimpleQueue[Present]()

        def make(given: Present) -> Step:
            def step() -> int:
                done.put(given)
                if given is first:
                    present[0] = second
                    msg = "the disk is full"
                    raise StoreError(msg)
                return 0

            return step

        duty = Duty("a duty", 0.01, lambda: present[0], make)
        duty.start()
        assert done.get(timeout=10) is first
        assert done.get(timeout=10) is second
        assert done.get(timeout=10) is second
        duty.end(10)
    assert "a duty failed and is tried again: the disk is full" in caplog.text


def test_a_worker_that_is_not_ready_says_so() -> None:
    nobody: Built = Built.__new__(Built)
    for health, code in ((Health(), "starting"), (Health(started=True, draining=True), "draining")):
        with pytest.raises(Refusal, match=f"the worker is {code}: ask another one"):
            health.check(nobody)


CHILD = """
import os, sys, time
from fusionfactory.gateway.operations.child import Lifeline
with open(sys.argv[2], "a") as file:
    file.write("life\\n")
with open(sys.argv[2]) as file:
    lives = len(file.readlines())
if sys.argv[3] == "never" or (sys.argv[3] == "later" and lives > 1 and lives < 4):
    sys.exit(3)
Lifeline(int(sys.argv[1])).ready()
if lives < 4:
    sys.exit(1)
time.sleep(60)
"""


@pytest.fixture
def child_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "mortal.py").write_text(CHILD)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "mortal"


def test_a_process_that_dies_is_started_again(tmp_path: Path, child_module: str) -> None:
    """Also where it dies before it is ready, if it once was."""
    lives, deaths = tmp_path / "lives", []

    async def run() -> None:
        child = Child("mortal", child_module, (str(lives), "later"), died=lambda: deaths.append(1))
        keeping = asyncio.create_task(child.keep())
        end = time.monotonic() + 30
        while not lives.exists() or len(lives.read_text().split()) < 4:
            assert time.monotonic() < end
            await asyncio.sleep(0.02)
        child.stop()
        await keeping

    asyncio.run(run())
    assert len(deaths) == 4


def test_a_process_that_cannot_start_is_given_up(tmp_path: Path, child_module: str) -> None:
    child = Child("mortal", child_module, (str(tmp_path / "lives"), "never"))
    with pytest.raises(GatewayError, match=r"mortal cannot start \(exit code 3\): see above"):
        asyncio.run(child.keep())
    assert (tmp_path / "lives").read_text() == "life\n"
