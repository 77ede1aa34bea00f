"""`POST /v1/completions`: plain text in, plain text out, as editors ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fusionfactory.gateway.surface.answering import answer
from fusionfactory.gateway.surface.chat import ChatForm, wants_usage
from fusionfactory.gateway.surface.form import Request
from fusionfactory.gateway.surface.reading import read_own_fields, read_prompt

if TYPE_CHECKING:
    from fusionfactory.gateway.access.client import Client
    from fusionfactory.gateway.surface.exchange import Exchange

__all__ = ["completions"]


async def completions(exchange: Exchange) -> None:
    """Answers a prompt by the endpoint's own `/completions`: a chat would not go on with a text."""
    await answer(exchange, _read)


def _read(exchange: Exchange, body: dict[str, Any], size: int, client: Client) -> Request:
    asked = read_own_fields(exchange, body, client)
    ask = read_prompt(body, size, asked, client)
    form = ChatForm(exchange.id, wants_usage(body), is_chat=False)
    return Request("completions", "completions", body, ask, form)
