"""One run from the outside: feeds the harness, reads what comes, keeps the time, ends it."""

from __future__ import annotations

import contextlib
import os
import secrets
import selectors
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fusionfactory.errors import SandboxError
from fusionfactory.sandbox.base import Run

if TYPE_CHECKING:
    import socket

    from fusionfactory.sandbox.base import Limits, Verdict

__all__ = ["FOLDER", "Confined", "end", "resident_bytes", "supervise"]

FOLDER = "/tmp"  # noqa: S108  in a mount namespace of its own
"""The throw-away directory, as it is named inside."""

_START_S = 60.0
"""A machine under load may start a process slowly; that is no fault of the program."""
_END_S = 30.0
_WATCH_S = 0.05
_LINE_BYTES = 4096
_PAGE = os.sysconf("SC_PAGE_SIZE")
_FILES = 20_000
"""An empty file takes memory of the kernel, which no limit of a process counts."""
_SIGNALLED = 128
"""Bubblewrap leaves with this plus the signal that ended the program."""


@dataclass(frozen=True, slots=True)
class Confined:
    """A sandbox that was started.

    Attributes:
        process: Bubblewrap outside.
        init: The first process inside, by its number out here.
        init_handle: A pidfd of it, readable once no process is left inside.
        channel: To the harness.
        output: Descriptor of its standard output and error.
    """

    process: subprocess.Popen[bytes]
    init: int
    init_handle: int
    channel: socket.socket
    output: int


def end(box: Confined) -> int:
    """Kills everything inside, waits until it is gone, and returns bubblewrap's exit status.

    Raises:
        SandboxError: Something could not be killed.
    """
    try:
        signal.pidfd_send_signal(box.init_handle, signal.SIGKILL)
    except ProcessLookupError:
        pass
    except PermissionError:
        # Where bubblewrap is setuid only its outer process is ours; the others die with it.
        box.process.kill()
    with selectors.DefaultSelector() as selector:
        selector.register(box.init_handle, selectors.EVENT_READ)
        gone = bool(selector.select(_END_S))
    try:
        if gone:
            status = box.process.wait(_END_S)
            # It is ours to bury where this process is the first of a container.
            with contextlib.suppress(ChildProcessError):
                os.waitpid(box.init, os.WNOHANG)
            return status
    except subprocess.TimeoutExpired:
        pass
    box.process.kill()
    msg = f"processes of a sandbox outlived SIGKILL by {_END_S:.0f} s: see process {box.init}"
    raise SandboxError(msg)


def resident_bytes(pid: int) -> int:
    """Resident memory of a process and its descendants; shared pages count for each."""
    total, queue = 0, [pid]
    while queue:
        folder = Path(f"/proc/{queue.pop()}")
        # A process may end while it is being read.
        with contextlib.suppress(OSError):
            total += int(folder.joinpath("statm").read_text().split()[1]) * _PAGE
            for children in folder.glob("task/*/children"):
                queue += map(int, children.read_text().split())
    return total


def _files(pid: int) -> int:
    """Files and folders in the throw-away directory; 0 where it cannot be seen from here."""
    with contextlib.suppress(OSError):
        found = os.statvfs(f"/proc/{pid}/root{FOLDER}")
        return found.f_files - found.f_ffree
    return 0


def supervise(box: Confined, solution: str, tests: str, limits: Limits) -> Run:
    """Lets a started sandbox run its programs, and ends it.

    Raises:
        SandboxError: It did not start, or could not be ended.
    """
    return _Supervision(box, solution, tests, limits).watch()


