"""A router on disk: `router.json` and `router.safetensors`, checked before anything is used.

The JSON holds the router's parameters and state, the arms with their prices, the training table's
fingerprint and metrics; see `fusionfactory.sealed`.
"""

from __future__ import annotations

from pathlib import Path

from fusionfactory.errors import RouterFileError
from fusionfactory.estimator import Estimator
from fusionfactory.routers.base import Router
from fusionfactory.sealed import SealedState

__all__ = ["SCHEMA_VERSION", "check_directory", "load_router", "save_router"]

SCHEMA_VERSION = 3
"""3: heads know their labels, views the parts of a kernel, and the stack has a kernel member."""

_FILES = SealedState("router", SCHEMA_VERSION, RouterFileError)


def save_router(router: Router, directory: str | Path) -> None:
    """Writes a fitted router; an older one in the directory is replaced.

    Raises:
        NotFittedError: Before `fit`.
        RouterFileError: The directory holds something other than a router.
    """
    router.check_fitted()
    directory = Path(directory).resolve()
    check_directory(directory)
    state, tensors = router.state()
    content = {
        "router": router.name,
        "arms": [arm.name for arm in router.arms_],
        "table_fingerprint": router.fingerprint_,
        "metrics": router.metrics_,
        "state": state,
    }
    _FILES.write(directory, content, tensors)


def check_directory(directory: Path) -> None:
    """Raises RouterFileError where a router may not be written: what is there is no router."""
    _FILES.check_place(directory)


def load_router(directory: str | Path, *, network: bool = False) -> Router:
    """Reads a router that `save_router` wrote.

    Args:
        directory: Where it was saved.
        network: Whether its encoder may send queries, and the API key that it names, to the
            endpoint that it names. Trust such a directory as you would a settings file.

    Raises:
        RouterFileError: A file is missing, damaged, changed, of another version, or wants the
            network without leave.
    """
    directory = Path(directory)
    manifest, tensors = _FILES.read(directory, network=network)
    router = Estimator.from_state(manifest.get("state"), tensors)
    if not isinstance(router, Router):
        msg = f"holds a {type(router).__name__}, not a router"
        raise RouterFileError(msg, file=directory / _FILES.manifest)
    return router
