"""A request as each arm gets it: its strategy's prompt, its model's name and its own parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from fusionfactory.gateway.upstream.attempt import Call

if TYPE_CHECKING:
    from fusionfactory.gateway.fleet import Target
    from fusionfactory.gateway.parts import Prompts
    from fusionfactory.gateway.routing.ask import Ask
    from fusionfactory.serve_settings import UpstreamSettings

__all__ = ["Wording", "fields"]

_LENGTHS = frozenset({"max_tokens", "max_completion_tokens"})
_CHATS = frozenset({"chat/completions", "completions"})


class Wording:
    """Words a request, arm by arm, once each.

    Args:
        body: As the client sent it.
        path: `chat/completions`, ...
        prompts: Applies an arm's strategy; None where there is none to apply.
        ask: The request as the router saw it.
        settings: How long a call may take.
        deadline: Loop time at which all is over.
    """

    def __init__(
        self,
        body: dict[str, Any],
        path: str,
        prompts: Prompts | None,
        ask: Ask,
        settings: UpstreamSettings,
        deadline: float,
    ) -> None:
        self.path, self.deadline = path, deadline
        self.stream = path in _CHATS and body.get("stream") is True
        self.body, self._prompts, self._ask = body, prompts, ask
        self._settings = settings
        self._calls: dict[str, tuple[Call, str]] = {}

    async def of(self, target: Target) -> tuple[Call, str]:
        """The call of an arm, and the strategy that its prompt was made by.

        Raises:
            Refusal: The strategy cannot be applied.
        """
        known = self._calls.get(target.name)
        if known is not None:
            return known
        body, strategy = self.body, target.arm.strategy
        if self._prompts is not None:
            body, strategy = await self._prompts.prepare(body, target, self._ask)
        content = orjson.dumps(fields(body, target, strategy, self.path))
        settings = self._settings
        call = Call(
            self.path,
            content,
            self.stream,
            settings.first_byte_s,
            settings.idle_s,
            self.deadline,
        )
        self._calls[target.name] = call, strategy
        return call, strategy


def fields(body: dict[str, Any], target: Target, strategy: str, path: str) -> dict[str, Any]:
    """The request with the model's name and, where the client said nothing, its parameters.

    Args:
        body: The request; is not changed.
        target: Whom it goes to.
        strategy: What its prompt was made by.
        path: `chat/completions`, ...
    """
    if path not in _CHATS:
        return {**body, "model": target.asks_for}
    own = {**target.model.params, **target.model.strategy_params.get(strategy, {})}
    if not _LENGTHS.isdisjoint(body):
        own = {name: own[name] for name in own.keys() - _LENGTHS}
    worded = {**own, **body, "model": target.asks_for}
    if body.get("stream") is True:
        worded["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
    return worded
