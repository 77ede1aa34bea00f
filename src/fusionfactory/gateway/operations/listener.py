"""The socket that all workers accept from."""

from __future__ import annotations

import socket

from fusionfactory.errors import ConfigError

__all__ = ["BACKLOG", "bind", "url_of"]

BACKLOG = 2048
"""Connections that may wait to be accepted."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        ConfigError: The host is unknown, or the port is taken or not allowed.
    """
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        msg = f"there is no host {host!r} ({error.strerror}): name an address of this machine"
        raise ConfigError(msg, field="serve.host") from None
    family, kind, protocol, _, address = found[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        msg = f"cannot listen on {host}:{port} ({error.strerror}): choose another `port` or `host`"
        raise ConfigError(msg, field="serve.port") from None
    bound.setblocking(False)
    return bound


def url_of(bound: socket.socket) -> str:
    """Base URL of the API behind a listening socket, as a client on this machine writes it."""
    host, port = bound.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  compared, not bound
    return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"
