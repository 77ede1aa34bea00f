"""Texts of others inside a prompt: between tags that no text can close, and not too long."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["block", "cut", "suffix"]

_SUFFIX_LENGTH = 8


def suffix(texts: Sequence[str]) -> str:
    """Eight hexadecimal digits that occur in none of the texts and follow from them.

    A text cannot hold the digest of itself, so whoever wrote it cannot close its tag; and the same
    texts give the same prompt, so an endpoint's prompt cache works.
    """
    digest = hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()
    while any(digest[:_SUFFIX_LENGTH] in text for text in texts):
        digest = hashlib.sha256(digest.encode()).hexdigest()
    return digest[:_SUFFIX_LENGTH]


def block(tag: str, text: str) -> str:
    """A text between an opening and a closing tag, on lines of their own."""
    return f"<{tag}>\n{text}\n</{tag}>"


def cut(text: str, limit: int) -> str:
    """A text of at most `limit` characters and a marker: the middle of a longer one is left out."""
    if len(text) <= limit:
        return text
    head = limit // 2
    tail = limit - head
    marker = f"\n[... {len(text) - limit} characters left out here ...]\n"
    return f"{text[:head]}{marker}{text[len(text) - tail :]}"
