"""Production logs in: one model per query, chosen by whoever asked.

One module per tool, each with `read_log`, which gives a `Log` (outcomes in full: errors, times,
propensities, samples), and `read`, which gives its table. A failed call is an outcome with an
error; records that are no calls of a model are left out and counted; credentials are not carried
over.
"""

from __future__ import annotations

from fusionfactory.registry import Registry

__all__ = ["LOGS"]

_PACKAGE = "fusionfactory.importers.logs"
LOGS = Registry(
    "log",
    {
        "litellm": f"{_PACKAGE}.litellm:read_log",
        "langfuse": f"{_PACKAGE}.langfuse:read_log",
        "otel": f"{_PACKAGE}.otel:read_log",
        "openinference": f"{_PACKAGE}.openinference:read_log",
        "openai-chat": f"{_PACKAGE}.openai_chat:read_log",
        "openai-evals": f"{_PACKAGE}.openai_evals:read_log",
    },
)
