"""What every client is: a chat request in, a reply or a `CallError` out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

__all__ = ["ChatReply", "ChatRequest", "Client", "Message"]

Message: TypeAlias = Mapping[str, Any]
"""One chat message in OpenAI's form: `role`, `content`, perhaps more."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What is asked of a model.

    Attributes:
        model: The model's name at the endpoint.
        messages: The conversation.
        params: Further fields of the request, sent as they are: `temperature`, `max_tokens`, ...
        occasion: What tells this call from another one with the same text. Endpoints get an
            `Idempotency-Key` made of it and the text, which is the same whenever the call is made
            again, as after a crash; None sends none.
    """

    model: str
    messages: tuple[Message, ...]
    params: Mapping[str, Any] = field(default_factory=dict)
    occasion: str | None = None


@dataclass(frozen=True, slots=True)
class ChatReply:
    """What came back.

    Attributes:
        text: The answer; never empty.
        finish_reason: `stop`, `length`, ... as the endpoint says.
        input_tokens: Tokens of the prompt; None where the endpoint does not say.
        output_tokens: Tokens of the answer, reasoning included; None where it does not say.
        latency_s: Seconds of the attempt that succeeded, from its start to the last byte.
        usage: The endpoint's usage object as it is, for prices that tell cached tokens apart.
        logprob: Mean natural log-probability of the answer's tokens, where they were asked for.
    """

    text: str
    finish_reason: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    latency_s: float | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)
    logprob: float | None = None


class Client(Protocol):
    """Calls models. Safe for any number of concurrent calls of one event loop."""

    @property
    def concurrency(self) -> int:
        """How many calls at a time make sense."""
        ...

    async def complete(self, request: ChatRequest) -> ChatReply:
        """Makes one call, with whatever retries the client is set to.

        Raises:
            CallError: It failed for good.
        """
        ...

    def drop_waiting(self) -> None:
        """Cancels the tasks whose calls are not on their way: nothing is paid for those yet.

        They wait for their turn, or to try again. Calls on their way go on.
        """
        ...

    async def close(self) -> None:
        """Releases connections or models."""
        ...
