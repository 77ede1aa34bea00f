"""Where the dashboard and the decisions are found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from fusionfactory.gateway.dashboard.answering import endpoint
from fusionfactory.gateway.dashboard.decisions import own_decision
from fusionfactory.gateway.dashboard.gateways_api import GatewaysApi
from fusionfactory.gateway.dashboard.guard import check_admin, check_change
from fusionfactory.gateway.dashboard.recent import Recent
from fusionfactory.gateway.dashboard.static import asset, page
from fusionfactory.gateway.dashboard.traffic_api import TrafficApi
from fusionfactory.gateway.dashboard.versions_api import VersionsApi

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from fusionfactory.gateway.gateway import Gateway

__all__ = ["routes"]

_API = "/dashboard/api"


def routes(*, dashboard: bool = True) -> list[BaseRoute]:
    """`GET /v1/decisions/{id}`, and the page at `/` with its files and what it asks.

    The application that gets them holds the gateway as `app.state.gateway`.

    Args:
        dashboard: False for the decisions alone.
    """
    recent = Recent()

    async def decision(request: Request, gateway: Gateway) -> dict[str, Any]:
        return await own_decision(request, gateway, recent)

    found: list[BaseRoute] = [Route("/v1/decisions/{id}", endpoint(decision), methods=["GET"])]
    if not dashboard:
        return found
    traffic, versions, gateways = TrafficApi(recent), VersionsApi(recent), GatewaysApi(recent)
    reads = {
        "session": traffic.session,
        "live": traffic.live,
        "alarms": traffic.alarms,
        "errors": traffic.errors,
        "decisions": traffic.decisions,
        "decisions/{id}": traffic.decision,
        "upstreams": traffic.upstreams,
        "versions": versions.versions,
        "gateways": gateways.gateways,
    }
    changes = {
        "versions/{id}/promote": versions.promote,
        "rollback": versions.rollback,
    }
    found += [Route("/", page, methods=["GET"])]
    found += [
        Route(f"{_API}/{path}", endpoint(find, check_admin), methods=["GET"])
        for path, find in reads.items()
    ]
    found += [
        Route(f"{_API}/{path}", endpoint(make, check_change), methods=["POST"])
        for path, make in changes.items()
    ]
    found += [Route("/dashboard/{name}", asset, methods=["GET"])]
    return found
