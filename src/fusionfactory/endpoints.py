"""Rules for whoever calls an OpenAI-compatible endpoint: its URL, its key, its waits, its words."""

from __future__ import annotations

import email.utils
import math
import os
import re
import time
import urllib.request
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fusionfactory.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "NO_QUOTA",
    "OVERLOADED",
    "asked_wait_s",
    "check_url",
    "one_line",
    "proxy_for",
    "read_key",
    "status_hint",
    "storable",
    "worth_retrying",
]

OVERLOADED = frozenset({429, 503, 529})
"""Statuses after which fewer calls at a time help."""

NO_QUOTA = "insufficient_quota"
"""`code` of a 429 that no waiting mends."""

_RETRYABLE = frozenset({408, 409, 429})
_SERVER_ERROR = 500

_SHOWN = 300
_SPAN = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_SPAN_SECONDS = (3600.0, 60.0, 1.0, 0.001)


def check_url(base_url: str) -> None:
    """Refuses what is no plain URL; it is saved and shown, so it may hold no password and no query.

    Raises:
        InputError: The URL cannot be used. It is not repeated, as it may hold a secret.
    """
    try:
        url = urlsplit(base_url)
        plain = url.scheme in {"http", "https"} and url.hostname and url.port != 0
    except ValueError:
        plain = False
    if not plain:
        msg = "expected an http or https URL such as https://api.openai.com/v1"
        raise InputError(msg, field="base_url")
    if "@" in url.netloc or url.query or url.fragment:
        msg = "the URL may hold no password and no query: name the key's variable in api_key_env"
        raise InputError(msg, field="base_url")


def read_key(api_key_env: str) -> str:
    """The key in the environment variable of that name; empty where it is unset.

    Raises:
        InputError: It holds what no header can hold. The value is not repeated.
    """
    key = os.environ.get(api_key_env, "").strip()
    if not (key.isascii() and key.isprintable()):
        msg = f"${api_key_env} holds characters that no key has"
        raise InputError(msg)
    return key


def one_line(text: str, key: str) -> str:
    """Text of an endpoint as messages show it: on one line, without the key, cut short.

    Some endpoints repeat the key that they refuse. Cut after it is gone, lest half of it remains.
    """
    shown = storable(text)
    return " ".join((shown.replace(key, "***") if key else shown).split())[:_SHOWN]


def storable(text: str) -> str:
    """The text without lone surrogates, which no file holds, and NUL, which PostgreSQL refuses."""
    valid = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return valid.replace("\x00", "\ufffd")


def status_hint(status: int, api_key_env: str) -> str:
    """What to look at first after a status, as a note in brackets, or nothing."""
    return f" (is ${api_key_env} set to a valid key?)" if status in {401, 403} else ""


def worth_retrying(status: int, advice: str | None) -> bool:
    """Whether the same call may succeed later.

    Args:
        status: Of the answer.
        advice: Its `x-should-retry`, which overrules the status.
    """
    if advice in {"true", "false"}:
        return advice == "true"
    return status in _RETRYABLE or status >= _SERVER_ERROR


def proxy_for(base_url: str) -> str | None:
    """The proxy that the environment names for the URL, as urllib reads it."""
    url = urlsplit(base_url)
    proxies = urllib.request.getproxies()
    if urllib.request.proxy_bypass(url.netloc):
        return None
    return proxies.get(url.scheme) or proxies.get("all")


def asked_wait_s(header: Callable[[str], str | None]) -> float | None:
    """Seconds that an answer asks its caller to wait, or None where it does not say.

    Reads `retry-after-ms`, else `Retry-After` (a number or a date), else how long until a used-up
    rate limit is reset: `x-ratelimit-reset-requests` and `-tokens`, such as `6m0s` or `20ms`.

    Args:
        header: Name of a header to its value, in any case.
    """
    milliseconds = _number(header("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000.0
    value = header("Retry-After")
    if value is not None:
        seconds = _number(value)
        return _until(value) if seconds is None else seconds
    waits = [
        _span_s(header(f"x-ratelimit-reset-{kind}"))
        for kind in ("requests", "tokens")
        if header(f"x-ratelimit-remaining-{kind}") == "0"
    ]
    return max((wait for wait in waits if wait is not None), default=None)


def _number(value: str | None) -> float | None:
    if value is None or not value.strip().replace(".", "", 1).isdecimal():
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _until(date: str) -> float | None:
    try:
        return max(email.utils.parsedate_to_datetime(date).timestamp() - time.time(), 0.0)
    except (ValueError, OverflowError):
        return None


def _span_s(value: str | None) -> float | None:
    match = _SPAN.fullmatch(value or "")
    if match is None or not any(match.groups()):
        return None
    return sum(
        float(part) * unit for part, unit in zip(match.groups(), _SPAN_SECONDS, strict=True) if part
    )
