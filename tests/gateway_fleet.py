"""Several gateways on addresses of their own, one store, and the way of each to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fusionfactory.cli.gateway_log import versions_of
from fusionfactory.config import read_config
from fusionfactory.routers import load_router
from gateway_process import ARMS, children, router_that_prefers, serving, settings
from slow_proxy import slow_proxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fusionfactory.gateway.learning.versions import Versions
    from gateway_process import Reply, Serving
    from slow_proxy import SlowProxy

__all__ = ["Fleet", "arm_of", "asked", "command", "fleet"]

_PATH = "/v1/chat/completions"


@dataclass
class Fleet:
    """What runs.

    Attributes:
        folder: Each host has a folder in it: `host-0`.
        database: URL of the store, past the proxies.
        ways: From each host to the store.
        hosts: The gateways.
        key: Headers with a client key that is an administrator's.
    """

    folder: Path
    database: str
    ways: list[SlowProxy]
    hosts: list[Serving] = field(default_factory=list)
    key: dict[str, str] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)

    def place(self, number: int) -> Path:
        """The folder of a host."""
        return self.folder / f"host-{number}"

    def start(self, number: int) -> Serving:
        """Starts a host; it takes the place of one that is gone."""
        router = str(self.folder / "router")
        begun = self._stack.enter_context(serving(self.place(number), "--router", router))
        if number < len(self.hosts):
            self.hosts[number] = begun
        return begun

    def kill(self, number: int) -> None:
        """Kills every process of a host at once."""
        process = self.hosts[number].process
        for each in (process.pid, *children(process.pid)):
            os.kill(each, signal.SIGKILL)
        process.wait(20)

    def restore(self) -> None:
        """Starts what is dead, mends every way, and waits until all hosts choose the same arm."""
        for number, way in enumerate(self.ways):
            way.delay_s = 0.0
            way.mend()
            if self.hosts[number].process.poll() is not None:
                self.start(number)
        for host in self.hosts:
            host.wait(lambda it: "trouble" not in it.ask("GET", "/ready").json, 60.0)
        self.hosts[0].wait(
            lambda _: len({arm_of(host, self.key) for host in self.hosts}) == 1, 60.0
        )

    @contextmanager
    def versions(self, number: int) -> Iterator[Versions]:
        """The versions as a host's own commands have them."""
        config = read_config(self.place(number) / "fusionfactory.toml")
        with versions_of(config, self.place(number) / "gateway", None) as found:
            yield found

    def add_key(self, name: str, *options: str) -> dict[str, str]:
        """Headers with a new key, made at the first host."""
        told = command(self.place(0), "keys", "add", name, *options)
        key = next(word for word in told.split() if word.startswith("ff-"))
        return {"authorization": f"Bearer {key}"}

    def add_version(self) -> tuple[str, str]:
        """Adds a router at the first host: its id, and the arm that it prefers, another one."""
        present = arm_of(self.hosts[0], self.key)
        arm = ARMS[(ARMS.index(present) + 1) % len(ARMS)]
        with self.versions(0) as versions:
            return versions.add(load_router(self._router(arm))), arm

    def stored(self) -> set[str]:
        """Ids of the requests in the store."""
        import psycopg

        with psycopg.connect(self.database) as connection:
            found = connection.execute(
                "SELECT queries.id FROM requests JOIN queries ON queries.no = requests.query_no"
            )
            return {row[0] for row in found}

    def duties(self) -> dict[str, str]:
        """What one gateway does for all, and which one has it."""
        import psycopg

        with psycopg.connect(self.database) as connection:
            return dict(connection.execute("SELECT duty, holder FROM duty_leases").fetchall())

    def _router(self, arm: str) -> Path:
        path = self.folder / arm
        return path if path.exists() else router_that_prefers(arm, path)


def asked(host: Serving, key: dict[str, str]) -> Reply:
    """The answer to a question that nobody asked before."""
    body = {"model": "auto", "messages": [{"role": "user", "content": f"at {time.time_ns()}"}]}
    reply = host.ask("POST", _PATH, body, **key)
    assert reply.status == 200, reply
    return reply


def arm_of(host: Serving, key: dict[str, str]) -> str:
    """Which arm a host's router chooses at present."""
    return asked(host, key).headers["x-fusionfactory-arm"]


def command(place: Path, *arguments: str) -> str:
    """What a command of a host's prints."""
    line = [sys.executable, "-m", "fusionfactory", *arguments]
    done = subprocess.run(line, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def fleet(
    folder: Path, database: str, upstream: str, count: int = 3, more: str = ""
) -> Iterator[Fleet]:
    """Starts them for as long as the block lasts; clients need a key.

    Args:
        folder: Of the test.
        database: URL of an empty database on 127.0.0.1.
        upstream: URL of the endpoint.
        count: Of the hosts.
        more: Settings under `[serve]`, and after them.
    """
    router_that_prefers("arm-1", folder / "router")
    port = urlsplit(database).port
    with ExitStack() as stack:
        assert port is not None
        ways = [stack.enter_context(slow_proxy(port)) for _ in range(count)]
        made = Fleet(folder, database, ways, _stack=stack)
        for number, way in enumerate(ways):
            made.place(number).mkdir()
            serve = f'host = "127.0.0.{number + 1}"\nkeys = "required"\n{more}'
            text = settings(upstream, serve, workers=1)
            store = database.replace(f":{port}/", f":{way.port}/")
            file = made.place(number) / "fusionfactory.toml"
            file.write_text(text.replace('"log.db"', f'"{store}"'))
        made.key = made.add_key("team", "--admin")
        try:
            _start_all(made, count)
            yield made
        finally:
            for host in made.hosts:
                host.process.terminate()


def _start_all(made: Fleet, count: int) -> None:
    begun: dict[int, Serving] = {}
    errors: list[BaseException] = []

    def start(number: int) -> None:
        try:
            begun[number] = made.start(number)
        except BaseException as error:  # noqa: BLE001  raised below, once the others are known
            errors.append(error)

    threads = [threading.Thread(target=start, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made.hosts = [begun[number] for number in sorted(begun)]
    if errors:
        raise errors[0]
