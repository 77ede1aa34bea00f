"""Sums over many requests, made where they are stored."""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import orjson
import sqlalchemy as sa

from fusionfactory.gateway.log.latency import quantiles
from fusionfactory.gateway.log.tally import MINUTE_S, Tally, estimated_sums, read_tallies
from fusionfactory.intervals import wilson
from fusionfactory.store.schema import arms, gaps, outcomes, requests, router_arms, scores

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fusionfactory.types import FloatArray

__all__ = ["read_series", "read_summary"]


def read_summary(connection: sa.Connection, since: float) -> dict[str, Any]:
    """Sums over the requests since a time, in Unix seconds.

    Returns:
        `requests`; `errors` (answered with an error, or broken off); `cost_usd` (as far as known)
        and `unpriced`, the answers of unknown cost; `input_tokens`, `output_tokens`, `tokens`;
        `latency_p50, _p95, _p99` and `first_byte_p50` in seconds, within 1 %; `by_why` and
        `by_router`, requests of each; `shed`, requests without a record; `best_single` and
        `saved_usd`, see `_by_router`; and `arms`, by name: `requests, share, errors, cost_usd,
        unpriced, latency_p50`, and `quality` with `ci95` over `judged` answers. Quality is the
        `performance` of an answer, or else what a judge said; the interval is Wilson's.
    """
    everything, errors = Tally(), 0
    by_arm, by_router = defaultdict[int, Tally](Tally), defaultdict[int, Tally](Tally)
    failed, by_why = Counter[int](), Counter[str]()
    groups = defaultdict[tuple[int, int, int, str], Tally](Tally)
    for key, tally in read_tallies(connection, since):
        groups[key[1:]].add(tally)
    for (arm, router, wrong, why), tally in groups.items():
        everything.add(tally)
        by_why[why] += tally.requests
        errors += wrong * tally.requests
        if router:
            by_router[router].add(tally)
        if arm:
            by_arm[arm].add(tally)
            failed[arm] += wrong * tally.requests
    names = {row[0]: row[1] for row in connection.execute(sa.select(arms.c.no, arms.c.name))}
    judged = _judged(connection, since)
    p50, p95, p99 = quantiles(everything.latency, (0.5, 0.95, 0.99))
    answered = sum(tally.requests for tally in by_arm.values())
    return {
        "requests": everything.requests,
        "errors": errors,
        "cost_usd": everything.cost_usd,
        "unpriced": everything.unpriced,
        "input_tokens": round(everything.input_tokens),
        "output_tokens": round(everything.output_tokens),
        "tokens": round(everything.input_tokens + everything.output_tokens),
        "latency_p50": p50,
        "latency_p95": p95,
        "latency_p99": p99,
        "first_byte_p50": quantiles(everything.first_byte, (0.5,))[0],
        "arms": {
            names[number]: {
                "requests": tally.requests,
                "share": tally.requests / answered,
                "errors": failed[number],
                "cost_usd": tally.cost_usd,
                "unpriced": tally.unpriced,
                "latency_p50": quantiles(tally.latency, (0.5,))[0],
                **judged.get(number, {"quality": None, "judged": 0, "ci95": None}),
            }
            for number, tally in sorted(by_arm.items(), key=lambda item: -item[1].requests)
        },
        "by_why": dict(by_why),
        "shed": _shed(connection, since),
        **_by_router(connection, by_router),
    }


def read_series(
    connection: sa.Connection, since: float, buckets: int, until: float | None
) -> list[dict[str, Any]]:
    """At most `buckets` equal spans of whole minutes, those without a request too.

    Returns:
        `at, step_s, requests, errors, cost_usd, latency_p50, latency_p95` of each, `step_s` being
        its length. The first one begins with the minute of `since`, the last one holds `until`.
    """
    until = time.time() if until is None else until
    begin = math.floor(since / MINUTE_S)
    minutes = max(1, math.ceil(until / MINUTE_S) - begin)
    width = math.ceil(minutes / buckets)
    spans = [Tally() for _ in range(math.ceil(minutes / width))]
    errors = [0] * len(spans)
    end = float((begin + width * len(spans)) * MINUTE_S)
    for key, tally in read_tallies(connection, float(begin * MINUTE_S), end):
        place = (key[0] - begin) // width
        spans[place].add(tally)
        errors[place] += key[3] * tally.requests
    names = ("latency_p50", "latency_p95")
    return [
        {
            "at": float((begin + place * width) * MINUTE_S),
            "step_s": float(width * MINUTE_S),
            "requests": tally.requests,
            "errors": errors[place],
            "cost_usd": tally.cost_usd,
            **dict(zip(names, quantiles(tally.latency, (0.5, 0.95)), strict=True)),
        }
        for place, tally in enumerate(spans)
    ]


def _judged(connection: sa.Connection, since: float) -> dict[int, dict[str, Any]]:
    """By number of the arm: quality, judged, ci95.

    Begins at `scores`: whoever scores names himself there, and few outcomes are scored.
    """
    oldest = sa.select(sa.func.min(requests.c.query_no)).where(requests.c.at >= since)
    number = connection.execute(oldest).scalar()
    if number is None:
        return {}
    seen = (
        sa.select(scores.c.query_no, scores.c.arm_no)
        .where(scores.c.sample == 0, scores.c.name.in_(("performance", "llm_judge")))
        .where(scores.c.query_no >= number)
        .distinct()
        .subquery()
    )
    value = sa.func.coalesce(outcomes.c.performance, outcomes.c.llm_judge)
    same = (outcomes.c.query_no == seen.c.query_no) & (outcomes.c.arm_no == seen.c.arm_no)
    answer = (requests.c.query_no == seen.c.query_no) & (requests.c.arm_no == seen.c.arm_no)
    select = (
        sa.select(outcomes.c.arm_no, sa.func.count(value), sa.func.avg(value))
        .select_from(seen.join(outcomes, same).join(requests, answer))
        .where(outcomes.c.sample == 0, requests.c.at >= since)
        .group_by(outcomes.c.arm_no)
    )
    return {
        arm: {"quality": mean, "judged": n, "ci95": wilson(mean, n)}
        for arm, n, mean in connection.execute(select)
        if n
    }


def _shed(connection: sa.Connection, since: float) -> int:
    select = sa.select(sa.func.sum(gaps.c.requests)).where(gaps.c.at >= since)
    return int(connection.execute(select).scalar() or 0)


def _by_router(connection: sa.Connection, tallies: Mapping[int, Tally]) -> dict[str, Any]:
    """`by_router`, `best_single` and `saved_usd`.

    The best single arm is that of the highest mean estimated quality. What is saved is what it
    would have cost, by the routers' estimates, less what was paid for the same requests. Both are
    None where no router estimated a cost. A version has several numbers where its arms changed.
    """
    counts = Counter[str]()
    sums: dict[str, FloatArray] = {}
    known = sa.select(router_arms).where(router_arms.c.no.in_(list(tallies)))
    for row in connection.execute(known).mappings():
        tally = tallies[row["no"]]
        if row["router"]:
            counts[row["router"]] += tally.requests
        columns = estimated_sums(tally.estimated).T
        if len(columns):
            for name, column in zip(orjson.loads(row["arms"]), columns, strict=True):
                sums[name] = sums[name] + column if name in sums else column
    usable = {name: column for name, column in sums.items() if column[0]}
    single = max(usable, key=lambda name: float(usable[name][1] / usable[name][0]), default=None)
    saved = None if single is None else float(usable[single][2] - usable[single][3])
    return {"by_router": dict(counts), "best_single": single, "saved_usd": saved}
