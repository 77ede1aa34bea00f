"""JSON files: whole or not at all when written, checked against a model when read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from fusionfactory.atomic import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from fusionfactory.errors import InputError

__all__ = ["read_json", "read_jsonl", "write_json", "write_jsonl"]

M = TypeVar("M", bound=BaseModel)


def write_jsonl(rows: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Writes one JSON object a line."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_atomically(path, lambda to: to.write_text(text, encoding="utf-8"))


def write_json(content: Mapping[str, Any], path: Path) -> None:
    """Writes one indented JSON object."""
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    write_atomically(path, lambda to: to.write_text(text, encoding="utf-8"))


def read_jsonl(path: Path, model: type[M], error: type[InputError], missing: str) -> list[M]:
    """Reads one object a line; blank lines are skipped.

    Args:
        path: The file.
        model: What a line must be.
        error: Raised for whatever is wrong.
        missing: Said where there is no such file: what makes it.

    Raises:
        InputError: Of the type given; names file, row and field.
    """
    lines = _text(path, error, missing).split("\n")
    return [
        _parsed(line, path, row, model, error) for row, line in enumerate(lines, 1) if line.strip()
    ]


def read_json(path: Path, model: type[M], error: type[InputError], missing: str) -> M:
    """Reads one object; as `read_jsonl`."""
    return _parsed(_text(path, error, missing), path, None, model, error)


def _text(path: Path, error: type[InputError], missing: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        msg = f"no such file: {missing}"
        raise error(msg, file=path) from None
    except (OSError, UnicodeDecodeError) as why:
        raise error(str(why), file=path) from None


def _parsed(text: str, path: Path, row: int | None, model: type[M], error: type[InputError]) -> M:
    try:
        return model.model_validate_json(text)
    except ValidationError as why:
        first = why.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or None
        raise error(first["msg"], file=path, row=row, field=field) from None
