"""What answers: OpenAI-compatible endpoints, local models, a log played back."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fusionfactory.clients.base import ChatReply, ChatRequest, Client, Message

if TYPE_CHECKING:
    from fusionfactory.clients.endpoint import EndpointClient
    from fusionfactory.clients.limits import Limiter
    from fusionfactory.clients.replay import ReplayClient

__all__ = [
    "ChatReply",
    "ChatRequest",
    "Client",
    "EndpointClient",
    "Limiter",
    "Message",
    "ReplayClient",
]

_LATE = {"EndpointClient": "endpoint", "Limiter": "limits", "ReplayClient": "replay"}


def __getattr__(name: str) -> Any:  # noqa: ANN401  a class
    if name not in _LATE:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"fusionfactory.clients.{_LATE[name]}"), name)
