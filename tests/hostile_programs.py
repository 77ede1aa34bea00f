"""Programs that try to break out, to use up the machine, or to pass tests they do not pass.

They stand in `fixtures/hostile_programs.txt`, each under a line with its name, how its run may end,
and limits that differ. Each is run as a solution before `TESTS`. One that reaches what it must not
prints `BREACHED`. `@CANARY@` stands for a file of the host, `@PORT@` for a port that listens there,
`@ABSTRACT@` for the name of an abstract socket there.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["HONEST", "HOSTILE", "TESTS", "Hostile"]

HONEST = "def add(a, b):\n    return a + b\n"
TESTS = """\
def check(candidate):
    assert candidate(1, 2) == 3
    assert abs(candidate(2, 2) - 4) < 1e-9

check(add)
"""


@dataclass(frozen=True)
class Hostile:
    """A program, how its run may end, and what it may use where that differs."""

    name: str
    program: str
    verdicts: tuple[str, ...]
    limits: dict[str, Any] = field(default_factory=dict)


def _read() -> list[Hostile]:
    file = Path(__file__).parent / "fixtures" / "hostile_programs.txt"
    found = []
    for entry in re.split(r"^=== ", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        head, _, program = entry.partition("\n")
        name, _, words = head.partition(": ")
        settings = [word.partition("=") for word in words.split() if "=" in word]
        limits = {key: json.loads(number) for key, _, number in settings}
        verdicts = tuple(word for word in words.split() if "=" not in word)
        found.append(Hostile(name, program, verdicts, limits))
    return found


HOSTILE = [
    *_read(),
    Hostile("does_nothing", "", ("failed",)),
    Hostile("no_python", "\x00\xff def", ("failed",)),
    Hostile("half_a_character", "x = '\ud800'\n" + HONEST, ("failed",)),
    Hostile("overflows_the_parser", "(" * 100_000 + ")" * 100_000, ("failed", "memory")),
    Hostile("large_source", "x = 1\n" * 2_000_000 + "x.y", ("failed", "memory", "timeout")),
]
