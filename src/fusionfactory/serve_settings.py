"""The `[serve]` section of `fusionfactory.toml`: how the gateway listens, routes and logs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

__all__ = [
    "AlarmSettings",
    "CacheSettings",
    "ExplorationSettings",
    "LogSettings",
    "PlanSettings",
    "RoutingSettings",
    "SampledJudgeSettings",
    "ServeSection",
    "UpstreamSettings",
]

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_OPTIONS = frozenset({"host", "port", "workers", "state"})


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RoutingSettings(_Section):
    """Which trade-offs the names stand for, and when a conversation changes its arm.

    Attributes:
        auto: Policy of `auto`.
        cheap: Policy of `auto:cheap`.
        balanced: Policy of `auto:balanced`.
        best: Policy of `auto:best`.
        plan: A plan of `[[serve.plans]]` that `auto` runs, by the request's policy, wherever the
            answers of its arms can be compared; None for the router alone.
        default_arm: Answers where the router cannot; None for the cheapest that can.
        switch_cost: Expected quality by which another arm must be better before a conversation
            leaves its own; its cost counts by the policy.
        session_ttl_s: Seconds of silence after which a conversation is forgotten.
        decide_within_s: Seconds after which the default arm answers instead of the router's choice.
        gates: Folder of `fusionfactory think evaluate --gates`: what a model's `gated` arm uses.
    """

    auto: str = "balance"
    cheap: str = "cost"
    balanced: str = "balance"
    best: str = "performance"
    plan: str | None = None
    default_arm: str | None = None
    switch_cost: float = Field(default=0.05, ge=0, le=1)
    session_ttl_s: float = Field(default=3600.0, gt=0)
    decide_within_s: float = Field(default=1.0, gt=0)
    gates: Path | None = None


class PlanSettings(_Section):
    """A plan that clients may name as a model.

    Attributes:
        name: By which they do.
        path: Folder of `fusionfactory fit --plan`.
        allow_endpoint: Whether its encoder may send questions to the endpoint that it names.
    """

    name: str = Field(min_length=1)
    path: Path
    allow_endpoint: bool = False


class UpstreamSettings(_Section):
    """How endpoints are called on behalf of a waiting client.

    Attributes:
        connect_s: Seconds to connect.
        first_byte_s: Seconds from the request to the first byte of the answer.
        idle_s: Seconds between two pieces of a stream.
        deadline_s: Seconds of a whole request, all attempts together.
        pause_s: Longest pause, asked for by an endpoint, for which a client is kept waiting; where
            no arm may be asked sooner, it is told when to come again.
        attempts: Calls at most before the first byte, of all arms together.
        breaker_failures: Failures in a row after which an endpoint's model is left alone.
        breaker_open_s: Seconds for which it is; then one probe decides.
        hedge_after_s: Seconds without a first byte after which the next arm is asked as well, and
            the first to answer wins; None for never.
    """

    connect_s: float = Field(default=5.0, gt=0)
    first_byte_s: float = Field(default=60.0, gt=0)
    idle_s: float = Field(default=60.0, gt=0)
    deadline_s: float = Field(default=600.0, gt=0)
    pause_s: float = Field(default=30.0, gt=0)
    attempts: int = Field(default=4, ge=1)
    breaker_failures: int = Field(default=5, ge=1)
    breaker_open_s: float = Field(default=10.0, gt=0)
    hedge_after_s: float | None = Field(default=None, gt=0)


class LogSettings(_Section):
    """What is kept of a request, how long, and what happens where it cannot be kept.

    Attributes:
        texts: `full` keeps prompts and answers, `hash` their SHA-256 alone, `none` neither.
        redact: Regular expressions; what they match is replaced by `[redacted]` before it is kept.
        retention_days: Requests older than that are deleted; None keeps them.
        queue: Records that may wait to be written.
        when_full: `shed` answers without a record and counts it; `refuse` answers 503.
        wait_s: Seconds for which an answer's end waits until its record is written.
    """

    texts: Literal["full", "hash", "none"] = "full"
    redact: tuple[str, ...] = ()
    retention_days: float | None = Field(default=None, gt=0)
    queue: int = Field(default=10_000, ge=1)
    when_full: Literal["shed", "refuse"] = "shed"
    wait_s: float = Field(default=0.25, gt=0)

    @field_validator("redact")
    @classmethod
    def _patterns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in value:
            try:
                re.compile(pattern)
            except re.error as error:
                msg = f"{pattern!r} is no regular expression: {error}"
                raise ValueError(msg) from None
        return value


class ExplorationSettings(_Section):
    """How often the gateway tries what it does not believe to be best, so as to learn.

    Attributes:
        method: `none`; `epsilon`: any arm with probability `share`; `thompson`: an arm as often as
            it may be best by the router's own uncertainty, and any with probability `share`.
        share: Probability of a uniform choice.
        usd_per_day: What choices that cost more than the best arm's may cost in excess per day;
            None for any amount.
    """

    method: Literal["none", "epsilon", "thompson"] = "none"
    share: float = Field(default=0.05, gt=0, le=1)
    usd_per_day: float | None = Field(default=None, gt=0)


class SampledJudgeSettings(_Section):
    """Background judging of a sample of answers.

    Attributes:
        model: A model from `[[models]]`; None for no judging.
        share: Probability with which an answer is judged.
        usd_per_day: What it may cost per day.
    """

    model: str | None = None
    share: float = Field(default=0.05, gt=0, le=1)
    usd_per_day: float | None = Field(default=None, gt=0)


class AlarmSettings(_Section):
    """When the gateway warns that routing has gone wrong.

    Attributes:
        window: Latest decisions that are looked at.
        top_share: Share of one arm from which routing counts as collapsed.
        entropy: Normalised entropy of the shares below which it does.
        calibration: Difference of expected and observed quality that counts as drift.
        psi: Population stability index of expected quality, against the router's first decisions,
            from which the questions count as changed.
    """

    window: int = Field(default=1000, ge=50)
    top_share: float = Field(default=0.97, gt=0, le=1)
    entropy: float = Field(default=0.1, ge=0, le=1)
    calibration: float = Field(default=0.1, gt=0, le=1)
    psi: float = Field(default=0.25, gt=0)


class CacheSettings(_Section):
    """Exact-match cache of answers at temperature 0 and of embeddings, for each client on its own.

    Off unless `entries` is set.

    Attributes:
        entries: Answers kept per worker.
        ttl_s: Seconds for which an answer is served again.
    """

    entries: int = Field(default=0, ge=0)
    ttl_s: float = Field(default=300.0, gt=0)


class ServeSection(_Section):
    """The gateway.

    Attributes:
        host: Address to listen on.
        port: Port to listen on.
        workers: Processes that answer.
        state: Folder of router versions, journals and client keys.
        keys: Whether clients need a key: `auto` wants one unless the host is loopback.
        shared: Whether keys, budgets, rates and versions are those of all gateways of one store, or
            this machine's alone: `store`, `machine`, or `auto`: `store` where that is PostgreSQL.
        max_body_bytes: Longest request.
        max_concurrency: Requests at a time per worker; more get 503.
        drain_s: Seconds that requests under way get when a worker stops.
        log_level: Of the structured log on standard error.
        log_prompts: Whether that log may show prompts and answers.
        dashboard: Whether `/` serves the dashboard.
        plans: Those that are served beside the arms.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8377, ge=0, le=65535)
    workers: int = Field(default=1, ge=1, le=64)
    state: Path = Path("gateway")
    keys: Literal["auto", "required", "off"] = "auto"
    shared: Literal["auto", "store", "machine"] = "auto"
    max_body_bytes: int = Field(default=20 * 2**20, ge=1024)
    max_concurrency: int = Field(default=1000, ge=1)
    drain_s: float = Field(default=30.0, ge=0)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_prompts: bool = False
    dashboard: bool = True
    plans: tuple[PlanSettings, ...] = ()
    routing: RoutingSettings = RoutingSettings()
    upstream: UpstreamSettings = UpstreamSettings()
    log: LogSettings = LogSettings()
    exploration: ExplorationSettings = ExplorationSettings()
    judge: SampledJudgeSettings = SampledJudgeSettings()
    alarms: AlarmSettings = AlarmSettings()
    cache: CacheSettings = CacheSettings()

    @property
    def needs_keys(self) -> bool:
        """Whether a request without a client key is refused."""
        return self.keys == "required" or (self.keys == "auto" and self.host not in LOOPBACK)

    def options(self) -> dict[str, Any]:
        """Those that are options of `fusionfactory serve`, too."""
        return self.model_dump(include=set(_OPTIONS))
