"""Which arms can answer a request at all, and why the others cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fusionfactory.gateway.fleet import GATED
from fusionfactory.gateway.refusal import Refusal
from fusionfactory.thoughts.prompt import TOKEN_BUDGET
from fusionfactory.thoughts.strategy import parse_strategy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fusionfactory.gateway.fleet import Fleet, Target
    from fusionfactory.gateway.routing.ask import Ask

__all__ = ["Capabilities"]

_SHOWN = 8
_NOT_ALLOWED = "the client's key does not allow its model"


class _Window(NamedTuple):
    """Tokens of a prompt with its answer, and those of the prompt that the strategy adds."""

    tokens: int
    added: int


class Capabilities:
    """What each arm of a fleet can take.

    An arm whose window or abilities the settings do not tell is taken to be able.

    Args:
        fleet: The arms. Models for embeddings answer no chat, so they are left out.
        notes_tokens: What the notes of a strategy with a bank may take.
    """

    def __init__(self, fleet: Fleet, notes_tokens: int = TOKEN_BUDGET) -> None:
        self._targets = {
            name: target for name, target in fleet.targets.items() if not target.model.embeds
        }
        windows = {name: _window(target, notes_tokens) for name, target in self._targets.items()}
        self._windows = {name: window for name, window in windows.items() if window is not None}
        self._least = min((w.tokens - w.added for w in self._windows.values()), default=None)

    @property
    def names(self) -> tuple[str, ...]:
        """The arms that may be routed to."""
        return tuple(self._targets)

    def excluded(self, ask: Ask) -> dict[str, str]:
        """Arm to the reason why it cannot answer the request.

        Raises:
            Refusal: None can: for the key's sake 403, where there is none 404, else 400.
        """
        if not self._targets:
            message = "no model of this gateway answers chats: name one of its embedding models"
            raise Refusal(404, message, code="model_not_found", param="model")
        size = ask.input_tokens + (ask.output_tokens or 0)
        roomy = self._least is None or size <= self._least
        if roomy and not ask.needs and ask.allowed is None:
            return {}
        found: dict[str, str] = {}
        for name, target in self._targets.items():
            reason = self._reason(name, target, ask, size)
            if reason is not None:
                found[name] = reason
        if len(found) == len(self._targets):
            raise self._refused(found)
        return found

    def _reason(self, name: str, target: Target, ask: Ask, size: int) -> str | None:
        if ask.allowed is not None and target.model.name not in ask.allowed:
            return _NOT_ALLOWED
        lack = target.lacks(ask.needs)
        if lack is not None:
            return f"it does not support {lack}"
        window = self._windows.get(name)
        if window is not None and size + window.added > window.tokens:
            answer = "" if ask.output_tokens is None else " with the answer"
            return (
                f"its window of {window.tokens} tokens is too short for about "
                f"{size + window.added}{answer}"
            )
        return None

    def _refused(self, found: Mapping[str, str]) -> Refusal:
        told = {name: reason for name, reason in found.items() if reason != _NOT_ALLOWED}
        if not told:
            message = "the key allows no model that `auto` may choose: ask for another key"
            return Refusal(403, message, code="model_not_allowed", param="model")
        shown = "; ".join(f"{name}: {reason}" for name, reason in list(told.items())[:_SHOWN])
        more = f"; and {len(told) - _SHOWN} others" if len(told) > _SHOWN else ""
        long = all("window" in reason for reason in told.values())
        return Refusal(
            400,
            f"no model can answer this request. {shown}{more}",
            code="context_length_exceeded" if long else "unsupported_request",
            param="messages" if long else None,
        )


def _window(target: Target, notes_tokens: int) -> _Window | None:
    model = target.model
    tokens = model.window_tokens or (model.context_tokens if model.gguf is not None else None)
    if tokens is None:
        return None
    strategy = target.arm.strategy
    noted = strategy == GATED or parse_strategy(strategy).needs_bank
    return _Window(tokens, notes_tokens if noted else 0)
