"""The command line in this process, and the JSON it writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fusionfactory.cli.app import main

__all__ = ["facts", "run"]


def run(*arguments: str) -> int:
    """The exit code of a command."""
    try:
        main(list(arguments))
    except SystemExit as done:
        return int(done.code or 0)
    return 0


def facts(path: str) -> dict[str, Any]:
    """The object in a JSON file."""
    found: dict[str, Any] = json.loads(Path(path).read_text())
    return found
