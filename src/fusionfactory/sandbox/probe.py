"""Which sandbox works on this machine, found out by trying to break out of it once."""

from __future__ import annotations

import functools
import os
import platform
import shutil
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from fusionfactory.errors import SandboxError
from fusionfactory.sandbox.base import Limits
from fusionfactory.sandbox.interpreter import this_interpreter
from fusionfactory.sandbox.seccomp import bpf_filter

if TYPE_CHECKING:
    from fusionfactory.sandbox.base import Sandbox

__all__ = ["breaches", "find_sandbox", "make_sandbox"]

_LIMITS = Limits(wall_s=20, cpu_s=20, memory_bytes=192 * 2**20, processes=4, disk_bytes=2**20)
_TRYING = threading.Lock()
_SWITCHES = (
    (Path("/proc/sys/kernel/unprivileged_userns_clone"), "0", "1"),
    (Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"), "1", "0"),
    (Path("/proc/sys/user/max_user_namespaces"), "0", "10000"),
)
"""Switches of Debian, Ubuntu and any kernel; the value that forbids, and the one that allows."""

_ESCAPE = r"""
import os, socket, sys

SECRETS = {secrets!r}
EXPECTED = ["HOME", "TMPDIR", "LANG", "PATH", "PWD", "PYTHONHASHSEED"]
open_ = []

def attempt(name, action):
    try:
        if action():
            open_.append(name)
    except (OSError, MemoryError):
        pass

def forks():
    children = 0
    try:
        for _ in range({processes} + 4):
            if os.fork() == 0:
                import signal
                signal.pause()
            children += 1
    except OSError:
        pass
    return children >= {processes}

def fills():
    with open("/tmp/full", "wb") as file:
        for _ in range(4):
            file.write(bytes({disk} // 2))
            file.flush()
    return True

attempt("files of the host", lambda: any(os.path.exists(path) for path in SECRETS))
attempt("processes of the host", lambda: os.path.exists("/proc/1"))
attempt("the network", lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
attempt("variables of the environment", lambda: set(os.environ) - set(EXPECTED))
attempt("a writable root", lambda: os.access("/", os.W_OK))
attempt("a writable library", lambda: os.access(os.path.dirname(os.__file__), os.W_OK))
attempt("root", lambda: os.getuid() == 0)
# What would leave traces outside is only tried where the walls stand so far.
if not open_:
    attempt("more memory than allowed", lambda: bytearray({memory}))
    attempt("more disk than allowed", fills)
    attempt("more processes than allowed", forks)
sys.stdout.write("open: " + ", ".join(open_))
"""


def breaches(sandbox: Sandbox) -> str:
    """What a program in the sandbox reached that it must not; empty for none.

    Raises:
        SandboxError: The sandbox does not start, or the program does not come to its end.
    """
    program = _ESCAPE.format(
        secrets=[
            "/etc/passwd",
            "/etc/hostname",
            "/proc",
            "/sys",
            "/bin/sh",
            "/usr/bin/env",
            str(Path(__file__)),
        ],
        processes=_LIMITS.processes,
        memory=_LIMITS.memory_bytes,
        disk=_LIMITS.disk_bytes,
    )
    run = sandbox.run(program, limits=_LIMITS)
    _, said, found = run.output.partition("open: ")
    if run.verdict != "passed" or not said:
        msg = f"its check did not end: {run.verdict}, {run.reason}"
        raise SandboxError(msg)
    return found


def make_sandbox(path: str | None = None) -> Sandbox:
    """A sandbox that has been tried, with the programs found in `path`, as in `PATH`.

    Raises:
        SandboxError: Code cannot be isolated here; says what is missing and what brings it.
    """
    if sys.platform != "linux":
        msg = f"code is only run on Linux, where the kernel can isolate it; this is {sys.platform}"
        raise SandboxError(msg)
    bpf_filter(platform.machine())
    # It needs modules of the standard library that only Linux has.
    from fusionfactory.sandbox.bubblewrap import Bubblewrap

    bwrap = shutil.which("bwrap", path=path)
    if bwrap is None:
        msg = (
            "bubblewrap is missing, without which model-written code is not run: "
            "apt install bubblewrap (or your distribution's package of that name)"
        )
        raise SandboxError(msg)
    failures, started = [], False
    for drops_root in (True, False) if os.geteuid() == 0 else (False,):
        sandbox = Bubblewrap(Path(bwrap), this_interpreter(), drops_root)
        try:
            found = breaches(sandbox)
        except SandboxError as error:
            failures.append(str(error))
            continue
        if not found:
            return sandbox
        started = True
        failures.append(f"a program inside reached {found}")
    advice = "Run the code on another machine, or tell us." if started else _advice()
    msg = f"{bwrap} does not isolate here, so no code is run: {'; '.join(failures)}. {advice}"
    raise SandboxError(msg)


def find_sandbox() -> Sandbox:
    """The sandbox of this machine, tried once per process.

    Raises:
        SandboxError: Code cannot be isolated here; says what is missing and what brings it.
    """
    with _TRYING:
        return _tried_sandbox()


@functools.cache
def _tried_sandbox() -> Sandbox:
    return make_sandbox()


def _advice() -> str:
    for switch, forbidden, allowed in _SWITCHES:
        if switch.is_file() and switch.read_text().strip() == forbidden:
            name = ".".join(switch.parts[3:])
            return f"User namespaces are switched off; as root: sysctl -w {name}={allowed}"
    return (
        "User namespaces must be allowed: in a container, start it with "
        "--security-opt seccomp=unconfined --security-opt apparmor=unconfined "
        "--security-opt systempaths=unconfined, or score the code outside"
    )
