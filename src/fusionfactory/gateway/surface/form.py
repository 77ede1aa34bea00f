"""How an answer looks to the client: what each API makes of an endpoint's answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fusionfactory.gateway.routing.ask import Ask, Routed

__all__ = ["Form", "Rendering", "Request"]


class Rendering(Protocol):
    """Makes a client's stream from an endpoint's chunks; every method returns bytes to send."""

    def begin(self) -> bytes:
        """What comes before the first chunk."""
        ...

    def chunk(self, chunk: dict[str, Any]) -> bytes:
        """What becomes of a chunk, which may be changed."""
        ...

    def end(self) -> bytes:
        """What comes after the last chunk of a stream that ended well."""
        ...

    def fail(self, error: Mapping[str, Any]) -> bytes:
        """What comes last where it broke; `error` has `message`, `type`, `param` and `code`."""
        ...


class Form(Protocol):
    """One API's form of answers."""

    def whole(self, document: dict[str, Any], model: str) -> dict[str, Any]:
        """The answer, from that of the endpoint, which may be changed.

        Args:
            document: The endpoint's answer.
            model: What answers, by the gateway's name.
        """
        ...

    def stream(self, model: str) -> Rendering:
        """Likewise, for a stream."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """A request that was read.

    Attributes:
        api: `chat`, `completions`, `responses` or `embeddings`.
        path: Of the endpoint, after its base URL.
        body: As endpoints get it, but for what depends on the arm.
        ask: What routing needs to know.
        form: Of the answer.
        messages: The conversation; None where `ask.text` says it all.
        routed: Who answers, where nobody has to decide.
    """

    api: str
    path: str
    body: dict[str, Any]
    ask: Ask
    form: Form
    messages: list[Any] | None = None
    routed: Routed | None = None

    @property
    def is_stream(self) -> bool:
        """Whether the answer is to be a stream."""
        return bool(self.body.get("stream"))
