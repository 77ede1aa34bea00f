"""Sums by the minute, kept as requests come in: a month of traffic is read in a moment."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import sqlalchemy as sa

from fusionfactory.gateway.log.latency import histogram, merged
from fusionfactory.store.schema import requests, tallies

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

__all__ = ["MINUTE_S", "Tally", "add_tallies", "estimated_sums", "read_tallies"]

MINUTE_S = 60
_KEY = ("minute", "arm_no", "router_no", "failed", "why")
_SUMS = ("requests", "unpriced", "cost_usd", "input_tokens", "output_tokens")
_USED = ("at", "arm_no", "router_no", "failed", "why", "cost_usd", "input_tokens", "output_tokens",
         "latency_s", "first_byte_s", "estimates")  # fmt: skip
_Key: TypeAlias = tuple[int, int, int, int, str]


@dataclass(slots=True)
class Tally:
    """Sums of requests.

    Attributes:
        requests: How many.
        unpriced: Of those, answers of unknown cost.
        cost_usd: As far as known.
        input_tokens: As far as known.
        output_tokens: As far as known.
        latency: Histograms of seconds, together those of all.
        first_byte: Likewise.
        estimated: Arrays of `estimated_sums`, together those of all.
    """

    requests: int = 0
    unpriced: int = 0
    cost_usd: float = 0.0
    input_tokens: float = 0.0
    output_tokens: float = 0.0
    latency: list[bytes] = field(default_factory=list)
    first_byte: list[bytes] = field(default_factory=list)
    estimated: list[bytes] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Adds the other's requests to these."""
        self.requests += other.requests
        self.unpriced += other.unpriced
        self.cost_usd += other.cost_usd
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.latency += other.latency
        self.first_byte += other.first_byte
        self.estimated += other.estimated

    @classmethod
    def of(cls, row: sa.RowMapping) -> Tally:
        """That of a row of `tallies`."""
        blobs = ([row[name]] for name in ("latency", "first_byte", "estimated"))
        return cls(*(row[name] for name in _SUMS), *blobs)

    def row(self) -> dict[str, Any]:
        """Its part of a row of `tallies`."""
        return {
            **{name: getattr(self, name) for name in _SUMS},
            "latency": merged(self.latency),
            "first_byte": merged(self.first_byte),
            "estimated": estimated_sums(self.estimated).tobytes(),
        }


def add_tallies(connection: sa.Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    """Adds rows of `requests` to the sums of their minutes.

    Args:
        connection: In the transaction that writes them.
        rows: New ones.
    """
    new = _tallied(rows)
    minutes = sorted({key[0] for key in new})
    there = sa.select(tallies).where(tallies.c.minute.in_(minutes))
    old = {_key(row): row for row in connection.execute(there).mappings()}
    same = sa.and_(*(tallies.c[name] == sa.bindparam(f"_{name}") for name in _KEY))
    fresh, changed = [], []
    for key, tally in new.items():
        if key in old:
            tally.add(Tally.of(old[key]))
            changed.append({f"_{n}": v for n, v in zip(_KEY, key, strict=True)} | tally.row())
        else:
            fresh.append(dict(zip(_KEY, key, strict=True)) | tally.row())
    if fresh:
        connection.execute(tallies.insert(), fresh)
    if changed:
        connection.execute(tallies.update().where(same), changed)


def read_tallies(
    connection: sa.Connection, since: float, until: float | None = None
) -> Iterator[tuple[_Key, Tally]]:
    """Sums of the requests since a time, in Unix seconds, before another one.

    Yields:
        (minute, number of the arm or 0, number of the router or 0, failed, why) and the sums; whole
        minutes as they are kept, and those of the first and last that are not whole.
    """
    first = math.ceil(since / MINUTE_S)
    last = None if until is None else max(first, math.floor(until / MINUTE_S))
    whole = tallies.c.minute >= first
    part = (requests.c.at >= since) & (requests.c.at < first * MINUTE_S)
    if until is not None and last is not None:
        whole &= tallies.c.minute < last
        part |= (requests.c.at >= max(since, last * MINUTE_S)) & (requests.c.at < until)
        part &= requests.c.at < until
    columns = [requests.c[name] for name in _USED]
    parts = connection.execute(sa.select(*columns).where(part)).mappings()
    yield from _tallied(dict(row) for row in parts).items()
    for row in connection.execute(sa.select(tallies).where(whole)).mappings():
        yield _key(row), Tally.of(row)


def estimated_sums(parts: Iterable[bytes]) -> NDArray[np.float64]:
    """(4, m) sums over requests that were paid, by arm of one router.

    Their number, estimated quality, estimated USD and paid USD, of those where the arm's quality
    and cost were estimated; (4, 0) where there is none.
    """
    arrays = [np.frombuffer(part, dtype="<f8").reshape(4, -1) for part in parts if part]
    return np.sum(arrays, axis=0) if arrays else np.zeros((4, 0))


def _key(row: sa.RowMapping) -> _Key:
    return row["minute"], row["arm_no"], row["router_no"], row["failed"], row["why"]


def _tallied(rows: Iterable[Mapping[str, Any]]) -> dict[_Key, Tally]:
    groups: dict[_Key, list[Mapping[str, Any]]] = {}
    for row in rows:
        minute = math.floor(row["at"] / MINUTE_S)
        key = (minute, row["arm_no"] or 0, row["router_no"] or 0, row["failed"], row["why"])
        groups.setdefault(key, []).append(row)
    return {key: _tally(mine, failed=bool(key[3])) for key, mine in groups.items()}


def _tally(rows: list[Mapping[str, Any]], *, failed: bool) -> Tally:
    paid = [row for row in rows if row["cost_usd"] is not None]
    guessed = [row for row in paid if row["estimates"] is not None and not failed]
    return Tally(
        requests=len(rows),
        unpriced=0 if failed else len(rows) - len(paid),
        cost_usd=sum(row["cost_usd"] for row in paid),
        input_tokens=sum(row["input_tokens"] or 0.0 for row in rows),
        output_tokens=sum(row["output_tokens"] or 0.0 for row in rows),
        latency=[histogram(row["latency_s"] for row in rows)],
        first_byte=[histogram(row["first_byte_s"] for row in rows)],
        estimated=[_estimated(guessed)] if guessed else [],
    )


def _estimated(rows: list[Mapping[str, Any]]) -> bytes:
    values = np.frombuffer(b"".join(row["estimates"] for row in rows), dtype="<f4")
    both = values.astype(np.float64).reshape(len(rows), 2, -1)
    paid = np.array([row["cost_usd"] for row in rows], dtype=np.float64)[:, None]
    known = ~np.isnan(both).any(axis=1)
    parts = (np.ones_like(known, dtype=np.float64), both[:, 0], both[:, 1], paid)
    return np.stack([np.where(known, part, 0.0).sum(axis=0) for part in parts]).tobytes()
