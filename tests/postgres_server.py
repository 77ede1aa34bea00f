"""A PostgreSQL server of the tests' own: Debian's programs, a folder in /tmp, a loopback port."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PostgresServer", "postgres_server"]

_PROGRAMS = Path("/usr/lib/postgresql")


class PostgresServer:
    """Started, stopped and started again; what it has acknowledged stays.

    Args:
        folder: Of its own.
        programs: Where `initdb` and `pg_ctl` are.
        durable: Whether it waits for the disk, as for a test that kills it.
    """

    def __init__(self, folder: Path, programs: Path, *, durable: bool = False) -> None:
        self._folder, self._programs = folder, programs
        self._as_postgres: list[str] = []
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            self._as_postgres = ["runuser", "-u", "postgres", "--"]
            shutil.chown(folder, "postgres")
        self._fsync = "on" if durable else "off"
        self._numbers = itertools.count()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", "postgres", "--no-sync")
        self.start()

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def start(self) -> None:
        """Runs it, and waits until it answers."""
        options = f"-k {self._folder} -p {self.port} -c listen_addresses=127.0.0.1"
        options += f" -c fsync={self._fsync} -c max_connections=200"
        log = str(self._folder / "log")
        self._run("pg_ctl", "-D", str(self._data), "-o", options, "-l", log, "-w", "start")

    def stop(self, mode: Literal["fast", "immediate"] = "immediate") -> None:
        """Ends it: `fast` in good order, `immediate` as a crash would."""
        self._run("pg_ctl", "-D", str(self._data), "-m", mode, "-w", "stop")

    def database(self) -> str:
        """URL of a new, empty database, by a port of loopback."""
        name = f"test{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Runs a statement as the administrator; its rows."""
        import psycopg

        where = f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres"
        with psycopg.connect(where, autocommit=True) as raw:
            done = raw.execute(statement)
            return done.fetchall() if done.description else []

    @contextlib.contextmanager
    def tls(self, certificate: Path, key: Path) -> Iterator[None]:
        """Offers TLS to new connections for as long as the block lasts."""
        for path, name in ((certificate, "server.crt"), (key, "server.key")):
            target = self._data / name
            shutil.copy(path, target)
            target.chmod(0o600)
            shutil.chown(target, self._data.owner())
        self._set("ssl", "on")
        try:
            yield
        finally:
            self._set("ssl", "off")

    def _set(self, name: str, value: str) -> None:
        self.execute(f"ALTER SYSTEM SET {name} = {value}")
        self.execute("SELECT pg_reload_conf()")
        while self.execute(f"SHOW {name}") != [(value,)]:  # it reads its settings when it likes
            time.sleep(0.01)

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_postgres, str(self._programs / program), *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd="/")


@contextlib.contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[PostgresServer]:
    """A server for as long as the block lasts; skips the test where there are no programs."""
    programs = sorted(_PROGRAMS.glob("*/bin/initdb"))
    if not programs:
        pytest.skip(f"no PostgreSQL server binaries in {_PROGRAMS}")
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("psycopg is not installed")
    folder = Path(tempfile.mkdtemp(prefix="ff-postgres-"))
    try:
        server = PostgresServer(folder, programs[-1].parent, durable=durable)
        try:
            yield server
        finally:
            with contextlib.suppress(subprocess.CalledProcessError):  # a test may have stopped it
                server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
