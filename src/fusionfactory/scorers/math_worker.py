"""The process that runs math-verify for the `math` scorer: a JSON line in, a JSON line out.

Run as `python -m fusionfactory.scorers.math_worker`. A watchdog outside the interpreter's lock
ends the process when one comparison exceeds its limit, whatever it is stuck in.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import sys
from pathlib import Path

__all__ = ["main"]

_MEMORY = 2 << 30


def main() -> None:
    """Says `ready`, then answers `{gold, read, limit_s}` by `{equal}` until the input ends."""
    _bound_memory()
    # What sympy prints must not get between the answers.
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", buffering=1)
    sys.stdout = sys.stderr
    logging.disable()
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        _equal("1", "1")
        out.write("ready\n")
        for line in sys.stdin:
            job = json.loads(line)
            faulthandler.dump_traceback_later(job["limit_s"], exit=True, file=nowhere)
            equal = _equal(job["gold"], job["read"])
            faulthandler.cancel_dump_traceback_later()
            out.write(json.dumps({"equal": equal}) + "\n")


def _equal(gold: str, read: str) -> bool:
    """Whether math-verify finds the two expressions equal."""
    from math_verify import LatexExtractionConfig, parse, verify

    # Its plain expressions are left out: they find the first number in a formula it cannot parse.
    forms = [LatexExtractionConfig()]
    target, answer = (
        parse(f"\\boxed{{{text}}}", forms, parsing_timeout=None) for text in (gold, read)
    )
    return bool(verify(target, answer, timeout_seconds=None))


def _bound_memory() -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))


if __name__ == "__main__":
    main()
