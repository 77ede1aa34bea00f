"""The router's versions on the page: which one decides, promotion and going back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import orjson

from fusionfactory.gateway.refusal import Refusal

if TYPE_CHECKING:
    from starlette.requests import Request

    from fusionfactory.gateway.dashboard.recent import Recent
    from fusionfactory.gateway.gateway import Gateway
    from fusionfactory.gateway.learning.versions import Versions

__all__ = ["VersionsApi"]

_BAD, _CONFLICT, _LARGE = 400, 409, 413
_MOST_BYTES = 4096
_TOLD_APART = frozenset({"against", "estimate"})


class VersionsApi:
    """The endpoints, in one process.

    Args:
        recent: Runs what reads and writes files.
    """

    def __init__(self, recent: Recent) -> None:
        self._recent = recent

    async def versions(self, _: Request, gateway: Gateway) -> dict[str, Any]:
        """All versions, the newest first."""
        versions = _versions(gateway)
        return await self._recent.get("versions", lambda: _state(versions))

    async def promote(self, request: Request, gateway: Gateway) -> dict[str, Any]:
        """Lets a version decide.

        Raises:
            Refusal: 409 with the code `not_shown_better`: the log does not show that it is better
                than the deciding one, and the body does not say `{"force": true}`.
            ConfigError: There is no such version.
            RouterFileError: Its files are damaged.
        """
        force = (await _body(request)).get("force") is True
        name = request.path_params["id"]
        versions = _versions(gateway)

        def make() -> dict[str, Any]:
            if not force:
                _check_evidence(versions, name)
            versions.promote(name)
            return _state(versions)

        made = await self._recent.fresh(make)
        self._recent.forget()
        return made

    async def rollback(self, _: Request, gateway: Gateway) -> dict[str, Any]:
        """Lets the version decide that did before.

        Raises:
            ConfigError: There is none.
        """
        versions = _versions(gateway)

        def make() -> dict[str, Any]:
            versions.rollback()
            return _state(versions)

        made = await self._recent.fresh(make)
        self._recent.forget()
        return made


def _versions(gateway: Gateway) -> Versions:
    """The API needs the current one, and the page all of them."""
    return cast("Versions", gateway.versions)


def _state(versions: Versions) -> dict[str, Any]:
    current, previous, shadows = versions.current, versions.previous, versions.shadows
    states: dict[str | None, str] = dict.fromkeys(shadows, "shadow")
    states |= {previous: "previous", current: "current"}
    return {
        "current": current,
        "previous": previous,
        "versions": [
            {
                "id": item.id,
                "at": item.at,
                "router": item.router,
                "arms": item.arms,
                "state": states.get(item.id, "kept"),
                "against": item.facts.get("against"),
                "estimate": item.facts.get("estimate"),
                "facts": {k: v for k, v in item.facts.items() if k not in _TOLD_APART},
            }
            for item in reversed(versions.list())
        ],
    }


def _check_evidence(versions: Versions, name: str) -> None:
    """What `learn` and `promote` estimated counts: a new estimate would hold up clients here."""
    version, current = versions.find(name), versions.current
    if current in {None, version.id}:
        return
    estimate = version.facts.get("estimate")
    if not estimate or version.facts.get("against") != current:
        why = (
            f"nobody has estimated {version.id} against {current}, which decides; `fusionfactory "
            f"promote {version.id}` does, and promotes it if it is better"
        )
    elif estimate["objections"]:
        why = "; ".join(estimate["objections"])
    else:
        return
    msg = f"the log does not show that {version.id} is better than {current}: {why}"
    raise Refusal(_CONFLICT, msg, code="not_shown_better")


async def _body(request: Request) -> dict[str, Any]:
    content = b""
    async for piece in request.stream():
        content += piece
        if len(content) > _MOST_BYTES:
            msg = f"the body is longer than {_MOST_BYTES} bytes"
            raise Refusal(_LARGE, msg, code="body_too_large")
    try:
        body = orjson.loads(content or b"{}")
    except orjson.JSONDecodeError as error:
        msg = f"the body is no JSON: {error}"
        raise Refusal(_BAD, msg, code="invalid_json") from None
    if not isinstance(body, dict):
        msg = "the body is no JSON object"
        raise Refusal(_BAD, msg, code="invalid_json")
    return body
