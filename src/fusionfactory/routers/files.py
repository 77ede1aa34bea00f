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
from fusionfactory.estimator import Estimator
from fusionfactory.routers.base import Router
from fusionfactory.version import __version__

__all__ = ["SCHEMA_VERSION", "check_directory", "load_router", "save_router"]

SCHEMA_VERSION = 1
_MANIFEST, _TENSORS = "router.json", "router.safetensors"


def save_router(router: Router, directory: str | Path) -> None:
    """Writes a fitted router, all or nothing; an older router in the directory is replaced.

    Raises:
        NotFittedError: Before `fit`.
        RouterFileError: The directory holds something other than a router.
    """
    router.check_fitted()
    directory = Path(directory)
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
        staging.chmod(0o755)
        if directory.exists():
            shutil.rmtree(directory)
        staging.rename(directory)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def check_directory(directory: Path) -> None:
    """Raises RouterFileError where a router may not be written: what is there is no router."""
    if not directory.exists() or (directory / _MANIFEST).exists():
        return
    if not directory.is_dir() or any(directory.iterdir()):
        msg = "exists and holds no router: give an empty or new directory"
        raise RouterFileError(msg, file=directory)


def load_router(directory: str | Path) -> Router:
    """Reads a router that `save_router` wrote.

    Raises:
        RouterFileError: A file is missing, damaged, changed, or of a newer version.
    """
    directory = Path(directory)
    manifest = _read_manifest(directory / _MANIFEST)
    version = manifest.get("schema_version")
    if not isinstance(version, int) or version > SCHEMA_VERSION:
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
    if hashlib.sha256(body).hexdigest() != manifest["tensors_sha256"]:
        msg = "was changed or cut short after it was saved: its checksum does not match"
        raise RouterFileError(msg, file=directory / _TENSORS)
    router = Estimator.from_state(manifest["state"], load_tensors(body))
    if not isinstance(router, Router):
        msg = f"holds a {type(router).__name__}, not a router"
        raise RouterFileError(msg, file=directory / _MANIFEST)
    return router


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
