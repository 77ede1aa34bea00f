"""What the workers of a run and its desk tell each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from fusionfactory.clients import ChatReply
    from fusionfactory.errors import CallError

__all__ = ["Delivery", "End", "Event", "News", "Opened", "Paid", "Return", "Want"]

End: TypeAlias = tuple[str, str | None]
"""An endpoint of which no call may start any more; with a model, none of that."""


@dataclass(frozen=True, slots=True)
class Want:
    """A worker asks for leave for one attempt.

    Attributes:
        ticket: The worker's number of it.
        endpoint: Whose attempt.
        tokens: What it will use, as far as one can tell.
    """

    ticket: int
    endpoint: str
    tokens: float


@dataclass(frozen=True, slots=True)
class Return:
    """The attempt is over, or is no longer wanted.

    Attributes:
        ticket: Of its `Want`.
        succeeded: The endpoint kept pace.
        overloaded: The endpoint said 429 or 503.
        wait_s: After how many seconds it asks to be called again.
        tokens: What the attempt really used; None where it is not known.
    """

    ticket: int
    succeeded: bool = False
    overloaded: bool = False
    wait_s: float | None = None
    tokens: float | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """What came of a call.

    Attributes:
        number: The call's place in the run.
        model: Its model at the endpoint.
        reply: What came.
        error: What it failed with, if no reply came.
    """

    number: int
    model: str
    reply: ChatReply | None
    error: CallError | None


Event: TypeAlias = Want | Return | Delivery


@dataclass(frozen=True, slots=True)
class Opened:
    """What a worker is to do of a batch.

    Attributes:
        numbers: The calls of which no answer is there.
        ends: What has ended so far.
    """

    numbers: tuple[int, ...]
    ends: tuple[End, ...]


@dataclass(frozen=True, slots=True)
class News:
    """What a worker hears from the desk.

    Attributes:
        grants: Tickets of attempts that may begin.
        ends: What has ended.
        drop: Drop every call, under way or not.
        forgotten: The worker was taken for dead: what it waits for has to be asked for again.
    """

    grants: tuple[int, ...] = ()
    ends: tuple[End, ...] = ()
    drop: bool = False
    forgotten: bool = False


@dataclass(frozen=True, slots=True)
class Paid:
    """A delivery with its cost.

    Attributes:
        delivery: What came.
        cost_usd: What it cost; None where that is not known.
    """

    delivery: Delivery
    cost_usd: float | None
