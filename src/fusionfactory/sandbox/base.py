"""What a sandboxed run may use, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Limits", "Run", "Verdict"]

Verdict: TypeAlias = Literal["passed", "failed", "timeout", "memory", "output", "killed"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use.

    Attributes:
        wall_s: Seconds from start to the kill.
        cpu_s: Seconds of CPU of each of its processes.
        memory_bytes: Address space of each of its processes.
        processes: Processes and threads at a time.
        output_bytes: Bytes of standard output and error that are kept; more ends the run.
        disk_bytes: Size of its throw-away directory.
    """

    wall_s: float = 10.0
    cpu_s: float = 10.0
    memory_bytes: int = 512 * 2**20
    processes: int = 16
    output_bytes: int = 64 * 2**10
    disk_bytes: int = 16 * 2**20


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
