"""From what the dashboard's endpoints find to answers, and from errors to refusals."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

import orjson
from starlette.responses import Response

from fusionfactory.errors import FusionFactoryError, InputError
from fusionfactory.gateway.dashboard.static import SECURITY_HEADERS
from fusionfactory.gateway.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request

    from fusionfactory.gateway.gateway import Gateway

__all__ = ["Endpoint", "endpoint", "json_answer"]

_CONFLICT, _UNAVAILABLE = 409, 503
_log = logging.getLogger(__name__)


class Endpoint(Protocol):
    """What answers a request with something that JSON can say."""

    async def __call__(self, request: Request, gateway: Gateway, /) -> Any:  # noqa: ANN401
        """The content of the answer.

        Raises:
            Refusal: There is no such thing, or the client may not have it.
            FusionFactoryError: A part failed.
        """
        ...


def json_answer(
    content: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """JSON, NaN as null, that no cache keeps."""
    body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
    extra = {**SECURITY_HEADERS, "cache-control": "no-store", **(headers or {})}
    return Response(body, status, extra, "application/json")


def endpoint(
    find: Endpoint, check: Callable[[Request, Gateway], None] | None = None
) -> Callable[[Request], Awaitable[Response]]:
    """Answers with what is found, once the check has let the request in.

    Args:
        find: Finds it.
        check: Raises a `Refusal` for those who may not have it.
    """

    async def answer(request: Request) -> Response:
        gateway: Gateway = request.app.state.gateway
        try:
            if check is not None:
                check(request, gateway)
            return json_answer(await find(request, gateway))
        except Refusal as refusal:
            told = refusal
        except InputError as error:
            told = Refusal(_CONFLICT, str(error), code="not_possible")
        except FusionFactoryError as error:
            _log.error("the dashboard could not be answered: %s", error)
            told = Refusal(_UNAVAILABLE, str(error), code="unavailable")
        return json_answer(told.body(), told.status, told.headers)

    return answer
