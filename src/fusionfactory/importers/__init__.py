"""Other tools' tables and logs in: one module per format, `read` for tables, `read_log` for logs.

Every reader ignores unknown fields and names file, row and field when something needed is missing.
Rows are counted from 1; a CSV file's header is not counted.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from fusionfactory.errors import ConfigError, FormatError, UnknownNameError
from fusionfactory.importers.detection import detect
from fusionfactory.importers.logs import LOGS
from fusionfactory.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from fusionfactory.importers.logs.calls import Log
    from fusionfactory.table import OutcomeTable

__all__ = ["IMPORTERS", "LOGS", "detect", "import_log", "import_table"]

_PACKAGE = "fusionfactory.importers"
IMPORTERS = Registry(
    "importer",
    {
        "fusionbench": f"{_PACKAGE}.fusionbench:read",
        "fusionbench-router": f"{_PACKAGE}.fusionbench_router:read",
        "llmrouter": f"{_PACKAGE}.llmrouter:read",
        "routerdc": f"{_PACKAGE}.routerdc:read",
        "routerbench": f"{_PACKAGE}.routerbench:read",
        "routerarena": f"{_PACKAGE}.routerarena:read",
        "llmrouterbench": f"{_PACKAGE}.llmrouterbench:read",
        "routellm": f"{_PACKAGE}.routellm:read",
        "generic": f"{_PACKAGE}.generic:read",
    },
)


def import_table(format: str, path: str | Path, /, **options: object) -> OutcomeTable:
    """Reads a file or folder of another tool.

    Args:
        format: A name of `IMPORTERS` or `LOGS`, or `auto` to guess it with `detect`.
        path: What to read.
        **options: Keyword options of the format's reader.

    Raises:
        UnknownNameError: No importer of that name.
        ConfigError: The importer has no such option.
        FormatError: The content is malformed or of no known format.
    """
    name = detect(path) if format == "auto" else format
    if name in LOGS.names():
        return import_log(name, path, **options).table()
    if name not in IMPORTERS.names():
        known = ", ".join((*IMPORTERS.names(), *LOGS.names()))
        msg = f"unknown importer {name!r}; known: {known}"
        raise UnknownNameError(msg, field="importer")
    read = IMPORTERS.load(name)
    _check_options(name, read, options)
    table: OutcomeTable = read(path, **options)
    return table


def import_log(format: str, path: str | Path, /, **options: object) -> Log:
    """Reads a production log in full: failed calls, times, propensities and samples too.

    Args:
        format: A name of `LOGS`, or `auto` to guess it with `detect`.
        path: What to read.
        **options: Keyword options of the format's reader.

    Raises:
        UnknownNameError: No reader of that name.
        ConfigError: The reader has no such option.
        FormatError: The content is malformed or of no known format.
    """
    name = detect(path) if format == "auto" else format
    read = LOGS.load(name)
    _check_options(name, read, options)
    try:
        log: Log = read(path, **options)
    except RecursionError:
        msg = "is nested too deeply"
        raise FormatError(msg, file=path) from None
    return log


def _check_options(name: str, read: Callable[..., object], options: Mapping[str, object]) -> None:
    parameters = inspect.signature(read).parameters
    known = [parameter for parameter in parameters if parameter != "path"]
    for option, value in options.items():
        if option not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            msg = f"the importer {name!r} has no such option; {has}"
            raise ConfigError(msg, field=option)
        if isinstance(parameters[option].default, bool) and not isinstance(value, bool):
            msg = f"{value!r} is neither true nor false"
            raise ConfigError(msg, field=option)
