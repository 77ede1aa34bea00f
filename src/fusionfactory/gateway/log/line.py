"""A line of the journal, read back and checked: whatever passes can be stored."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

from fusionfactory.errors import InputError
from fusionfactory.gateway.log.record import Attempt, Ran, Record, Said
from fusionfactory.types import Arm

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Entry", "Feedback", "Gap", "read_line"]

_ERROR_CHARACTERS = 2000
_INDEXED_CHARACTERS = 500  # more do not fit into an index of PostgreSQL
_LAST_S = 1e11
_MOST = 2**31 - 1
_THUMBS = {"up": 1.0, "down": 0.0, True: 1.0, False: 0.0}
_TEXTS = ("api", "asked", "text", "why", "cache")
_OPTIONAL_TEXTS = ("key", "session", "policy", "router", "chosen", "arm", "strategy", "error",
                   "response", "finish_reason")  # fmt: skip
_NUMBERS = ("propensity", "cost_usd", "latency_s", "first_byte_s", "upstream_s", "input_tokens",
            "output_tokens")  # fmt: skip
_RECORD = tuple(field.name for field in fields(Record))
_ATTEMPT = tuple(field.name for field in fields(Attempt))


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a user said of a request: a score in [0, 1], or what the answer should have been."""

    id: str
    at: float
    key: str | None
    score: float | None
    target: str | None


@dataclass(frozen=True, slots=True)
class Gap:
    """Records that were shed, and when that was noticed."""

    at: float
    requests: int


Entry: TypeAlias = Record | Feedback | Gap


def read_line(line: bytes) -> Entry:
    """Reads a line.

    Raises:
        ValueError: It is no JSON object of the journal's, or says what cannot be.
    """
    facts = orjson.loads(line)
    if not isinstance(facts, dict):
        msg = "no object"
        raise ValueError(msg)
    if rb"\u0000" in line:
        facts = _without_nul(facts)
    kind = facts.get("kind")
    if kind == "feedback":
        return _feedback(facts)
    if kind == "gap":
        return Gap(_at(facts), _whole(facts, "requests"))
    if kind is not None:
        msg = f"an event of the unknown kind {kind!r}"
        raise ValueError(msg)
    return _record(facts)


def _record(facts: Mapping[str, Any]) -> Record:
    given = {name: facts[name] for name in _RECORD if name in facts}
    given |= {"id": _text(facts, "id"), "at": _at(facts)}
    given |= {name: _text(facts, name) for name in _TEXTS if name in given}
    given |= {name: _text(facts, name) for name in _OPTIONAL_TEXTS if given.get(name) is not None}
    given |= {name: _number(given[name], name) for name in _NUMBERS if name in given}
    if given.get("error") is not None:
        given["error"] = given["error"][:_ERROR_CHARACTERS]
    given["logprob"] = _logprob(facts)
    given["status"] = _whole(facts, "status")
    given["stream"] = facts.get("stream") is True
    if not isinstance(given.get("messages"), list | None):
        msg = "messages are no list"
        raise ValueError(msg)
    given["attempts"] = [_attempt(item) for item in facts.get("attempts") or ()]
    given["propensities"] = {
        str(arm): _number(share, "propensities")
        for arm, share in _items(facts, "propensities")
    }  # fmt: skip
    given["estimates"] = {
        str(arm): (_signed(quality), _number(cost, "estimates"))
        for arm, (quality, cost) in _items(facts, "estimates")
    }
    for name in ("excluded", "shadow"):
        given[name] = {str(arm): str(what) for arm, what in _items(facts, name)}
    given["plan"] = None if facts.get("plan") is None else _ran(facts["plan"])
    record = Record(**given)
    for indexed in (record.id, record.key, record.why):
        _check_indexed(indexed)
    for arm in {record.chosen, record.arm, *(attempt.arm for attempt in record.attempts)} - {None}:
        _check_arm(str(arm))
    return record


def _ran(facts: object) -> Ran:
    if not isinstance(facts, dict):
        msg = f"a plan is {facts!r}"
        raise ValueError(msg)
    metric, answer = (
        None if facts.get(name) is None else _text(facts, name) for name in ("metric", "answer")
    )
    return Ran(
        plan=_text(facts, "plan"),
        metric=metric,
        stages=[[str(arm) for arm in stage] for stage in facts.get("stages") or ()],
        answer=answer,
        confidence=_number(facts.get("confidence"), "confidence"),
        said=[_said(item) for item in facts.get("said") or ()],
    )


