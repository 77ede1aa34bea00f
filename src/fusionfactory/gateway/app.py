"""The gateway as an ASGI application: which path is answered by what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from fusionfactory.gateway.dashboard.routes import routes as dashboard_routes
from fusionfactory.gateway.learning.feedback import Feedback
from fusionfactory.gateway.log.record import new_id
from fusionfactory.gateway.refusal import Refusal
from fusionfactory.gateway.surface.chat import chat
from fusionfactory.gateway.surface.completions import completions
from fusionfactory.gateway.surface.embeddings import embeddings
from fusionfactory.gateway.surface.endpoint import Endpoint
from fusionfactory.gateway.surface.models import list_models, retrieve_model
from fusionfactory.gateway.surface.openapi import openapi
from fusionfactory.gateway.surface.responses import responses

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute
    from starlette.types import Receive, Scope, Send

    from fusionfactory.gateway.gateway import Gateway

__all__ = ["make_app"]

_NOT_FOUND = 404
_POST = {
    "/v1/chat/completions": Endpoint(chat),
    "/v1/completions": Endpoint(completions),
    "/v1/embeddings": Endpoint(embeddings),
    "/v1/feedback": Endpoint(Feedback()),
    "/v1/responses": Endpoint(responses),
}
_GET = {
    "/openapi.json": Endpoint(openapi),
    "/v1/models": Endpoint(list_models),
    "/v1/models/{id:path}": Endpoint(retrieve_model),
}


def make_app(gateway: Gateway) -> Starlette:
    """The application; `app.state.gateway` may be replaced while it serves.

    Args:
        gateway: What answers requests that come from now on.
    """
    routes: list[BaseRoute] = []
    routes += [Route(path, answer, methods=["POST"]) for path, answer in _POST.items()]
    routes += [Route(path, answer, methods=["GET"]) for path, answer in _GET.items()]
    routes += dashboard_routes(dashboard=gateway.settings.dashboard)
    app = _App(routes=routes, exception_handlers={HTTPException: _refuse})
    app.state.gateway = gateway
    return app


class _App(Starlette):
    """Answers what is asked most without looking through routes and middleware."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            answer = _POST.get(scope["path"])
            if answer is not None:
                scope["app"] = self
                await answer(scope, receive, send)
                return
        await super().__call__(scope, receive, send)


def _refuse(request: Request, error: Exception) -> Response:
    """Starlette's own refusals in OpenAI's form: there is no such path, or not with that method."""
    assert isinstance(error, HTTPException)  # noqa: S101  it is registered for those alone
    asked = f"{request.method} {request.url.path[:200]}"
    msg = f"{asked}: {error.detail}; /openapi.json says what there is"
    code = "not_found" if error.status_code == _NOT_FOUND else "method_not_allowed"
    headers = {**(error.headers or {}), "x-request-id": new_id("req")}
    body = orjson.dumps(Refusal(error.status_code, msg, code=code).body())
    return Response(body, error.status_code, headers, "application/json")
