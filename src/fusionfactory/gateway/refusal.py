"""Refusals in OpenAI's form: what a client gets instead of an answer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Refusal", "store_unavailable"]

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
}


@dataclass(eq=False)
class Refusal(Exception):
    """Ends a request with an error for its client.

    Attributes:
        status: HTTP status, 400 to 599.
        message: What is wrong, what was expected, what to do; without secrets.
        code: OpenAI's `code`, for programs: `model_not_found`, ...
        param: The field of the request at fault.
        headers: Further headers, such as `retry-after`.
        upstream: The error object of the endpoint whose refusal is passed on, as it came.
    """

    status: int
    message: str
    code: str | None = None
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    upstream: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        super().__init__(self.message)

    def final(self) -> Refusal:
        """The same where whatever may be tried again was: clients are told not to."""
        return replace(self, headers={**self.headers, "x-should-retry": "false"})

    def body(self) -> dict[str, Any]:
        """`{"error": {"message", "type", "param", "code"}}`."""
        own = {
            "message": self.message,
            "type": _TYPES.get(self.status, "api_error"),
            "param": self.param,
            "code": self.code,
        }
        return {"error": {**own, **(self.upstream or {})}}


def store_unavailable() -> Refusal:
    """503 for what the store alone can say; why it cannot is for the log, and not for clients."""
    msg = "the gateway cannot ask its store at present; ask again, or another gateway"
    return Refusal(503, msg, code="store_unavailable", headers={"retry-after": "1"})
