"""The record of one request: what was asked, decided, answered and paid."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

__all__ = ["Attempt", "CacheState", "Ran", "Record", "Said", "Why", "new_id"]

Why: TypeAlias = Literal["best", "explore", "session", "fixed", "default", "plan"]
"""Why an arm was chosen: it is best by the policy; to learn; the conversation has it; the client
named it; the router could not decide; `auto` runs that plan."""

CacheState: TypeAlias = Literal["off", "miss", "hit"]


@dataclass(slots=True)
class Attempt:
    """One call of an endpoint.

    Attributes:
        arm: Name of the arm.
        latency_s: Seconds from its start to its end.
        status: HTTP status, where there was one.
        error: What went wrong; None for the attempt whose answer was passed on, or told to a plan.
        cost_usd: What it cost in USD; None when unknown.
        hedge: Whether it was sent while another one was under way.
    """

    arm: str
    latency_s: float
    status: int | None = None
    error: str | None = None
    cost_usd: float | None = None
    hedge: bool = False


@dataclass(slots=True)
class Said:
    """What an arm answered a plan.

    Attributes:
        arm: Name of the arm.
        response: Its text.
        finish_reason: As the endpoint says.
        input_tokens: Of the prompt; None when unknown.
        output_tokens: Of the answer; None when unknown.
        logprob: Mean log-probability of its tokens; None when unknown.
    """

    arm: str
    response: str | None = None
    finish_reason: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    logprob: float | None = None


@dataclass(slots=True)
class Ran:
    """How a plan went.

    Attributes:
        plan: Its name.
        metric: By which answers were compared.
        stages: Names of the arms that were asked, together in one list where they were at once.
        answer: The arm whose answer the client got; None where there was none.
        confidence: Probability, by the plan, that it is right; None where it did not say.
        said: What the arms answered; those that failed are among the attempts alone.
    """

    plan: str
    metric: str | None = None
    stages: list[list[str]] = field(default_factory=list)
    answer: str | None = None
    confidence: float | None = None
    said: list[Said] = field(default_factory=list)


@dataclass(slots=True)
class Record:
    """What is known of a request; filled in as it goes through the gateway, then written once.

    Attributes:
        id: Unique; `x-request-id` of the answer and the id of `/v1/decisions/{id}`.
        at: Unix seconds at which it came.
        api: `chat`, `completions`, `responses`, `embeddings`.
        asked: `model` as the client sent it.
        key: Id of the client's key; None without keys.
        session: Of the conversation, hashed; None where it is in none.
        stream: Whether the client asked for a stream.
        text: What it is routed by: see `conversation.user_text`.
        messages: The conversation as it was sent; None where `text` says it all.
        policy: Name of the trade-off.
        router: Version of the router that decided; None where none did.
        why: Why the arm was chosen.
        chosen: Name of the arm that was decided for.
        propensity: Probability with which it was, given the request; None where no router decided.
        propensities: Arm to its probability, for every arm that could have been chosen.
        estimates: Arm to expected quality and USD (None when unknown), of every arm of the router.
        excluded: Arm to the reason why it could not be chosen.
        shadow: Version of a shadow router to the arm that it would have chosen.
        attempts: In the order they were begun.
        arm: Name of the arm that answered, or of the plan; None where none did.
        plan: How the plan went; None where none was run.
        strategy: What its prompt was made by, where it is not the arm's own (`gated` decides late).
        status: HTTP status of the answer.
        error: What the client was told, where it got no answer, or a broken one.
        response: Text of the answer.
        finish_reason: As the endpoint says.
        input_tokens: Of the prompt, of a plan of all calls; None when unknown.
        output_tokens: Of the answer, likewise; None when unknown.
        logprob: Mean log-probability of the answer's tokens, where the client asked for them.
        cost_usd: Of all attempts that are paid; None when unknown, never 0 for unknown.
        latency_s: From the request to the last byte of the answer.
        first_byte_s: From the request to the first byte.
        upstream_s: Of `latency_s`, what was spent waiting for endpoints.
        cache: Whether the answer came from the cache of answers.
    """

    id: str
    at: float
    api: str = "chat"
    asked: str = ""
    key: str | None = None
    session: str | None = None
    stream: bool = False
    text: str = ""
    messages: list[Any] | None = None
    policy: str | None = None
    router: str | None = None
    why: Why = "fixed"
    chosen: str | None = None
    propensity: float | None = None
    propensities: dict[str, float] = field(default_factory=dict)
    estimates: dict[str, tuple[float, float | None]] = field(default_factory=dict)
    excluded: dict[str, str] = field(default_factory=dict)
    shadow: dict[str, str] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    arm: str | None = None
    plan: Ran | None = None
    strategy: str | None = None
    status: int = 0
    error: str | None = None
    response: str | None = None
    finish_reason: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    logprob: float | None = None
    cost_usd: float | None = None
    latency_s: float | None = None
    first_byte_s: float | None = None
    upstream_s: float | None = None
    cache: CacheState = "off"


def new_id(kind: str) -> str:
    """A fresh id such as `req_0198...`: later ones sort after earlier ones; none can be guessed.

    Args:
        kind: What it is of: `req`, `resp`, ...
    """
    return f"{kind}_{time.time_ns() // 1_000_000:012x}{os.urandom(10).hex()}"