def _said(facts: object) -> Said:
    if not isinstance(facts, dict):
        msg = f"what an arm said is {facts!r}"
        raise ValueError(msg)
    response, reason = (
        None if facts.get(name) is None else _text(facts, name)
        for name in ("response", "finish_reason")
    )
    given: dict[str, Any] = {
        name: _number(facts.get(name), name) for name in ("input_tokens", "output_tokens")
    }
    return Said(_text(facts, "arm"), response, reason, **given, logprob=_logprob(facts))


def _attempt(facts: object) -> Attempt:
    if not isinstance(facts, dict):
        msg = f"an attempt is {facts!r}"
        raise ValueError(msg)
    given = {name: facts[name] for name in _ATTEMPT if name in facts}
    given["arm"] = _text(facts, "arm")
    given["latency_s"] = _number(facts.get("latency_s"), "latency_s") or 0.0
    given["cost_usd"] = _number(facts.get("cost_usd"), "cost_usd")
    given["status"] = None if facts.get("status") is None else _whole(facts, "status")
    given["hedge"] = facts.get("hedge") is True
    if facts.get("error") is not None:
        given["error"] = _text(facts, "error")[:_ERROR_CHARACTERS]
    return Attempt(**given)


def _feedback(facts: Mapping[str, Any]) -> Feedback:
    score = _number(facts.get("score"), "score")
    thumbs = facts.get("thumbs")
    if thumbs is not None:
        score = _THUMBS[thumbs]
    if score is not None and score > 1:
        msg = f"a score of {score}"
        raise ValueError(msg)
    target, key = (
        None if facts.get(name) is None else _text(facts, name) for name in ("target", "key")
    )
    _check_indexed(_text(facts, "id"))
    return Feedback(_text(facts, "id"), _at(facts), key, score, target)


def _check_indexed(name: str | None) -> None:
    if name is not None and not 0 < len(name) <= _INDEXED_CHARACTERS:
        msg = f"a name of {len(name)} characters"
        raise ValueError(msg)


def _check_arm(name: str) -> None:
    _check_indexed(name)
    try:
        Arm.parse(name)
    except InputError as error:
        raise ValueError(str(error)) from None


def _items(facts: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401  whatever the mapping holds
    value = facts.get(name) or {}
    if not isinstance(value, dict):
        msg = f"{name} is {value!r}"
        raise ValueError(msg)
    return value.items()


def _text(facts: Mapping[str, Any], name: str) -> str:
    value = facts.get(name)
    if not isinstance(value, str):
        msg = f"{name} is {value!r}"
        raise ValueError(msg)
    return value


def _at(facts: Mapping[str, Any]) -> float:
    value = _number(facts.get("at"), "at")
    if value is None or value > _LAST_S:
        msg = f"a time of {value!r}"
        raise ValueError(msg)
    return value


def _whole(facts: Mapping[str, Any], name: str) -> int:
    """As large as the store's columns hold; 0 where it is unknown."""
    return min(int(_number(facts.get(name), name) or 0), _MOST)


def _number(value: object, name: str) -> float | None:
    """A number that is not negative; None for what is unknown."""
    number = _signed(value)
    if number is None or math.isnan(number):
        return None
    if number < 0:
        msg = f"{name} is {value!r}"
        raise ValueError(msg)
    return number


def _logprob(facts: Mapping[str, Any]) -> float | None:
    value = _signed(facts.get("logprob"))
    if value is not None and not value <= 0:
        msg = f"a log-probability of {value}"
        raise ValueError(msg)
    return value


def _signed(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e18:
        msg = f"{value!r} is no number"
        raise ValueError(msg)
    return value


def _without_nul(value: Any) -> Any:  # noqa: ANN401  any JSON
    """PostgreSQL's texts cannot hold it."""
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, list):
        return [_without_nul(item) for item in value]
    if isinstance(value, dict):
        return {_without_nul(key): _without_nul(item) for key, item in value.items()}
    return value
