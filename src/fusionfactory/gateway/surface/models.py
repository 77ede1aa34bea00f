"""`GET /v1/models` and `/v1/models/{id}`: what a client may name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fusionfactory.gateway.refusal import Refusal
from fusionfactory.gateway.routing.policies import AUTO

if TYPE_CHECKING:
    from fusionfactory.gateway.access.client import Client
    from fusionfactory.gateway.gateway import Gateway
    from fusionfactory.gateway.surface.exchange import Exchange

__all__ = ["list_models", "retrieve_model"]

_ROUTED = (AUTO, f"{AUTO}:cheap", f"{AUTO}:balanced", f"{AUTO}:best")


async def list_models(exchange: Exchange) -> None:
    """Lists `auto` with its trade-offs, and the arms and plans that the client's key may use."""
    client = exchange.gateway.access.authorise(exchange.headers)
    data = [_model(name, owner) for name, owner in _owners(exchange.gateway, client).items()]
    await exchange.reply({"object": "list", "data": data})


async def retrieve_model(exchange: Exchange) -> None:
    """Describes one model.

    Raises:
        Refusal: There is none of that name, or the client's key may not use it (404).
    """
    client = exchange.gateway.access.authorise(exchange.headers)
    name = str(exchange.path_params["id"])
    owners = _owners(exchange.gateway, client)
    if name.startswith(f"{AUTO}:") and name not in owners:
        exchange.gateway.policies.read(name.removeprefix(f"{AUTO}:"), "model")
        owners[name] = owners[AUTO]
    if name not in owners:
        msg = f"there is no model {name[:100]!r} for this key; GET /v1/models lists those there are"
        raise Refusal(404, msg, code="model_not_found", param="model")
    await exchange.reply(_model(name, owners[name]))


def _owners(gateway: Gateway, client: Client) -> dict[str, str]:
    """Name of what may be named, to whose it is."""
    owners = dict.fromkeys(_ROUTED, "fusionfactory")
    for name, target in {**gateway.fleet.targets, **gateway.fleet.embedders}.items():
        if client.may_use(name):
            owners[name] = target.model.endpoint or "local"
    for plan in gateway.plans:
        if plan.allows(client):
            owners[plan.name] = "fusionfactory"
    return owners


def _model(name: str, owner: str) -> dict[str, Any]:
    # 0, for nobody knows when a model was made; clients want a number.
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}
