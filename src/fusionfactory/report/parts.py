"""How documents in JSON are read: strict types, unknown keys ignored, errors that name their key.

NaN and infinities become None, and anything else unexpected is a `FormatError`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from fusionfactory.errors import FormatError

__all__ = ["STRICT", "Count", "Number", "Point", "checked"]

_LARGEST = 10**12


def _finite(value: Any) -> Any:  # noqa: ANN401  whatever stands in the file
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) > _LARGEST:
        msg = "is out of range"
        raise ValueError(msg)
    return value


Number: TypeAlias = Annotated[float | None, BeforeValidator(_finite)]
Count: TypeAlias = Annotated[int | None, BeforeValidator(_finite)]
Point: TypeAlias = tuple[float, float]


STRICT = ConfigDict(frozen=True, extra="ignore", strict=True)
"""Of every part of a document."""

Form = TypeVar("Form", bound=BaseModel)


def checked(form: type[Form], content: Mapping[str, Any], writer: str) -> Form:
    """Reads a document.

    Args:
        form: What it must be.
        content: The JSON object.
        writer: The command that writes such documents, for errors.

    Raises:
        FormatError: It is malformed; the message names the key.
    """
    if not isinstance(content, Mapping):
        msg = f"an evaluation is a JSON object, got {type(content).__name__}"
        raise FormatError(msg)
    try:
        return form.model_validate(dict(content))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        reason = str(first["msg"]).removeprefix("Value error, ")
        value = (
            "" if first["type"] in {"missing", "value_error"} else f", got {_short(first['input'])}"
        )
        msg = f"{reason}{value}; is this what `{writer}` wrote?"
        raise FormatError(msg, field=_path(first["loc"]) or None) from None


def _path(location: tuple[int | str, ...]) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return path.removeprefix(".")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
