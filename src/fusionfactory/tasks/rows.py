"""Fields of a source's row, with errors that name them."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from fusionfactory.errors import TaskError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["digest", "gold", "identity", "items", "text", "value"]


def value(row: Mapping[str, Any], *names: str) -> Any:  # noqa: ANN401  any JSON
    """The first of these fields that is there and not null.

    Raises:
        TaskError: None is.
    """
    for name in names:
        if row.get(name) is not None:
            return row[name]
    found = ", ".join(map(str, row)) or "nothing"
    state = "is null" if names[0] in row else f"missing; found {found}"
    raise TaskError(state, field=names[0])


def text(row: Mapping[str, Any], *names: str) -> str:
    """The first of these fields that is there, a text that is not blank.

    Raises:
        TaskError: It is absent, blank or no text.
    """
    found = value(row, *names)
    if not isinstance(found, str) or not found.strip():
        msg = f"{found!r:.200} is no text, expected one that is not blank"
        raise TaskError(msg, field=names[0])
    return found


def items(row: Mapping[str, Any], name: str) -> list[str]:
    """A field that holds a list of texts, stripped.

    Raises:
        TaskError: It is absent, no such list, or all blank.
    """
    found = value(row, name)
    if not isinstance(found, list | tuple) or not all(isinstance(item, str) for item in found):
        msg = f"{found!r:.200} is no list of texts"
        raise TaskError(msg, field=name)
    if not "".join(found).strip():
        msg = f"{found!r:.200} holds no text"
        raise TaskError(msg, field=name)
    return [item.strip() for item in found]


def gold(texts: Iterable[str]) -> str:
    """A target of several accepted answers: a JSON list, each once, blank ones left out."""
    return json.dumps([item for item in dict.fromkeys(texts) if item], ensure_ascii=False)


def identity(row: Mapping[str, Any], name: str, *content: str) -> str:
    """The row's own id where it has one, else a digest of its content."""
    own = row.get(name)
    return digest(*content) if own is None or not str(own).strip() else str(own).strip()


def digest(*content: str) -> str:
    """16 hex digits of the texts: an id that does not depend on a row's position."""
    return hashlib.sha256("\x1f".join(content).encode()).hexdigest()[:16]
