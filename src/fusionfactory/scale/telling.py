"""Errors as text: what a worker met, raised again where the verb runs."""

from __future__ import annotations

import json
import logging
from traceback import format_exception

from fusionfactory import errors
from fusionfactory.errors import FusionFactoryError
from fusionfactory.scale.losses import as_ours

__all__ = ["raised", "told"]

_log = logging.getLogger(__name__)


def told(error: BaseException, what: str = "work") -> str:
    """Class, message and fields of an error as JSON.

    Args:
        error: One of ours, which is told as it is, or any other.
        what: What was being done, for one that nobody foresaw; its traceback is told, too.
    """
    ours = as_ours(error, what)
    fields = {
        name: value if isinstance(value, int | float | None) else str(value)
        for name, value in vars(ours).items()
        if not name.startswith("_")
    }
    traceback = None if ours is error else "".join(format_exception(error))
    return json.dumps(
        {
            "class": type(ours).__name__,
            "message": str(ours),
            "fields": fields,
            "traceback": traceback,
        }
    )


def raised(text: str) -> FusionFactoryError:
    """The error that `told` has told of, to raise; one of a plugin's own class is of the base's.

    A traceback goes to the log, at level debug.
    """
    parts = json.loads(text)
    if parts["traceback"] is not None:
        _log.debug("%s\n%s", parts["message"], parts["traceback"])
    known = parts["class"] in errors.__all__
    cls: type[FusionFactoryError] = getattr(errors, parts["class"]) if known else FusionFactoryError
    # Not by the constructor: some make their message from other arguments.
    error = cls.__new__(cls, parts["message"])
    Exception.__init__(error, parts["message"])
    vars(error).update(parts["fields"])
    return error
