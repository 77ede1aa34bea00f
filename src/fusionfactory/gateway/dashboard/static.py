"""The page and its files, as they lie in the package."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib import resources
from typing import TYPE_CHECKING

from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["SECURITY_HEADERS", "asset", "page"]

_CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
SECURITY_HEADERS = {
    "content-security-policy": _CONTENT_POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""Of everything that the dashboard answers: no script but its own, in no other page."""

_NOT_FOUND, _NOT_MODIFIED = 404, 304
_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@cache
def _files() -> dict[str, tuple[bytes, str]]:
    """Name to content and entity tag."""
    folder = resources.files(__package__).joinpath("page")
    contents = {item.name: item.read_bytes() for item in folder.iterdir() if item.is_file()}
    return {
        name: (content, f'"{sha256(content).hexdigest()[:20]}"')
        for name, content in contents.items()
    }


async def page(request: Request) -> Response:
    """The page; it holds no figures, so that anybody may read it."""
    return _answer(request, "index.html")


async def asset(request: Request) -> Response:
    """A file of the page; 404 where there is none of that name."""
    return _answer(request, request.path_params["name"])


def _answer(request: Request, name: str) -> Response:
    found = _files().get(name)
    if found is None or not request.app.state.gateway.settings.dashboard:
        return Response("the dashboard has no such file", _NOT_FOUND, SECURITY_HEADERS)
    content, tag = found
    headers = {**SECURITY_HEADERS, "cache-control": "no-cache", "etag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=_NOT_MODIFIED, headers=headers)
    return Response(content, headers=headers, media_type=_TYPES[name.rpartition(".")[2]])
