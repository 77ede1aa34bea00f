"""What the page shows of the traffic: figures, errors, decisions, alarms, endpoints."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, cast

from fusionfactory.gateway.dashboard.decisions import find_decision
from fusionfactory.gateway.learning.alarms import check
from fusionfactory.gateway.refusal import Refusal

if TYPE_CHECKING:
    from starlette.requests import Request

    from fusionfactory.gateway.dashboard.recent import Recent
    from fusionfactory.gateway.gateway import Gateway
    from fusionfactory.gateway.log.traffic import Traffic

__all__ = ["TrafficApi"]

_BAD, _NOT_FOUND = 400, 404
_WINDOWS_S = (900, 3_600, 86_400, 604_800)
_SPANS = 60
_ERRORS = 20
_MOST = 200


class TrafficApi:
    """The endpoints, in one process.

    Args:
        recent: Runs queries, each no more often than once a second.
    """

    def __init__(self, recent: Recent) -> None:
        self._recent = recent

    async def session(self, _: Request, gateway: Gateway) -> dict[str, Any]:
        """What this gateway is; whether the key is good is said by there being an answer."""
        return {
            "needs_keys": gateway.settings.needs_keys,
            "arms": _arms(gateway),
            "texts": gateway.settings.log.texts,
        }

    async def live(self, request: Request, gateway: Gateway) -> dict[str, Any]:
        """Sums and a series of a time until now."""
        window_s = _window(request)

        def make() -> dict[str, Any]:
            now = time.time()
            series = _traffic(gateway).series(now - window_s, _SPANS, now)
            return {
                "at": now,
                "window_s": window_s,
                "step_s": series[0]["step_s"],
                "summary": _traffic(gateway).summary(now - window_s),
                "series": series,
            }

        return await self._recent.get(("live", window_s), make)

    async def alarms(self, _: Request, gateway: Gateway) -> dict[str, Any]:
        """What has gone wrong with the routing, at present."""
        settings = gateway.settings.alarms

        def make() -> dict[str, Any]:
            found = check(_traffic(gateway), settings)
            return {"alarms": [alarm.to_json() for alarm in found], "window": settings.window}

        return await self._recent.get("alarms", make)

    async def errors(self, request: Request, gateway: Gateway) -> dict[str, Any]:
        """The latest requests that failed."""
        window_s = _window(request)

        def make() -> dict[str, Any]:
            since = time.time() - window_s
            return {"errors": _traffic(gateway).recent(_ERRORS, failed_since=since)}

        return await self._recent.get(("errors", window_s), make)

    async def decisions(self, request: Request, gateway: Gateway) -> dict[str, Any]:
        """A page of decisions, newest first."""
        limit = _whole(request, "limit", 50, _MOST)
        before = _time(request, "before")
        arm = request.query_params.get("arm")

        def make() -> dict[str, Any]:
            found = _traffic(gateway).recent(limit, before=before, arm=arm)
            return {
                "decisions": found,
                "arms": _arms(gateway),
                "next": found[-1]["at"] if len(found) == limit else None,
            }

        return await self._recent.get(("decisions", limit, before, arm), make)

    async def decision(self, request: Request, gateway: Gateway) -> dict[str, Any]:
        """Everything that is kept of a request.

        Raises:
            Refusal: 404: nothing is.
        """
        id_ = request.path_params["id"]
        found = await find_decision(id_, gateway, self._recent)
        if found is None:
            msg = f"nothing is kept of a request {id_[:80]!r}: it never was, or it is too old"
            raise Refusal(_NOT_FOUND, msg, code="decision_not_found", param="id")
        return found

    async def upstreams(self, _: Request, gateway: Gateway) -> dict[str, Any]:
        """How endpoints' models fare, as this process sees it."""
        states = gateway.upstreams.states()
        return {"upstreams": [{"name": name, **state} for name, state in states.items()]}


def _traffic(gateway: Gateway) -> Traffic:
    """The API needs one decision of it, and the page all that it can tell."""
    return cast("Traffic", gateway.traffic)


def _arms(gateway: Gateway) -> list[str]:
    """Names of what may have answered: arms and plans."""
    return [*gateway.fleet.targets, *(plan.name for plan in gateway.plans)]


def _time(request: Request, name: str) -> float | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        msg = f"`{name}` is {text[:40]!r}; expected Unix seconds"
        raise Refusal(_BAD, msg, code="invalid_value", param=name)
    return value


def _window(request: Request) -> int:
    return _whole(request, "window", _WINDOWS_S[0], _WINDOWS_S[-1], among=_WINDOWS_S)


def _whole(
    request: Request, name: str, default: int, most: int, *, among: tuple[int, ...] | None = None
) -> int:
    text = request.query_params.get(name, str(default))
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if not 1 <= value <= most or (among and value not in among):
        wanted = f"one of {', '.join(map(str, among))}" if among else f"a number from 1 to {most}"
        msg = f"`{name}` is {text[:40]!r}; expected {wanted}"
        raise Refusal(_BAD, msg, code="invalid_value", param=name)
    return value
