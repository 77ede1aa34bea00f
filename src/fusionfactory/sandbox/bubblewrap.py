"""Isolation by bubblewrap: namespaces, a seccomp filter and resource limits, set by the kernel.

Inside there is an own user, mount, process, network, IPC, host name and cgroup namespace; a root
that holds the interpreter's files, read-only, two devices, and one small writable `/tmp` in
memory; no /proc, no environment, no capability. When bubblewrap or its parent dies, so does
everything inside.

Not defended: solution and tests share one Python process, as in every benchmark that calls a
function from an assert. A solution that sets out to cheat its own tests can: by objects that equal
everything, by defining names or replacing functions of the standard library that a test uses, or
by searching the interpreter's frames or descriptors for the harness and speaking in its place. That
changes its own verdict and nothing else. What pipes and sockets hold is no process's memory: the
kernel's own bounds hold for it. Side channels of shared hardware are out of reach. Before Linux
5.14 the limit on processes counts all of the user's, so a program may be refused a child for no
fault.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import platform
import selectors
import socket
import subprocess
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from fusionfactory.errors import SandboxError
from fusionfactory.sandbox.base import DEFAULT_LIMITS
from fusionfactory.sandbox.harness import HARNESS
from fusionfactory.sandbox.seccomp import bpf_filter
from fusionfactory.sandbox.supervision import FOLDER, Confined, supervise

if TYPE_CHECKING:
    from fusionfactory.sandbox.base import Limits, Run
    from fusionfactory.sandbox.interpreter import Interpreter

__all__ = ["Bubblewrap"]

_NOBODY = 65534
_INSIDE = 1000
_DEVICES = ("/dev/null", "/dev/urandom")
# The hash of texts orders sets: a program that passes once shall pass again.
_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "HOME": FOLDER,
    "TMPDIR": FOLDER,
    "LANG": "C.UTF-8",
    "PATH": "/nowhere",
}
_START_S = 60.0


@dataclass(frozen=True, slots=True)
class Bubblewrap:
    """A sandbox made by `bwrap`.

    Attributes:
        bwrap: The program.
        interpreter: What runs inside.
        drops_root: Run the program as another user than the one who called, which only root can.
            The kernel exempts root from the limit on processes, in any namespace.
    """

    bwrap: Path
    interpreter: Interpreter
    drops_root: bool

    def run(self, program: str, *, limits: Limits = DEFAULT_LIMITS, stdin: str = "") -> Run:
        """Runs a program as `__main__`; `passed` if its last line was reached.

        Raises:
            SandboxError: It could not be started; nothing is known about the program then.
        """
        return self._run(program, "", limits, stdin, "__main__")

    def run_tests(
        self, solution: str, tests: str, *, limits: Limits = DEFAULT_LIMITS, stdin: str = ""
    ) -> Run:
        """Runs a solution and then its tests in the same namespace, a module `solution`.

        Raises:
            SandboxError: They could not be started; nothing is known about the solution then.
        """
        return self._run(solution, tests, limits, stdin, "solution")

    def _run(self, solution: str, tests: str, limits: Limits, stdin: str, name: str) -> Run:
        with contextlib.ExitStack() as stack:
            try:
                box = self._start(limits, stdin, name, stack)
            except OSError as error:
                msg = f"the sandbox could not be started: {error}"
                raise SandboxError(msg) from error
            return supervise(box, solution, tests, limits)

    def _start(
        self, limits: Limits, stdin: str, name: str, stack: contextlib.ExitStack
    ) -> Confined:
        ours, theirs = (stack.enter_context(end) for end in socket.socketpair())
        output, output_in = _pipe(stack)
        told, told_in = _pipe(stack)
        wait, wait_in = _pipe(stack)
        inherited = (theirs, told_in, wait)
        bpf = _memory_file(bpf_filter(platform.machine()), stack)
        source = _memory_file(stdin.encode("utf-8", "replace"), stack)
        command = [
            *self._walls(limits),
            *("--seccomp", str(bpf), "--info-fd", str(told_in.fileno())),
            *("--userns-block-fd" if self.drops_root else "--block-fd", str(wait.fileno())),
            *("--", str(self.interpreter.executable), "-P", "-s", "-S", "-B", "-X", "utf8"),
            *("-c", HARNESS, str(theirs.fileno()), name, *self._numbers(limits)),
        ]
        process = subprocess.Popen(  # noqa: S603
            command,
            stdin=source,
            stdout=output_in,
            stderr=subprocess.STDOUT,
            pass_fds=(bpf, *(end.fileno() for end in inherited)),
            env=_ENVIRONMENT,
            cwd="/",
            start_new_session=True,
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        # What has ended inside is seen out here only once nobody here holds its ends open.
        for end in (output_in, *inherited):
            end.close()
        os.set_blocking(output.fileno(), False)
        ours.setblocking(False)
        init = _first_process(told, output)
        handle = os.pidfd_open(init)
        stack.callback(os.close, handle)
        if self.drops_root:
            # User 0 inside sets the walls up; the program itself becomes the second user.
            for table in ("uid_map", "gid_map"):
                Path(f"/proc/{init}/{table}").write_text(f"0 0 1\n{_INSIDE} {_NOBODY} 1\n")
        wait_in.write(b"\n")
        return Confined(process, init, handle, ours, output.fileno())

    def _walls(self, limits: Limits) -> list[str]:
        walls = [
            str(self.bwrap),
            *("--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net"),
            *("--unshare-uts", "--unshare-cgroup-try", "--hostname", "sandbox"),
            *("--die-with-parent", "--new-session", "--cap-drop", "ALL"),
        ]
        if self.drops_root:
            walls += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        else:
            walls += ["--uid", str(_INSIDE), "--gid", str(_INSIDE)]
        # A folder on the way would else keep its own permissions, which /root gives to root alone.
        for folder in sorted({up for path in self.interpreter.readable for up in path.parents}):
            walls += ["--perms", "0755", "--dir", str(folder)]
        for path in self.interpreter.readable:
            walls += ["--ro-bind", str(path), str(path)]
        for path in self.interpreter.hidden:
            walls += ["--tmpfs", str(path), "--remount-ro", str(path)]
        walls += ["--perms", "0755", "--dir", "/dev"]
        for device in _DEVICES:
            walls += ["--dev-bind", device, device]
        walls += ["--perms", "1777", "--size", str(limits.disk_bytes), "--tmpfs", FOLDER]
        return [*walls, "--chdir", FOLDER, "--remount-ro", "/"]

    def _numbers(self, limits: Limits) -> list[str]:
        # Bubblewrap's own first process counts too where it has the same user.
        processes = limits.processes + (not self.drops_root)
        numbers = (
            _INSIDE if self.drops_root else 0,
            math.ceil(limits.cpu_s),
            limits.memory_bytes,
            limits.disk_bytes,
            processes,
        )
        return [str(number) for number in numbers]


def _pipe(stack: contextlib.ExitStack) -> tuple[FileIO, FileIO]:
    # As files, because closing one twice is harmless, unlike a number that is given out again.
    read, write = os.pipe()
    return stack.enter_context(FileIO(read, "rb")), stack.enter_context(FileIO(write, "wb"))


def _memory_file(content: bytes, stack: contextlib.ExitStack) -> int:
    """A file in memory that nobody can change any more, read from its start."""
    descriptor = os.memfd_create("sandbox", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    stack.callback(os.close, descriptor)
    with FileIO(descriptor, "wb", closefd=False) as file:
        view = memoryview(content)
        while view:
            view = view[file.write(view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor


def _first_process(told: FileIO, output: FileIO) -> int:
    """The number of the first process inside, as bubblewrap reports it.

    Raises:
        SandboxError: Bubblewrap ended before it made one, or took too long.
    """
    said = b""
    with selectors.DefaultSelector() as selector:
        selector.register(told, selectors.EVENT_READ)
        while not said.rstrip().endswith(b"}"):
            content = told.read(4096) if selector.select(_START_S) else b""
            if not content:
                break
            said += content
    try:
        return int(json.loads(said)["child-pid"])
    except (ValueError, KeyError):
        said = output.read(4096) or said
        msg = f"bubblewrap did not start: {said.decode('utf-8', 'replace').strip() or 'no reason'}"
        raise SandboxError(msg) from None
