"""From the names and numbers that clients send to policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.errors import ConfigError, PolicyError
from fusionfactory.gateway.refusal import Refusal
from fusionfactory.policy import SCENARIOS, Policy

if TYPE_CHECKING:
    from fusionfactory.gateway.routing.ask import Ask
    from fusionfactory.serve_settings import RoutingSettings

__all__ = ["AUTO", "Policies"]

AUTO = "auto"
"""The model that clients name to be routed."""

_NAMES = ("cheap", "balanced", "best")
_REMEMBERED = 1024
_LONGEST = 100


class Policies:
    """The trade-offs that a request may name.

    Args:
        settings: What `auto`, `auto:cheap`, `auto:balanced` and `auto:best` stand for.

    Attributes:
        configured: The policies of the settings, which no client has to answer for.

    Raises:
        ConfigError: One of them is no policy.
    """

    def __init__(self, settings: RoutingSettings) -> None:
        self._auto = _configured("auto", settings.auto)
        self._named = {name: _configured(name, getattr(settings, name)) for name in _NAMES}
        self.configured = frozenset((self._auto, *self._named.values()))
        self._read: dict[str, Policy] = {}

    def of(self, ask: Ask) -> Policy | None:
        """The policy that a request is decided by; None where it names a model or an arm.

        Raises:
            Refusal: What follows `auto:` is no policy (400).
        """
        name, colon, told = ask.model.partition(":")
        if name != AUTO:
            return None
        if ask.policy is not None:
            return ask.policy
        return self.read(told, "model") if colon else self._auto

    def read(self, text: str, param: str | None = None) -> Policy:
        """Reads `cheap`, `balanced`, `best`, a weight of cost from 0 to 1, or a library's policy.

        Args:
            text: Such as `best`, `0.3`, `price:0.002`, `budget:1.5,max:0.01`.
            param: The field of the request that holds it, for the refusal.

        Raises:
            Refusal: The text is none of these (400).
        """
        found = self._named.get(text) or self._read.get(text)
        if found is not None:
            return found
        if text == AUTO:
            return self._auto
        if len(text) > _LONGEST:
            msg = f"it is {len(text)} characters long"
            raise _refused(msg, param)
        found = _weighed(text, param)
        if found is None:
            try:
                found = Policy.parse(text)
            except PolicyError as error:
                raise _refused(str(error), param) from None
        if len(self._read) >= _REMEMBERED:
            self._read.clear()
        self._read[text] = found
        return found


def _weighed(text: str, param: str | None) -> Policy | None:
    """The policy of a weight of cost; None where the text is no number."""
    try:
        weight = float(text)
    except ValueError:
        return None
    if not 0 <= weight <= 1:
        msg = f"{text!r} is no weight of cost: it must lie in 0 to 1"
        raise _refused(msg, param)
    return Policy(f"auto:{weight:g}", alpha=1 - weight, beta=weight, normalised=True)


def _refused(wrong: str, param: str | None) -> Refusal:
    message = (
        f"the policy cannot be used: {wrong}. Expected {', '.join(_NAMES)}, a weight of cost from "
        f"0 to 1, {', '.join(SCENARIOS)}, price:USD_PER_POINT or budget:USD_PER_1000_QUERIES, the "
        "latter with an optional ,max:USD_PER_QUERY"
    )
    return Refusal(400, message, code="invalid_policy", param=param)


def _configured(name: str, text: str) -> Policy:
    try:
        return Policy.parse(text)
    except PolicyError as error:
        raise ConfigError(error.message, field=f"serve.routing.{name}") from None
