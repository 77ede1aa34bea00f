"""Whether several gateways share what they know by one store, and which of them this one is."""

from __future__ import annotations

import fcntl
import re
import secrets
import socket
from typing import TYPE_CHECKING

from fusionfactory.atomic import write_atomically
from fusionfactory.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.config import Config

__all__ = ["identity", "is_shared"]

_POSTGRES = frozenset({"postgres", "postgresql", "postgresql+psycopg"})
_LONGEST_HOST = 40


def is_shared(config: Config) -> bool:
    """Whether keys, budgets, rates and versions are those of all gateways of the store.

    Raises:
        ConfigError: They are to be, and the store is not PostgreSQL.
    """
    wanted = config.serve.shared
    scheme, found, _ = (config.store or "").partition("://")
    is_postgres = bool(found) and scheme in _POSTGRES
    if wanted == "store" and not is_postgres:
        msg = (
            'shared = "store" needs a store that several machines reach, and this one is not '
            'PostgreSQL: set `store` to a postgresql:// URL, or write shared = "machine"'
        )
        raise ConfigError(msg, field="serve.shared")
    return wanted != "machine" and is_postgres


def identity(folder: Path) -> str:
    """The name of the gateway whose state the folder is: its host's, and letters of its own.

    It is made once and kept in `gateway-id`, so that a gateway which is started again is the same
    one. A copy of the folder would be the same one, too: delete that file and `shared`, which
    counts what keys used, in a copy.

    Raises:
        ConfigError: The folder cannot be written.
    """
    file = folder / "gateway-id"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".gateway-id.lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not file.exists():
                host = re.sub(r"[^A-Za-z0-9-]+", "-", socket.gethostname())[:_LONGEST_HOST]
                name = f"{host.strip('-') or 'gateway'}-{secrets.token_hex(4)}"
                write_atomically(file, lambda path: path.write_text(name, encoding="utf-8"))
            return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        msg = f"the name of the gateway cannot be kept: {error.strerror or error}"
        raise ConfigError(msg, file=file) from None
