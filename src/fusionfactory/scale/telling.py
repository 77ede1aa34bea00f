"""Errors as text: what a worker met, raised again where the verb runs."""

from __future__ import annotations

import json

from fusionfactory import errors
from fusionfactory.errors import FusionFactoryError

__all__ = ["raised", "told"]


def told(error: FusionFactoryError) -> str:
    """Class, message and fields of an error as JSON."""
    fields = {
        name: value if isinstance(value, int | float | None) else str(value)
        for name, value in vars(error).items()
        if not name.startswith("_")
    }
    return json.dumps({"class": type(error).__name__, "message": str(error), "fields": fields})


def raised(text: str) -> FusionFactoryError:
    """The error that `told` has told of, to raise; one of a plugin's own class is of the base's."""
    parts = json.loads(text)
    known = parts["class"] in errors.__all__
    cls: type[FusionFactoryError] = getattr(errors, parts["class"]) if known else FusionFactoryError
    # Not by the constructor: some make their message from other arguments.
    error = cls.__new__(cls, parts["message"])
    Exception.__init__(error, parts["message"])
    vars(error).update(parts["fields"])
    return error
