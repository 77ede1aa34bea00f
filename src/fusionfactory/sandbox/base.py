"""What a sandboxed run may use, what became of it, and what a sandbox is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from fusionfactory.errors import InputError

__all__ = ["DEFAULT_LIMITS", "Limits", "Run", "Sandbox", "Verdict"]

Verdict: TypeAlias = Literal["passed", "failed", "timeout", "memory", "output", "killed"]

_INTERPRETER_BYTES = 64 * 2**20
"""What the interpreter itself needs, with room to report."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use.

    Attributes:
        wall_s: Seconds from the program's first line to the kill.
        cpu_s: Seconds of CPU of each of its processes, rounded up to whole ones.
        memory_bytes: Address space of each of its processes, and resident memory of all together.
        processes: Processes and threads at a time.
        output_bytes: Bytes of standard output and error that are kept; more ends the run.
        disk_bytes: Size of its throw-away directory, which lies in memory.
    """

    wall_s: float = 10.0
    cpu_s: float = 10.0
    memory_bytes: int = 512 * 2**20
    processes: int = 16
    output_bytes: int = 2**20
    disk_bytes: int = 16 * 2**20

    def __post_init__(self) -> None:
        least: dict[str, float] = {
            "memory_bytes": _INTERPRETER_BYTES, "processes": 1, "output_bytes": 0, "disk_bytes": 1
        }  # fmt: skip
        for name, bound in least.items():
            value = getattr(self, name)
            if value < bound:
                msg = f"{value} is too little, expected at least {bound}"
                raise InputError(msg, field=name)
        for name in ("wall_s", "cpu_s"):
            if not 0 < getattr(self, name) < float("inf"):
                msg = f"{getattr(self, name)} is no number of seconds above 0"
                raise InputError(msg, field=name)


DEFAULT_LIMITS = Limits()
"""Generous for a function of a benchmark, little for this machine."""


@dataclass(frozen=True, slots=True)
class Run:
    """What became of a program.

    Attributes:
        verdict: `passed` only if the program ran to the end of the tests that were given.
        reason: One line for a score's reason, for example the last line of the traceback.
        output: The head of what it wrote.
        wall_s: Seconds it took.
    """

    verdict: Verdict
    reason: str
    output: str
    wall_s: float


class Sandbox(Protocol):
    """Runs Python programs where they can harm nothing. Safe to use from many threads."""

    def run(self, program: str, *, limits: Limits = DEFAULT_LIMITS, stdin: str = "") -> Run:
        """Runs a program as `__main__`; `passed` if its last line was reached.

        Raises:
            SandboxError: It could not be started; nothing is known about the program then.
        """
        ...

    def run_tests(
        self, solution: str, tests: str, *, limits: Limits = DEFAULT_LIMITS, stdin: str = ""
    ) -> Run:
        """Runs a solution and then its tests in the same namespace.

        Raises:
            SandboxError: They could not be started; nothing is known about the solution then.
        """
        ...
