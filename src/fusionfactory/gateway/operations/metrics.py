"""Figures for Prometheus, summed over the workers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    values,
)
from prometheus_client.multiprocess import MultiProcessCollector

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.gateway.log.record import Record

__all__ = ["CONTENT_TYPE", "Metrics", "forget_worker"]

CONTENT_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_OVERHEAD_SECONDS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1)
_NOBODY = "none"


@dataclass(frozen=True, slots=True)
class _ArmSeries:
    """An arm's own series, found once: looking labels up costs more than counting."""

    latency: Histogram
    first_byte: Histogram
    input_tokens: Counter
    output_tokens: Counter
    cost: Counter
    unpriced: Counter

    def observe(self, record: Record) -> None:
        if record.latency_s is not None:
            self.latency.observe(record.latency_s)
        if record.stream and record.first_byte_s is not None:
            self.first_byte.observe(record.first_byte_s)
        if record.input_tokens:
            self.input_tokens.inc(record.input_tokens)
        if record.output_tokens:
            self.output_tokens.inc(record.output_tokens)
        if record.cost_usd is not None:
            self.cost.inc(record.cost_usd)
        elif record.arm is not None:
            self.unpriced.inc()


class Metrics:
    """Counts what became of requests.

    Args:
        folder: Where the workers' figures lie, to be summed; None keeps one process's in memory.
        worker: Number of this worker: one that is restarted goes on where its forerunner was, so
            that no counter falls and no file of a dead process stays behind.
    """

    def __init__(self, folder: Path | None = None, worker: int = 0) -> None:
        self._folder = folder
        self.registry = CollectorRegistry()
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
            values.ValueClass = values.MultiProcessValue(  # type: ignore[no-untyped-call]
                lambda: _name(worker)
            )
        make: dict[str, Any] = {"registry": self.registry, "namespace": "fusionfactory"}
        self._requests = Counter("requests", "Requests.", ("api", "arm", "status"), **make)
        self._decisions = Counter("decisions", "Decisions.", ("arm", "why"), **make)
        self._failures = Counter(
            "upstream_failures", "Calls that failed.", ("arm", "status"), **make
        )
        self._overhead = Histogram("overhead_seconds", "Time of a request not spent on endpoints.",
                                   buckets=_OVERHEAD_SECONDS, **make)  # fmt: skip
        self._latency = Histogram("request_seconds", "From the request to the last byte.", ("arm",),
                                  buckets=_SECONDS, **make)  # fmt: skip
        self._first_byte = Histogram("first_byte_seconds", "To the first byte of a stream.",
                                     ("arm",), buckets=_SECONDS, **make)  # fmt: skip
        self._tokens = Counter("tokens", "Tokens.", ("arm", "side"), **make)
        self._cost = Counter("cost_usd", "What was paid, as far as it is known.", ("arm",), **make)
        self._unpriced = Counter("unpriced", "Answers of unknown cost.", ("arm",), **make)
        self._turned_away = Counter("turned_away", "Requests refused before they were let in.",
                                    ("status",), **make)  # fmt: skip
        self._cache_hits = Counter("cache_hits", "Answers from the cache.", **make)
        self.under_way = Gauge("requests_under_way", "Requests now.",
                               multiprocess_mode="livesum", **make)  # fmt: skip
        self.log_waiting = Gauge("log_waiting", "Records that wait to be written.",
                                 multiprocess_mode="livesum", **make)  # fmt: skip
        self.log_shed = Gauge("log_shed", "Records that were not kept, since the worker's start.",
                              multiprocess_mode="livesum", **make)  # fmt: skip
        self.store_seen = Gauge("store_seen_timestamp_seconds", "When the store was reached last.",
                                multiprocess_mode="max", **make)  # fmt: skip
        self._gateway = Gauge("gateway_info", "1: the name of the gateway whose figures these are.",
                              ("gateway",), multiprocess_mode="max", **make)  # fmt: skip
        self._arms: dict[str, _ArmSeries] = {}
        self._seen: dict[tuple[str, str, int], Counter] = {}
        self._decided: dict[tuple[str, str], Counter] = {}

    def name_gateway(self, name: str) -> None:
        """Says whose figures these are, where several gateways share a store."""
        self._gateway.labels(name).set(1)

    def turn_away(self, status: int) -> None:
        """Counts a request without a key, over a limit or malformed: it has no record."""
        self._turned_away.labels(status).inc()

    def observe(self, record: Record) -> None:
        """Counts a request that is over."""
        arm = record.arm or _NOBODY
        asked = (record.api, arm, record.status)
        counted = self._seen.get(asked)
        if counted is None:
            counted = self._seen[asked] = self._requests.labels(record.api, arm, record.status)
        counted.inc()
        if record.chosen is not None:
            self._count_decision(record.chosen, record.why)
        series = self._arms.get(arm)
        if series is None:
            series = self._arms[arm] = self._bind(arm)
        series.observe(record)
        if record.latency_s is not None and record.upstream_s is not None:
            self._overhead.observe(max(0.0, record.latency_s - record.upstream_s))
        if record.cache == "hit":
            self._cache_hits.inc()
        for attempt in record.attempts:
            if attempt.error is not None:
                self._failures.labels(attempt.arm, attempt.status or _NOBODY).inc()

    def render(self) -> bytes:
        """The figures of all workers in Prometheus' text form; takes milliseconds."""
        if self._folder is None:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together, str(self._folder))  # type: ignore[no-untyped-call]
        return generate_latest(together)

    def _count_decision(self, arm: str, why: str) -> None:
        counted = self._decided.get((arm, why))
        if counted is None:
            counted = self._decided[arm, why] = self._decisions.labels(arm, why)
        counted.inc()

    def _bind(self, arm: str) -> _ArmSeries:
        return _ArmSeries(
            latency=self._latency.labels(arm),
            first_byte=self._first_byte.labels(arm),
            input_tokens=self._tokens.labels(arm, "input"),
            output_tokens=self._tokens.labels(arm, "output"),
            cost=self._cost.labels(arm),
            unpriced=self._unpriced.labels(arm),
        )


def forget_worker(folder: Path, worker: int) -> None:
    """Drops what a dead worker said of its present state; what it counted stays."""
    for path in folder.glob(f"gauge_live*_{_name(worker)}.db"):
        path.unlink(missing_ok=True)


def _name(worker: int) -> str:
    return f"w{worker}"
