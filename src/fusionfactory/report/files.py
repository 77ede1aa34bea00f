"""Reports on disk, their form chosen by the suffix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionfactory.atomic import write_atomically
from fusionfactory.errors import ConfigError
from fusionfactory.report.distill_document import is_distill, read_distill
from fusionfactory.report.document import read
from fusionfactory.report.markdown import render_markdown
from fusionfactory.report.page import render_html
from fusionfactory.report.thoughts_document import is_thoughts, read_thoughts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["FORMS", "check_path", "render_json", "write_report"]


def render_json(evaluation: Mapping[str, Any]) -> str:
    """The evaluation as indented JSON, NaN and infinities as null.

    Raises:
        FormatError: The evaluation is malformed; the message names the key.
    """
    if is_thoughts(evaluation):
        read_thoughts(evaluation)
    elif is_distill(evaluation):
        read_distill(evaluation)
    else:
        read(evaluation)
    plain = json.loads(json.dumps(dict(evaluation)), parse_constant=lambda _: None)
    return json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


FORMS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    ".html": render_html,
    ".md": render_markdown,
    ".json": render_json,
}
"""Suffix to renderer."""


def check_path(path: Path) -> None:
    """Raises ConfigError where no report form has the path's suffix."""
    if path.suffix.lower() not in FORMS:
        msg = f"no report form has the suffix {path.suffix!r}; expected {', '.join(FORMS)}"
        raise ConfigError(msg, file=path)


def write_report(evaluation: Mapping[str, Any], path: str | Path) -> None:
    """Writes a report, all or nothing.

    Args:
        evaluation: `Evaluation.to_json()`, or what `think evaluate --json` or
            `distill evaluate --json` wrote.
        path: Ends in .html, .md or .json.

    Raises:
        ConfigError: The suffix is none of these.
        FormatError: The evaluation is malformed; the message names the key.
    """
    path = Path(path)
    check_path(path)
    render = FORMS[path.suffix.lower()]
    data = render(evaluation).encode("utf-8", errors="replace")
    write_atomically(path, lambda target: target.write_bytes(data))
