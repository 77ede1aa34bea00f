"""The bundled logs: real answers of small local models, to see what routing makes of them.

`data/PROVENANCE.md` says how the logs were made and how to make them again.
"""

from __future__ import annotations

from contextlib import contextmanager
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

from fusionfactory.errors import UnknownNameError
from fusionfactory.table import OutcomeTable

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FUSIONBENCH_EMBEDDINGS", "FUSIONBENCH_LOG", "LOGS", "bundled_encoder", "bundled_log"]

FUSIONBENCH_LOG = "fusionbench_log.parquet"
FUSIONBENCH_EMBEDDINGS = "fusionbench_embeddings.parquet"
LOGS = {"questions": "demo_log.parquet", "fusionbench": FUSIONBENCH_LOG}
"""`questions`: this project's own, with their texts. `fusionbench`: public and generated ones,
direct and think; the texts of the public ones are withheld, and embeddings stand in for them."""


def bundled_log(name: str = "questions") -> OutcomeTable:
    """A log that ships with the package.

    Raises:
        UnknownNameError: There is none of that name.
    """
    if name not in LOGS:
        msg = f"no bundled log {name!r}; there are {', '.join(LOGS)}"
        raise UnknownNameError(msg, field="log")
    with as_file(files("fusionfactory") / "data" / LOGS[name]) as path:
        return OutcomeTable.read(path)


@contextmanager
def bundled_encoder(name: str = "questions") -> Iterator[str]:
    """The encoder for a bundled log's queries: of their texts, or of the embeddings beside it."""
    if name != "fusionbench":
        yield "text"
        return
    with as_file(files("fusionfactory") / "data" / FUSIONBENCH_EMBEDDINGS) as path:
        yield f"file:{path}"
