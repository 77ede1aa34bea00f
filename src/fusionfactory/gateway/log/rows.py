"""A record as rows of the store's tables, and back."""

from __future__ import annotations

from dataclasses import asdict, astuple
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from fusionfactory.gateway.log.record import Attempt, Said

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fusionfactory.gateway.log.record import Ran, Record

__all__ = ["arms_of", "detail_of", "estimated_arms", "outcome_rows", "request_row", "vectors_of"]

_WITHOUT_OUTCOMES = frozenset({"embeddings"})
_BAD = 400


def arms_of(record: Record) -> set[str]:
    """The arms that its rows name."""
    named = {record.chosen, record.arm, *(attempt.arm for attempt in record.attempts)}
    return {arm for arm in named if arm is not None}


def estimated_arms(record: Record) -> tuple[str, str] | None:
    """The router's version and its arms as JSON, as in `router_arms`; None without estimates."""
    arms = dict.fromkeys([*record.estimates, *record.propensities])
    if not arms:
        return None
    return record.router or "", orjson.dumps(list(arms)).decode()


def request_row(
    record: Record, query_no: int, arm_nos: Mapping[str, int], router_no: int | None
) -> dict[str, Any]:
    """The row of `requests`."""
    arms = list(dict.fromkeys([*record.estimates, *record.propensities]))
    quality, cost = record.estimates.get(record.chosen or "", (None, None))
    detail = {
        "strategy": record.strategy,
        "excluded": record.excluded,
        "shadow": record.shadow,
        "attempts": [astuple(attempt) for attempt in record.attempts],
        "plan": _course(record.plan),
    }
    said = {name: value for name, value in detail.items() if value}
    return {
        "query_no": query_no,
        "at": record.at,
        "api": record.api,
        "asked": record.asked,
        "key": record.key,
        "session": record.session,
        "stream": int(record.stream),
        "cache": record.cache,
        "policy": record.policy,
        "router_no": router_no,
        "why": record.why,
        "chosen_no": record.chosen and arm_nos[record.chosen],
        "propensity": record.propensity,
        "expected_quality": quality,
        "expected_cost_usd": cost,
        "arm_no": record.arm and arm_nos[record.arm],
        "status": record.status,
        "failed": int(record.status >= _BAD or record.error is not None),
        "cost_usd": record.cost_usd,
        "input_tokens": record.input_tokens,
        "output_tokens": record.output_tokens,
        "latency_s": record.latency_s,
        "first_byte_s": record.first_byte_s,
        "upstream_s": record.upstream_s,
        "estimates": _vector(
            [record.estimates.get(arm, (None, None))[part] for part in (0, 1) for arm in arms]
        ),
        "propensities": _vector([record.propensities.get(arm) for arm in arms]),
        "detail": orjson.dumps(said).decode() if said else None,
        "error": record.error,
    }


def _course(ran: Ran | None) -> dict[str, Any] | None:
    """How a plan went, without what was said: that is in the outcomes."""
    if ran is None:
        return None
    facts = asdict(ran)
    del facts["said"]
    return facts


def _vector(values: list[float | None]) -> bytes | None:
    array = np.array(values, dtype="<f4")
    return None if np.isnan(array).all() else array.tobytes()


def vectors_of(row: Mapping[str, Any], arms: list[str]) -> dict[str, Any]:
    """`estimates` and `propensities` of a row of `requests`, as a record has them."""
    found: dict[str, Any] = {"estimates": {}, "propensities": {}}
    if row["estimates"] is not None:
        quality, cost = np.frombuffer(row["estimates"], dtype="<f4").reshape(2, len(arms))
        pairs = zip(arms, map(_plain, quality), map(_plain, cost), strict=True)
        found["estimates"] = {arm: (q, c) for arm, q, c in pairs if q is not None}
    if row["propensities"] is not None:
        shares = map(_plain, np.frombuffer(row["propensities"], dtype="<f4"))
        pairs_of = zip(arms, shares, strict=True)
        found["propensities"] = {arm: share for arm, share in pairs_of if share is not None}
    return found


def _plain(value: np.float32) -> float | None:
    """As many digits as a float32 has."""
    return None if np.isnan(value) else float(f"{value:.7g}")


def detail_of(text: str | None) -> dict[str, Any]:
    """`strategy`, `excluded`, `shadow`, `plan` and `attempts` of a row of `requests`."""
    said = orjson.loads(text) if text else {}
    attempts = [asdict(Attempt(*values)) for values in said.get("attempts", ())]
    nothing: dict[str, Any] = {"strategy": None, "excluded": {}, "shadow": {}, "plan": None}
    return {**nothing, **said, "attempts": attempts}


def outcome_rows(record: Record, query_no: int, arm_nos: Mapping[str, int]) -> list[dict[str, Any]]:
    """The rows of `outcomes`: one per arm that was called, all its attempts together.

    A plan that answered has one, too, of what the client got and what all calls cost.
    """
    if record.api in _WITHOUT_OUTCOMES:
        return []
    by_arm: dict[str, list[Attempt]] = {}
    for attempt in record.attempts:
        by_arm.setdefault(attempt.arm, []).append(attempt)
    said = _said(record)
    rows = [_called(record, arm, attempts, said.get(arm)) for arm, attempts in by_arm.items()]
    if record.plan is not None and record.arm == record.plan.plan:
        rows.append(_answered(record))
    created = datetime.fromtimestamp(record.at, UTC).isoformat()
    return [
        {
            **row,
            "query_no": query_no,
            "arm_no": arm_nos[row["arm_no"]],
            "sample": 0,
            "created": created,
            "propensity": record.propensity if row["arm_no"] == record.chosen else None,
        }
        for row in rows
    ]


def _said(record: Record) -> dict[str, Said]:
    """Arm to what it answered."""
    if record.plan is not None:
        return {said.arm: said for said in record.plan.said}
    if record.arm is None:
        return {}
    return {record.arm: _told(record, record.arm)}


def _called(record: Record, arm: str, attempts: list[Attempt], said: Said | None) -> dict[str, Any]:
    """The outcome of an arm; `arm_no` is its name yet."""
    passed = [attempt for attempt in attempts if attempt.error is None] if said else []
    last = (passed or attempts)[-1]
    error = last.error or (record.error if arm == record.arm else None)
    if said is None:
        error = error or "not passed on"
        said = Said(arm)
    return {
        "arm_no": arm,
        "cost_usd": _paid(attempts, last),
        "latency_s": last.latency_s,
        "error": error,
        **_words(said),
    }


def _answered(record: Record) -> dict[str, Any]:
    """The outcome of a plan; `arm_no` is its name yet."""
    arm = record.arm or ""
    return {
        "arm_no": arm,
        "cost_usd": record.cost_usd,
        "latency_s": record.latency_s,
        "error": record.error,
        **_words(_told(record, arm)),
    }


def _told(record: Record, arm: str) -> Said:
    return Said(
        arm,
        record.response,
        record.finish_reason,
        record.input_tokens,
        record.output_tokens,
        record.logprob,
    )


def _words(said: Said) -> dict[str, Any]:
    return {
        "input_tokens": said.input_tokens,
        "output_tokens": said.output_tokens,
        "response": said.response,
        "finish_reason": said.finish_reason,
        "logprob": said.logprob,
    }


def _paid(attempts: list[Attempt], last: Attempt) -> float | None:
    """What all cost; unknown where that of the last one is, unless that one failed unpaid."""
    known = [attempt.cost_usd for attempt in attempts if attempt.cost_usd is not None]
    if not known or (last.cost_usd is None and last.error is None):
        return None
    return sum(known)
