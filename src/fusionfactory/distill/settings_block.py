"""A `[[models]]` block as it stands in `fusionfactory.toml`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fusionfactory.config import ModelSettings

__all__ = ["model_block"]

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def model_block(settings: ModelSettings) -> str:
    """The block that reads as these settings; what has its default value is left out."""
    told = settings.model_dump(exclude_defaults=True)
    return "[[models]]\n" + "".join(f"{key} = {_value(value)}\n" for key, value in told.items())


def _value(value: Any) -> str:  # noqa: ANN401  whatever TOML can hold
    if isinstance(value, bool | int):
        return json.dumps(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, dict):
        return _table(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return _text(value.as_posix() if isinstance(value, Path) else str(value))


def _table(values: Mapping[str, Any]) -> str:
    inside = ", ".join(f"{_key(key)} = {_value(value)}" for key, value in values.items())
    return "{ " + inside + " }" if inside else "{}"


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _text(text: str) -> str:
    # JSON and TOML write texts alike but for this one character.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