class _Supervision:
    def __init__(self, box: Confined, solution: str, tests: str, limits: Limits) -> None:
        self.box, self.tests, self.limits = box, tests, limits
        self.nonce = secrets.token_hex(16)
        self.feed = bytearray(_part(solution))
        self.output, self.speech = bytearray(), bytearray()
        self.since = self.checked = time.monotonic()
        self.started = self.ready = self.over = False
        self.files = 0
        self.ending: tuple[Verdict, str] | None = None

    def watch(self) -> Run:
        box = self.box
        try:
            with selectors.DefaultSelector() as selector:
                self.selector = selector
                selector.register(box.output, selectors.EVENT_READ, self._hear_output)
                selector.register(box.init_handle, selectors.EVENT_READ, self._note_end)
                both = selectors.EVENT_READ | selectors.EVENT_WRITE
                selector.register(box.channel, both, self._exchange)
                while self.ending is None and not self.over:
                    for key, mask in selector.select(self._patience()):
                        key.data(mask)
                    self._check_limits()
        finally:
            wall_s = time.monotonic() - self.since
            status = end(box)
        self._hear_rest()
        text = self.output[: self.limits.output_bytes].decode("utf-8", "replace")
        if not self.started:
            msg = f"the sandbox did not start: {text.strip()[-500:] or f'exit status {status}'}"
            raise SandboxError(msg)
        verdict, reason = self.ending or _ending(status, self.limits)
        if len(self.output) > self.limits.output_bytes and verdict != "timeout":
            verdict, reason = "output", f"it wrote more than {self.limits.output_bytes} bytes"
        return Run(verdict, reason, text, wall_s)

    def _patience(self) -> float:
        limit = self.limits.wall_s if self.started else _START_S
        return max(0.0, min(self.since + limit - time.monotonic(), _WATCH_S))

    def _check_limits(self) -> None:
        now = time.monotonic()
        if not self.started:
            self.over = self.over or now - self.since > _START_S
            return
        if self.ending is None and now - self.since >= self.limits.wall_s:
            self.ending = "timeout", f"it ran for more than {self.limits.wall_s:g} s"
        if self.ending is None and now - self.checked >= _WATCH_S:
            self.checked = now
            if resident_bytes(self.box.init) > self.limits.memory_bytes:
                amount = f"{self.limits.memory_bytes / 2**20:.0f} MiB"
                self.ending = "memory", f"its processes together used more than {amount}"
            elif _files(self.box.init) - self.files > _FILES:
                self.ending = "memory", f"it made more than {_FILES:,} files"

    def _note_end(self, mask: int) -> None:
        self.over = True

    def _hear_output(self, mask: int) -> None:
        content = _read(self.box.output)
        if content == b"":
            self.selector.unregister(self.box.output)
        self.output += content or b""
        if len(self.output) > self.limits.output_bytes:
            self.ending = "output", f"it wrote more than {self.limits.output_bytes} bytes"

    def _hear_rest(self) -> None:
        while len(self.output) <= self.limits.output_bytes and (content := _read(self.box.output)):
            self.output += content
        while self.ending is None and (content := _read(self.box.channel.fileno())):
            self.speech += content
            self._understand()

    def _exchange(self, mask: int) -> None:
        channel = self.box.channel
        if mask & selectors.EVENT_WRITE:
            try:
                del self.feed[: channel.send(self.feed[: 2**16])]
            except BlockingIOError:
                pass
            except (BrokenPipeError, ConnectionResetError):
                self.feed.clear()
        content = _read(channel.fileno()) if mask & selectors.EVENT_READ else None
        if content == b"":
            self.selector.unregister(channel)
            return
        self.speech += content or b""
        self._understand()
        mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if self.feed else 0)
        self.selector.modify(channel, mask, self._exchange)

    def _understand(self) -> None:
        *lines, rest = self.speech.split(b"\n")
        self.speech = rest
        for line in lines:
            if self.ending is None:
                text = line.decode("utf-8", "replace")
                # A reason is shown on terminals, which obey control characters.
                shown = "".join(c if c.isprintable() else "\ufffd" for c in text)
                self._obey(*shown.partition(" ")[::2])
        if len(rest) > _LINE_BYTES and self.ending is None:
            self.ending = "failed", "it spoke on the harness's channel"

    def _obey(self, word: str, text: str) -> None:
        if word == "started" and not self.started:
            self.started, self.since = True, time.monotonic()
            self.files = _files(self.box.init)
        elif word == "ready" and self.started and not self.ready:
            self.ready = True
            self.feed += _part(self.tests) + _part(self.nonce)
        elif word == "passed" and self.ready and secrets.compare_digest(text, self.nonce):
            self.ending = "passed", "it ran to the end of its tests"
        elif word == "memory":
            self.ending = "memory", text or "it ran out of memory"
        elif word == "failed":
            self.ending = "failed", text or "it failed without a reason"
        else:
            self.ending = "failed", "it spoke on the harness's channel"


def _part(text: str) -> bytes:
    content = text.encode("utf-8", "surrogatepass")
    return len(content).to_bytes(4, "big") + content


def _read(descriptor: int) -> bytes | None:
    """What there is to read: empty at the end, None where there is nothing yet."""
    try:
        return os.read(descriptor, 2**16)
    except BlockingIOError:
        return None
    except ConnectionResetError:
        return b""


def _ending(status: int, limits: Limits) -> tuple[Verdict, str]:
    number = status - _SIGNALLED
    if number == signal.SIGXCPU:
        return "timeout", f"it used more than {limits.cpu_s:g} s of CPU"
    if number > 0:
        names = {item.value: item.name for item in signal.Signals}
        return "killed", f"it was ended by {names.get(number, f'signal {number}')}"
    return "failed", f"it left with status {status} before the end of its tests"
