"""Credentials in logged texts, which are not carried over."""

from __future__ import annotations

import re

__all__ = ["MARK", "clean"]

MARK = "[redacted]"
"""What stands for a credential."""

# Lookaheads are bounded: without, a text of many beginnings would take quadratic time.
_KEYS = re.compile(
    r"\b(?:sk|pk|rk)[-_](?=[\w*.-]{0,64}\d)[\w*.-]{3,}[\w*]"  # OpenAI, Anthropic, LiteLLM, Langfuse
    r"|\bAKIA[0-9A-Z]{16}\b"
    r"|\bAIza[\w-]{35}"
    r"|\bgh[pousr]_[A-Za-z0-9]{20,}"
    r"|\bgithub_pat_\w{20,}"
    r"|\bhf_[A-Za-z0-9]{20,}"
    r"|\bxox[abprs]-[\w-]{10,}"
    r"|\beyJ[\w-]{8,1000}\.eyJ[\w-]{8,4000}\.[\w-]+"
)
_NAMED = re.compile(
    r"(?i)(\bbearer\s+|\b(?:x-)?api[-_ ]?key[\"']?\s*[:=]\s*[\"']?|"
    r"\bauthorization[\"']?\s*[:=]\s*[\"']?(?:basic\s+)?)"
    r"(?=[\w.~+/=*-]{0,64}\d)[\w.~+/=*-]{8,}"
)


def clean(text: str) -> str:
    """The text without what looks like a credential, and as every store can hold it.

    A key is replaced by `MARK`; NUL characters are left out and half a character becomes `?`.
    Some keys look like nothing: a reader that knows one takes it out itself.
    """
    text = _NAMED.sub(rf"\1{MARK}", _KEYS.sub(MARK, text)).replace("\x00", "")
    return text if text.isascii() else text.encode(errors="replace").decode()
