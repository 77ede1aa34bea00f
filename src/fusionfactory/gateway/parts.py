"""What the gateway asks of its parts, so that each can be replaced by another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from fusionfactory.gateway.fleet import Target
    from fusionfactory.gateway.log.record import Attempt, Record
    from fusionfactory.gateway.routing.ask import Ask
    from fusionfactory.policy import Policy

__all__ = [
    "Answer",
    "Cache",
    "Journal",
    "Metrics",
    "Prompts",
    "Traffic",
    "Upstreams",
    "Versions",
]


class Journal(Protocol):
    """Keeps records, so that none is lost that was acknowledged."""

    def check(self) -> None:
        """Lets a new request in.

        Raises:
            Refusal: 503 where it could not be recorded and has to be.
        """
        ...

    async def write(self, record: Record, /) -> bool:
        """Keeps a record; False where it had to be shed."""
        ...

    async def event(self, kind: str, facts: Mapping[str, Any], /) -> bool:
        """Keeps what is no request: feedback, ..."""
        ...


class Prompts(Protocol):
    """Puts an arm's strategy around what is asked."""

    async def prepare(
        self, body: dict[str, Any], target: Target, ask: Ask, /
    ) -> tuple[dict[str, Any], str]:
        """The request as the arm gets it, and the strategy that was used."""
        ...


class Answer(Protocol):
    """What an endpoint answers: whole, or as a stream."""

    @property
    def target(self) -> Target:
        """Who answers."""
        ...

    @property
    def attempt(self) -> Attempt:
        """The call that is answered, among those of the record."""
        ...

    @property
    def body(self) -> dict[str, Any] | None:
        """The whole answer; None where it is a stream."""
        ...

    @property
    def events(self) -> AsyncIterator[bytes]:
        """The stream, in pieces as they come. Ends with a `Refusal` where it breaks."""
        ...

    async def close(self) -> None:
        """Gives the connection back, or cuts it where the answer has not ended."""
        ...


class Upstreams(Protocol):
    """Calls endpoints."""

    async def open(
        self,
        body: dict[str, Any],
        arms: tuple[str, ...],
        prompts: Prompts | None,
        record: Record,
        /,
        *,
        ask: Ask,
        path: str = "chat/completions",
        deadline: float,
        pause_s: float | None = None,
    ) -> Answer:
        """The answer of the first of the arms that gives one; fills `record.attempts`.

        Raises:
            Refusal: None did.
        """
        ...

    def states(self) -> dict[str, Any]:
        """How every endpoint's models fare."""
        ...


class Cache(Protocol):
    """Answers that may be given again."""

    def key(
        self, client: str | None, path: str, body: Mapping[str, Any], policy: Policy | None, /
    ) -> str | None:
        """Of a request whose answer may be given again; None of others."""
        ...

    def get(self, key: str, /) -> dict[str, Any] | None:
        """The answer, where there is one that is not too old."""
        ...

    def put(self, key: str, answer: dict[str, Any], /) -> None:
        """Keeps an answer."""
        ...


class Metrics(Protocol):
    """Counts requests."""

    def turn_away(self, status: int, /) -> None:
        """Counts one that was not let in."""
        ...

    def observe(self, record: Record, /) -> None:
        """Counts one that has ended."""
        ...


class Traffic(Protocol):
    """Reads what was recorded."""

    def decision(self, id_: str, /) -> dict[str, Any] | None:
        """Everything that is known of a request; None where nothing is, or not yet."""
        ...


class Versions(Protocol):
    """The versions of the router."""

    @property
    def current(self) -> str | None:
        """The one that decides; None where none does."""
        ...
