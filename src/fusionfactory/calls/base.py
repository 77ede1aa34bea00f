"""The nouns of paid calls: a call, its answer, and what a run of them comes to."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fusionfactory.clients import ChatReply, ChatRequest, Client
    from fusionfactory.errors import CallError
    from fusionfactory.pricing import CallPrice

__all__ = ["A", "Answer", "Asked", "C", "Call", "Progress", "Runner", "Summary"]


class Asked(Protocol):
    """A call as whoever makes it has to know it."""

    @property
    def endpoint(self) -> str:
        """Name of the client that makes it."""
        ...

    @property
    def request(self) -> ChatRequest:
        """What is asked."""
        ...


class Call(Asked, Protocol):
    """One call to make."""

    @property
    def price(self) -> CallPrice:
        """What it costs."""
        ...


A = TypeVar("A", bound=Asked)
C = TypeVar("C", bound=Call)


@dataclass(frozen=True, slots=True)
class Answer(Generic[C]):
    """A call with what came of it: a reply, or an error.

    Attributes:
        cost_usd: Of a failed call too, where the endpoint said what it used; None when unknown.
        latency_s: Seconds of the attempt that succeeded; None for a failure.
    """

    call: C
    reply: ChatReply | None
    error: CallError | None
    cost_usd: float | None

    @property
    def latency_s(self) -> float | None:
        """Seconds of the attempt that succeeded."""
        return None if self.reply is None else self.reply.latency_s


@dataclass
class Progress:
    """How far a run has come; given to the progress callback after every write.

    Attributes:
        total: Calls of this run.
        done: Calls whose answers are written, failures included.
        failed: Those of them that failed.
        spent_usd: Cost of the answers of this run that are written, as far as costs are known.
        unpriced: Answers without a known cost.
        started_s: `time.perf_counter` at the start.
    """

    total: int
    done: int = 0
    failed: int = 0
    spent_usd: float = 0.0
    unpriced: int = 0
    started_s: float = field(default_factory=time.perf_counter)

    @property
    def per_second(self) -> float:
        """Answers written per second so far."""
        elapsed_s = time.perf_counter() - self.started_s
        return self.done / elapsed_s if elapsed_s > 0 else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds left at this rate; None before the first answer."""
        return (self.total - self.done) / self.per_second if self.done else None


@dataclass(frozen=True)
class Summary:
    """What a run did.

    Attributes:
        done: Calls answered and written, failures included.
        failed: Those that failed.
        left: Calls not made: over budget, interrupted, or on an endpoint that was given up.
        spent_usd: Cost of this run, as far as costs are known.
        unpriced: Answers without a known cost.
        errors: What the failed calls said to how many said it, the most frequent first.
        stopped: Why calls are left, a sentence each.
        seconds: From start to end.
    """

    done: int
    failed: int
    left: int
    spent_usd: float
    unpriced: int
    errors: Mapping[str, int]
    stopped: tuple[str, ...]
    seconds: float


class Runner(Protocol):
    """Makes calls, in this process or on many machines, and hands the answers to a sink."""

    async def __call__(
        self,
        calls: Sequence[C],
        clients: Mapping[str, Client],
        sink: Callable[[list[Answer[C]]], None],
        *,
        budget_usd: float | None = None,
        spent_usd: float = 0.0,
        progress: Callable[[Progress], None] | None = None,
    ) -> Summary:
        """Makes the calls; `run_calls` says what each argument is, and what is raised."""
        ...
