"""`POST /v1/responses`: OpenAI's newer API, without state, on top of chat completions."""

from __future__ import annotations

from fusionfactory.gateway.surface.responses.route import responses

__all__ = ["responses"]
