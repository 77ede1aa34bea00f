"""Sums over many requests, made where they are stored."""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import sqlalchemy as sa

from fusionfactory.gateway.log.latency import quantiles
from fusionfactory.store.schema import arms, gaps, outcomes, requests, router_arms, scores

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["read_series", "read_summary", "wilson"]

_Z = 1.959963984540054
_SAMPLED = 20_000
_count = sa.func.count()


@dataclass(slots=True)
class _Tally:
    """Sums of some requests."""

    requests: int = 0
    errors: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    latency: Counter[int | None] = field(default_factory=Counter)

    def add(self, row: sa.RowMapping) -> None:
        self.requests += row["requests"]
        self.errors += row["requests"] * row["failed"]
        self.cost_usd += row["cost_usd"] or 0.0
        self.unpriced += 0 if row["failed"] else row["unpriced"]
        self.input_tokens += round(row["input_tokens"] or 0)
        self.output_tokens += round(row["output_tokens"] or 0)
        self.latency[row["latency_class"]] += row["requests"]


def read_summary(connection: sa.Connection, since: float) -> dict[str, Any]:
    """Sums over the requests since a time, in Unix seconds.

    Returns:
        `requests`; `errors` (answered with an error, or broken off); `cost_usd` (as far as known)
        and `unpriced`, the answers of unknown cost; `input_tokens`, `output_tokens`, `tokens`;
        `latency_p50, _p95, _p99` and `first_byte_p50` in seconds, within 1 %; `by_why` and
        `by_router`, requests of each; `shed`, requests without a record; `best_single`
        and `saved_usd`, see `_against_single`; and `arms`, by name: `requests, share, errors,
        cost_usd, unpriced, latency_p50`, and
        `quality` with `ci95` over `judged` answers. Quality is the `performance` of an answer, or
        else what a judge said; the interval is Wilson's.
    """
    groups = ("arm_no", "why", "router_no", "failed", "latency_class")
    columns = [requests.c[name] for name in groups]
    select = sa.select(*columns, *_sums()).where(requests.c.at >= since).group_by(*columns)
    everything, by_arm = _Tally(), defaultdict[int, _Tally](_Tally)
    by_why, by_router = Counter[str](), Counter[int | None]()
    for row in connection.execute(select).mappings():
        everything.add(row)
        by_why[row["why"]] += row["requests"]
        by_router[row["router_no"]] += row["requests"]
        if row["arm_no"] is not None:
            by_arm[row["arm_no"]].add(row)
    names = {row[0]: row[1] for row in connection.execute(sa.select(arms.c.no, arms.c.name))}
    judged = _judged(connection, since)
    p50, p95, p99 = quantiles(everything.latency.items(), (0.5, 0.95, 0.99))
    single, saved_usd = _against_single(connection, since)
    answered = sum(tally.requests for tally in by_arm.values())
    return {
        "requests": everything.requests,
        "errors": everything.errors,
        "cost_usd": everything.cost_usd,
        "unpriced": everything.unpriced,
        "input_tokens": everything.input_tokens,
        "output_tokens": everything.output_tokens,
        "tokens": everything.input_tokens + everything.output_tokens,
        "latency_p50": p50,
        "latency_p95": p95,
        "latency_p99": p99,
        "first_byte_p50": _first_byte_p50(connection, since),
        "arms": {
            names[number]: {
                "requests": tally.requests,
                "share": tally.requests / answered,
                "errors": tally.errors,
                "cost_usd": tally.cost_usd,
                "unpriced": tally.unpriced,
                "latency_p50": quantiles(tally.latency.items(), (0.5,))[0],
                **judged.get(number, {"quality": None, "judged": 0, "ci95": None}),
            }
            for number, tally in sorted(by_arm.items(), key=lambda item: -item[1].requests)
        },
        "by_why": dict(by_why),
        "by_router": _by_version(connection, by_router),
        "shed": _shed(connection, since),
        "best_single": single,
        "saved_usd": saved_usd,
    }


def read_series(
    connection: sa.Connection, since: float, buckets: int, until: float | None
) -> list[dict[str, Any]]:
    """Of `buckets` equal spans from `since` to `until`, those without a request too.

    Returns:
        `at, requests, errors, cost_usd, latency_p50, latency_p95` of each.
    """
    until = time.time() if until is None else until
    width = max(until - since, 1e-3) / buckets
    place: sa.ColumnElement[Any] = (requests.c.at - since) / width
    if connection.dialect.name == "postgresql":  # whose cast rounds; SQLite's cuts off
        place = sa.func.floor(place)
    bucket = sa.cast(place, sa.Integer).label("bucket")
    groups = (bucket, requests.c.failed, requests.c.latency_class)
    some = (requests.c.at >= since) & (requests.c.at < until)
    select = sa.select(*groups, *_sums()).where(some).group_by(*groups)
    tallies = [_Tally() for _ in range(buckets)]
    names = ("latency_p50", "latency_p95")
    for row in connection.execute(select).mappings():
        tallies[min(row["bucket"], buckets - 1)].add(row)
    return [
        {
            "at": since + number * width,
            "requests": tally.requests,
            "errors": tally.errors,
            "cost_usd": tally.cost_usd,
            **dict(zip(names, quantiles(tally.latency.items(), (0.5, 0.95)), strict=True)),
        }
        for number, tally in enumerate(tallies)
    ]


