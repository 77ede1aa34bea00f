"""The structured log: one JSON object per line, without keys, and without prompts unless asked."""

from __future__ import annotations

import logging
import os
import re
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from fusionfactory.errors import FusionFactoryError

if TYPE_CHECKING:
    from collections.abc import Callable

    from fusionfactory.gateway.log.record import Record

__all__ = ["JsonHandler", "emit", "log_to", "request_line"]

_SECRET = re.compile(r"\b(?:sk|ff|pk|gsk|hf)[-_][\w-]{8,}|(?<=[Bb]earer )\S+")
_BROKEN = 500
_SHOWN_CHARACTERS = 80
_LOUD = ("uvicorn", "uvicorn.error", "aiohttp", "asyncio")


def request_line(record: Record, *, prompts: bool = False) -> bytes:
    """A request that is over.

    Args:
        record: What is known of it.
        prompts: Whether its texts may be shown, and error messages, which may repeat them.
    """
    facts: dict[str, Any] = {
        "at": _iso(record.at),
        "level": "warning" if record.status >= _BROKEN else "info",
        "event": "request",
        "id": record.id,
        "api": record.api,
        "asked": _masked(record.asked[:_SHOWN_CHARACTERS]),
        "arm": record.arm,
        "why": record.why,
        "policy": record.policy,
        "router": record.router,
        "status": record.status,
        "stream": record.stream,
        "latency_s": record.latency_s,
        "first_byte_s": record.first_byte_s,
        "upstream_s": record.upstream_s,
        "input_tokens": record.input_tokens,
        "output_tokens": record.output_tokens,
        "cost_usd": record.cost_usd,
        "finish_reason": record.finish_reason,
        "key": record.key,
        "cache": record.cache,
    }
    facts = {name: value for name, value in facts.items() if value is not None}
    if len(record.attempts) > 1 or record.error is not None:
        facts["attempts"] = [
            {"arm": tried.arm, "status": tried.status, "latency_s": tried.latency_s}
            for tried in record.attempts
        ]
    if prompts:
        texts = {"text": record.text, "response": record.response, "error": record.error}
        facts |= {name: value for name, value in texts.items() if value is not None}
    return orjson.dumps(facts) + b"\n"


class JsonHandler(logging.Handler):
    """Turns the messages of every library into lines of the same form.

    Of an exception that is not this package's own, the type and the place are shown; its text,
    which may hold a part of a request, only where prompts may be.

    Args:
        write: Takes a line with its end.
        prompts: Whether prompts may be shown.
        facts: Stand on every line, such as the number of the worker.
    """

    def __init__(
        self, write: Callable[[bytes], object], *, prompts: bool = False, **facts: object
    ) -> None:
        super().__init__()
        self._write, self._prompts, self._facts = write, prompts, facts

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a line."""
        try:
            self._write(self._line(record))
        except Exception:  # noqa: BLE001  a log that cannot be written must not end a request
            self.handleError(record)

    def _line(self, record: logging.LogRecord) -> bytes:
        facts: dict[str, Any] = {
            "at": _iso(record.created),
            "level": record.levelname.lower(),
            "event": _masked(record.getMessage()),
            "logger": record.name,
            **self._facts,
            **getattr(record, "facts", {}),
        }
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            frames = traceback.extract_tb(error.__traceback__)
            facts["error"] = type(error).__name__
            facts["where"] = [f"{os.path.basename(f.filename)}:{f.lineno} {f.name}" for f in frames]  # noqa: PTH119  no file
            if self._prompts or isinstance(error, FusionFactoryError | OSError):
                facts["message"] = _masked(str(error))
        return orjson.dumps(facts, default=str) + b"\n"


def log_to(
    write: Callable[[bytes], object], level: str, *, prompts: bool = False, **facts: object
) -> None:
    """Sends every message of this process from a level upwards to a writer of lines."""
    root = logging.getLogger()
    root.handlers[:] = [JsonHandler(write, prompts=prompts, **facts)]
    root.setLevel(level.upper())
    quiet = max(root.level, logging.WARNING)
    for name in _LOUD:
        logging.getLogger(name).setLevel(quiet)


def emit(line: bytes) -> None:
    """Writes a line to standard error at once."""
    os.write(2, line)


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def _masked(text: str) -> str:
    return _SECRET.sub("[key]", text)
