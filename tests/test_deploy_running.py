"""What is deployed runs: two gateways on PostgreSQL, a proxy before them, and Prometheus."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from deploy_files import (
    DEPLOY,
    SETTINGS,
    dockerfile,
    gateway_settings,
    needed_program,
    unit,
    yaml_documents,
)
from gateway_process import serving
from stub_upstream import Knobs, stub_upstream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gateway_process import Serving
    from postgres_server import PostgresServer

REQUESTS = 60
WITHIN_S = 30.0


@dataclass
class Deployment:
    """Two gateways that share a database.

    Attributes:
        key: Of an admin.
    """

    folder: Path
    gateways: list[Serving]
    key: str

    def addresses(self) -> list[str]:
        """host:port of each."""
        return [str(urlsplit(gateway.url).netloc) for gateway in self.gateways]


def environment(server: PostgresServer) -> dict[str, str]:
    """What the secret, the `.env` file or the environment file would hold."""
    database = {"PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGUSER": "postgres"}
    return database | {endpoint.api_key_env: "any" for endpoint in gateway_settings().endpoints}


@pytest.fixture(scope="module")
def deployment(
    tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer
) -> Iterator[Deployment]:
    """The first key, then two gateways, each with a state folder of its own."""
    folder = tmp_path_factory.mktemp("deployed")
    (endpoint,) = gateway_settings().endpoints
    given = environment(postgres)
    postgres.execute("CREATE DATABASE fusionfactory")
    with stub_upstream() as stub:
        # A failure, and so a sample of every figure.
        stub.models["gpt-4o-mini"] = Knobs(fault="500", faulty_calls=1)
        text = SETTINGS.read_text(encoding="utf-8").replace(endpoint.base_url, stub.url)
        (folder / SETTINGS.name).write_text(text, encoding="utf-8")
        added = subprocess.run(
            [sys.executable, "-m", "fusionfactory", "keys", "add", "ops", "--admin",
             "--json", "-", "--state", "elsewhere"],
            cwd=folder, env={**os.environ, **given}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert added.returncode == 0, added.stderr
        key = json.loads(added.stdout)["key"]
        options = ("--port", "0", "--workers", "1", "--state")
        with (
            serving(folder, *options, "one", environment=given) as one,
            serving(folder, *options, "two", environment=given) as two,
        ):
            yield Deployment(folder, [one, two], key)
    postgres.execute("DROP DATABASE fusionfactory WITH (FORCE)")


def get(address: str, path: str, key: str = "", body: object = None) -> tuple[int, bytes]:
    """Status and content; a body is sent by POST."""
    connection = HTTPConnection(address, timeout=10)
    try:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        content = None if body is None else json.dumps(body)
        connection.request("GET" if body is None else "POST", path, content, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_probes_and_checks_ask_for_what_gateways_answer(deployment: Deployment) -> None:
    (document,) = yaml_documents("kubernetes", "statefulset.yaml")
    (container,) = document["spec"]["template"]["spec"]["containers"]
    probes = [
        container[f"{kind}Probe"]["httpGet"]["path"]
        for kind in ("startup", "liveness", "readiness")
    ]
    proxy = (DEPLOY / "haproxy.cfg").read_text(encoding="utf-8")
    probes += re.findall(r"option httpchk GET (\S+)", proxy)
    assert len(probes) == 4
    for address in deployment.addresses():
        for path in probes:
            assert get(address, path)[0] == 200


def test_the_check_of_the_image_tells_a_gateway_that_is_ready(deployment: Deployment) -> None:
    (check,) = [rest for name, rest in dockerfile() if name == "HEALTHCHECK"]
    command = json.loads(check.partition("CMD ")[2])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = free.getsockname()[1]
    ports = [address.rpartition(":")[2] for address in deployment.addresses()]
    for port, code in ((ports[0], 0), (str(nobody), 1)):
        asked = command[-1].replace(str(gateway_settings().serve.port), port)
        assert asked != command[-1]
        done = subprocess.run([sys.executable, "-c", asked], capture_output=True, check=False)
        assert done.returncode == code, done.stderr


def test_a_key_is_good_at_every_gateway(deployment: Deployment) -> None:
    for address in deployment.addresses():
        assert get(address, "/v1/models", deployment.key)[0] == 200
        assert get(address, "/v1/models", "wrong")[0] == 401


def test_every_figure_that_an_alert_names_is_there(deployment: Deployment) -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": "What is 7 * 8?"}]}
    address = deployment.addresses()[0]
    assert get(address, "/v1/chat/completions", deployment.key, body)[0] == 200
    status, figures = get(address, "/metrics", deployment.key)
    assert status == 200
    told = set(re.findall(r"^(\w+)[{ ]", figures.decode(), re.MULTILINE))
    rules = (DEPLOY / "prometheus" / "alerts.yml").read_text(encoding="utf-8")
    named = set(re.findall(r"fusionfactory_\w+", rules))
    assert len(named) >= 5
    assert named <= told


@contextmanager
def running(*command: str, address: str, path: str) -> Iterator[list[str]]:
    """A program for as long as the block lasts, once it answers with 200; then what it told."""
    told: list[str] = []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    try:
        end = time.monotonic() + WITHIN_S
        while not answers(address, path):
            assert process.poll() is None, process.stdout.read()
            assert time.monotonic() < end, "it does not answer"
            time.sleep(0.05)
        yield told
    finally:
        process.terminate()
        told += process.communicate(timeout=20)[0].splitlines()


def answers(address: str, path: str) -> bool:
    """Whether somebody is there, and ready."""
    try:
        return get(address, path)[0] == 200
    except OSError:
        return False


def free_address() -> str:
    """Of loopback, with a port that nobody listens to."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def test_prometheus_scrapes_every_gateway(deployment: Deployment) -> None:
    prometheus = needed_program("prometheus")
    folder = deployment.folder / "prometheus"
    folder.mkdir()
    text = (DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8")
    (job,) = yaml_documents("prometheus", "prometheus.yml")[0]["scrape_configs"]
    (named,) = job["static_configs"]
    for target, address in zip(named["targets"], deployment.addresses(), strict=True):
        text = text.replace(target, address)
    text = text.replace(job["authorization"]["credentials_file"], str(folder / "key"))
    text = text.replace("scrape_interval: 15s", "scrape_interval: 1s")
    (folder / "key").write_text(deployment.key, encoding="utf-8")
    (folder / "prometheus.yml").write_text(text, encoding="utf-8")
    rules = (DEPLOY / "prometheus" / "alerts.yml").read_text(encoding="utf-8")
    (folder / "alerts.yml").write_text(rules, encoding="utf-8")
    address = free_address()

    def value(query: str) -> list[dict[str, Any]]:
        status, answer = get(address, f"/api/v1/query?query={query}")
        assert status == 200, answer
        found: list[dict[str, Any]] = json.loads(answer)["data"]["result"]
        return found

    with running(
        prometheus, f"--config.file={folder / 'prometheus.yml'}", f"--web.listen-address={address}",
        f"--storage.tsdb.path={folder / 'data'}", address=address, path="/-/ready",
    ):  # fmt: skip
        end = time.monotonic() + WITHIN_S
        wanted = dict.fromkeys(deployment.addresses(), "1")
        while {up["metric"]["instance"]: up["value"][1] for up in value("up")} != wanted:
            assert time.monotonic() < end, value("up")
            time.sleep(0.1)
        under_way = value("fusionfactory_requests_under_way")
        assert {found["metric"]["job"] for found in under_way} == {job["job_name"]}
        rules_found = json.loads(get(address, "/api/v1/rules")[1])["data"]["groups"]
        assert {rule["health"] for group in rules_found for rule in group["rules"]} <= {
            "ok", "unknown",
        }  # fmt: skip


def test_clients_of_the_proxy_do_not_see_that_a_gateway_is_killed(deployment: Deployment) -> None:
    haproxy = needed_program("haproxy")
    text = (DEPLOY / "haproxy.cfg").read_text(encoding="utf-8")
    port = gateway_settings().serve.port
    for number, address in enumerate(deployment.addresses(), 1):
        text = text.replace(f" gateway-{number}:{port}", f" {address}")
    front = free_address()
    text = text.replace(f"bind :{port}", f"bind {front}")
    path = deployment.folder / "haproxy.cfg"
    path.write_text(text, encoding="utf-8")

    def ask(number: int) -> tuple[int, bytes]:
        content = f"question {number}: {'more ' * 1000}"
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": content}]}
        return get(front, "/v1/chat/completions", deployment.key, body)

    with running(haproxy, "-f", str(path), address=front, path="/health") as told:
        for number in range(REQUESTS):
            if number == REQUESTS // 3:
                (worker,) = deployment.gateways[1].workers()
                deployment.gateways[1].process.send_signal(signal.SIGKILL)
                os.kill(worker, signal.SIGKILL)
            status, answer = ask(number)
            assert status == 200, (number, answer)
    served = [re.findall(r" gateways/(gateway-\d) .*POST", line) for line in told]
    turns = [name for found in served for name in found]
    assert turns[: REQUESTS // 3].count("gateway-2") == REQUESTS // 6
    assert set(turns[REQUESTS // 3 + 5 :]) == {"gateway-1"}


FORBIDS_WRITABLE_CODE = """
import ctypes, os, sys
PR_SET_MDWE, REFUSE_EXEC_GAIN = 65, 1
if ctypes.CDLL(None).prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0):
    sys.exit(77)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def test_the_gateway_runs_under_the_units_protection_of_memory(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    assert unit()["MemoryDenyWriteExecute"] == ["yes"]
    words = [word for value in unit()["Environment"] for word in shlex.split(value)]
    told = {
        name: v for name, _, v in (word.partition("=") for word in words) if "CACHE" not in name
    }
    (tmp_path / SETTINGS.name).write_text(SETTINGS.read_text(encoding="utf-8"), encoding="utf-8")
    program = (
        "import fusionfactory.gateway.operations.worker, fusionfactory.gateway.operations.ingester;"
        "from fusionfactory import make_router; from fusionfactory.testing import make_table;"
        "table = make_table(60); make_router('ridge').fit(table).estimate(table.texts)"
    )
    done = subprocess.run(
        [sys.executable, "-c", FORBIDS_WRITABLE_CODE, "-W", "ignore", "-c", program],
        env={**os.environ, **environment(postgres), **told}, cwd=tmp_path,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 77:
        pytest.skip("this kernel cannot forbid it to a process")
    assert done.returncode == 0, done.stderr
