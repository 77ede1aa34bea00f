"""What answers: OpenAI-compatible endpoints, local models, a log played back."""

from __future__ import annotations

from fusionfactory.clients.base import ChatReply, ChatRequest, Client, Message

__all__ = ["ChatReply", "ChatRequest", "Client", "Message"]