def wilson(mean: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a mean of scores in [0, 1].

    It is wider than need be where scores are neither 0 nor 1. Wilson (1927), Probable
    inference, the law of succession, and statistical inference.
    """
    share = _Z * _Z / n
    middle = (mean + share / 2) / (1 + share)
    half = _Z / (1 + share) * math.sqrt(mean * (1 - mean) / n + share / (4 * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def _sums() -> list[sa.ColumnElement[Any]]:
    unpriced = sa.case((requests.c.cost_usd.is_(None), 1), else_=0)
    names = ("cost_usd", "input_tokens", "output_tokens")
    return [
        _count.label("requests"),
        sa.func.sum(unpriced).label("unpriced"),
        *(sa.func.sum(requests.c[name]).label(name) for name in names),
    ]


def _first_byte_p50(connection: sa.Connection, since: float) -> float | None:
    column = requests.c.first_byte_class
    select = sa.select(column, _count).where(requests.c.at >= since).group_by(column)
    rows: Iterable[Any] = connection.execute(select)
    return quantiles([(row[0], row[1]) for row in rows], (0.5,))[0]


def _judged(connection: sa.Connection, since: float) -> dict[int, dict[str, Any]]:
    """By number of the arm: quality, judged, ci95.

    Begins at `scores`: whoever scores names himself there, and few outcomes are scored.
    """
    first = sa.select(sa.func.min(requests.c.query_no)).where(requests.c.at >= since)
    number = connection.execute(first).scalar()
    if number is None:
        return {}
    seen = (
        sa.select(scores.c.query_no, scores.c.arm_no)
        .where(scores.c.query_no >= number, scores.c.sample == 0)
        .where(scores.c.name.in_(("performance", "llm_judge")))
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


def _by_version(connection: sa.Connection, by_number: Counter[int | None]) -> dict[str, int]:
    """Requests by version: a version has several numbers where its arms have changed."""
    rows = connection.execute(sa.select(router_arms.c.no, router_arms.c.router))
    versions = {row[0]: row[1] for row in rows}
    found = Counter[str]()
    for number, count in by_number.items():
        if number is not None and versions.get(number):
            found[versions[number]] += count
    return dict(found)


def _shed(connection: sa.Connection, since: float) -> int:
    select = sa.select(sa.func.sum(gaps.c.requests)).where(gaps.c.at >= since)
    return int(connection.execute(select).scalar() or 0)


def _against_single(connection: sa.Connection, since: float) -> tuple[str | None, float | None]:
    """The best single arm, and what it would have cost, less what was paid; None when unknown.

    The best arm is the one of the highest mean estimated quality. Both costs are over the requests
    that a router estimated and whose cost is known: its estimates of up to 20,000 of them, evenly
    spread, stand for all.
    """
    some = (
        (requests.c.at >= since)
        & requests.c.estimates.is_not(None)
        & requests.c.cost_usd.is_not(None)
        & (requests.c.failed == 0)
    )
    count = connection.execute(sa.select(_count).select_from(requests).where(some)).scalar_one()
    every = -(-count // _SAMPLED) or 1
    columns = (requests.c.router_no, requests.c.cost_usd, requests.c.estimates)
    sample = sa.select(*columns).where(some, requests.c.query_no % every == 0)
    by_router: dict[int, list[tuple[float, bytes]]] = {}
    for router, paid, estimates in connection.execute(sample):
        by_router.setdefault(router, []).append((paid, estimates))
    sums: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(4))
    for router, rows in by_router.items():
        select = sa.select(router_arms.c.arms).where(router_arms.c.no == router)
        names = orjson.loads(connection.execute(select).scalar_one())
        values = np.frombuffer(b"".join(row[1] for row in rows), dtype="<f4")
        values = values.reshape(len(rows), 2, len(names)).astype(np.float64)
        paid_usd = np.array([row[0] for row in rows])[:, None]
        known = ~np.isnan(values).any(axis=1)
        parts = (values[:, 0], values[:, 1], paid_usd)
        for column, name in enumerate(names):
            mine = known[:, column]
            totals = [np.broadcast_to(p, known.shape)[mine, column].sum() for p in parts]
            sums[name] += [mine.sum(), *totals]
    means = {name: row[1:] / row[0] for name, row in sums.items() if row[0]}
    if not means:
        return None, None
    single = max(means, key=lambda name: float(means[name][0]))
    _, cost, paid = means[single]
    return single, float(cost - paid) * count
