"""Serves a model file by llama.cpp on loopback, until whoever started it closes its standard input.

Reads one line of JSON: `path`, `context_tokens`, `threads`, `embeds` and `key`, which callers have
to send. Answers with a line: `{"url": "http://127.0.0.1:49152/v1"}` or `{"error": "..."}`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from fusionfactory.clients.local import server_params
from fusionfactory.errors import FusionFactoryError

__all__ = ["main"]


def main() -> int:
    """Runs the server; returns the exit status."""
    # Ctrl-C reaches the whole group, and calls under way are to end well.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Whatever llama.cpp writes to standard output goes elsewhere.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)
        settings = json.loads(sys.stdin.readline())
        try:
            server = _serve(settings)
            said = {"url": f"{server.listening_address}/v1"}
        except (FusionFactoryError, RuntimeError) as error:
            server, said = None, {"error": str(error)}
        out.write(json.dumps(said) + "\n")
    if server is None:
        return 1
    sys.stdin.read()
    # Nobody waits for the answers under way, and freeing a model takes a while.
    os._exit(0)


def _serve(settings: dict[str, Any]) -> Any:  # noqa: ANN401  the package carries no types
    params = server_params(
        Path(settings["path"]),
        context_tokens=settings["context_tokens"],
        threads=settings["threads"],
    )
    import xllamacpp

    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [settings["key"]]
    params.ui = False
    params.endpoint_slots = False
    if settings["embeds"]:
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    return xllamacpp.Server(params)


if __name__ == "__main__":
    sys.exit(main())
