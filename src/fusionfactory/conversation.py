"""What a conversation in OpenAI's form asks, as one text: what routers learn from and decide by."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["user_text"]


def user_text(messages: Iterable[object]) -> str:
    """The texts of the user's messages, a line each; content may be a text or a list of parts.

    Whatever is not in that form is passed over, so that no conversation is too odd to be routed.
    """
    texts: list[str] = []
    for message in messages:
        if not isinstance(message, dict) or message.get("role") != "user":
            continue
        content = message.get("content")
        parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
        texts += [
            str(part["text"])
            for part in parts
            if isinstance(part, dict) and part.get("type") == "text" and part.get("text")
        ]
    return "\n".join(texts)
