"""A router on disk: `router.json` and `router.safetensors`, checked before anything is used.

The JSON holds a schema version, the router's parameters and state, the arms with their prices, the
training table's fingerprint, metrics, and SHA-256 sums of itself and of the arrays. The sums find
damage and careless edits; they are no signature.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as dump_tensors

from fusionfactory.errors import RouterFileError
from fusionfactory.estimator import Estimator, Json
from fusionfactory.routers.base import Router
from fusionfactory.version import __version__

__all__ = ["SCHEMA_VERSION", "check_directory", "load_router", "save_router"]

SCHEMA_VERSION = 1
_MANIFEST, _TENSORS = "router.json", "router.safetensors"


def save_router(router: Router, directory: str | Path) -> None:
    """Writes a fitted router; an older one in the directory is replaced.

    Both files are written beside the directory first and then moved in; if the machine stops
    between the two moves, the checksums do not match and loading says so.

    Raises:
        NotFittedError: Before `fit`.
        RouterFileError: The directory holds something other than a router.
    """
    router.check_fitted()
    directory = Path(directory).resolve()
    check_directory(directory)
    state, tensors = router.state()
    body = dump_tensors(tensors)
    manifest: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "fusionfactory": __version__,
        "router": router.name,
        "arms": [arm.name for arm in router.arms_],
        "table_fingerprint": router.fingerprint_,
        "metrics": router.metrics_,
        "tensors_sha256": hashlib.sha256(body).hexdigest(),
        "state": state,
    }
    manifest["manifest_sha256"] = _digest(manifest)
    directory.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f".{directory.name}."))
    try:
        (staging / _TENSORS).write_bytes(body)
        (staging / _MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        directory.mkdir(exist_ok=True)
        for name in (_TENSORS, _MANIFEST):
            (staging / name).chmod(0o644)
            (staging / name).replace(directory / name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def check_directory(directory: Path) -> None:
    """Raises RouterFileError where a router may not be written: what is there is no router."""
    if not directory.exists():
        return
    if not directory.is_dir() or {f.name for f in directory.iterdir()} - {_MANIFEST, _TENSORS}:
        msg = "exists and holds something other than a router: give an empty or new directory"
        raise RouterFileError(msg, file=directory)


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
    manifest = _read_manifest(directory / _MANIFEST)
    version = manifest.get("schema_version")
    if version != SCHEMA_VERSION:
        msg = (
            f"schema version {version!r}, this version of fusionfactory reads up to "
            f"{SCHEMA_VERSION}: upgrade fusionfactory (written by {manifest.get('fusionfactory')})"
        )
        raise RouterFileError(msg, file=directory / _MANIFEST, field="schema_version")
    if manifest.get("manifest_sha256") != _digest(manifest):
        msg = "was changed after it was saved: its checksum does not match"
        raise RouterFileError(msg, file=directory / _MANIFEST, field="manifest_sha256")
    try:
        body = (directory / _TENSORS).read_bytes()
    except OSError as error:
        raise RouterFileError(str(error.strerror), file=directory / _TENSORS) from None
    if hashlib.sha256(body).hexdigest() != manifest.get("tensors_sha256"):
        msg = "was changed or cut short after it was saved: its checksum does not match"
        raise RouterFileError(msg, file=directory / _TENSORS)
    if not network:
        _refuse_endpoints(manifest.get("state"), directory / _MANIFEST)
    router = Estimator.from_state(manifest.get("state"), load_tensors(body))
    if not isinstance(router, Router):
        msg = f"holds a {type(router).__name__}, not a router"
        raise RouterFileError(msg, file=directory / _MANIFEST)
    return router


def _refuse_endpoints(state: Json, file: Path) -> None:
    """Raises RouterFileError where any part of a state is an encoder behind an endpoint."""
    if isinstance(state, dict):
        if state.get("$") == "encoder" and state.get("name") == "endpoint":
            url = state.get("params", {}).get("base_url")
            msg = (
                f"its encoder sends queries to {url!r}: allow it by network=True, --allow-endpoint"
            )
            raise RouterFileError(msg, file=file, field="encoder")
        state = list(state.values())
    if isinstance(state, list):
        for part in state:
            _refuse_endpoints(part, file)


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        msg = "no saved router here"
        raise RouterFileError(msg, file=path) from None
    except (OSError, ValueError) as error:
        msg = f"cannot be read: {error}"
        raise RouterFileError(msg, file=path) from None
    if not isinstance(manifest, dict):
        msg = "is no JSON object"
        raise RouterFileError(msg, file=path)
    return manifest


def _digest(manifest: dict[str, Any]) -> str:
    content = {key: value for key, value in manifest.items() if key != "manifest_sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
