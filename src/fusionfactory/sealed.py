"""Fitted state on disk: a JSON manifest and safetensors arrays, checked before anything is used.

The JSON holds a schema version, the state and whatever else is told, and SHA-256 sums of itself and
of the files beside it. The sums find damage and careless edits; they are no signature.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from fusionfactory.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fusionfactory.errors import InputError
    from fusionfactory.estimator import Json, Tensors

__all__ = ["STAGING", "SealedState", "digest"]

STAGING = ".saving-"
"""How a folder begins in which files are written before they are moved; a killed run leaves it."""


@dataclass(frozen=True, slots=True)
class SealedState:
    """The files of one kind of fitted thing: `WHAT.json`, `WHAT.safetensors` and perhaps others.

    Attributes:
        what: `router`, `index`, ...
        schema_version: The one that is written, and the only one that is read.
        error: Raised for everything that is wrong with the files.
    """

    what: str
    schema_version: int
    error: type[InputError]

    @property
    def manifest(self) -> str:
        """Name of the JSON file."""
        return f"{self.what}.json"

    @property
    def tensors(self) -> str:
        """Name of the file of arrays."""
        return f"{self.what}.safetensors"

    def check_place(self, directory: Path) -> None:
        """Checks that the files may be written to a directory.

        Raises:
            InputError: Of the kind `error`: something else lies there.
        """
        if not directory.exists():
            return
        own = {self.manifest, self.tensors}
        if not directory.is_dir() or any(
            file.name not in own and not file.name.startswith(STAGING)
            for file in directory.iterdir()
        ):
            msg = (
                f"exists and holds something other than a {self.what}: give an empty or new "
                "directory"
            )
            raise self.error(msg, file=directory)

    def write(
        self,
        directory: Path,
        content: Mapping[str, Any],
        tensors: Tensors,
        others: Mapping[str, Callable[[Path], None]] | None = None,
    ) -> None:
        """Writes the files; older ones in the directory are replaced.

        All are written beside their place first and then moved, the manifest last; if the machine
        stops between two moves, the checksums do not match and loading says so.

        Args:
            directory: Made if absent.
            content: Of the manifest, without versions and sums.
            tensors: The arrays.
            others: Further files by name, and what writes each to a path.
        """
        directory.parent.mkdir(parents=True, exist_ok=True)
        place = directory if directory.exists() else directory.parent
        staging = Path(tempfile.mkdtemp(dir=place, prefix=STAGING))
        try:
            save_file(tensors, staging / self.tensors)
            for name, write in (others or {}).items():
                write(staging / name)
            manifest = {
                "schema_version": self.schema_version,
                "fusionfactory": __version__,
                **content,
                "tensors_sha256": _sum(staging / self.tensors),
                "files_sha256": {name: _sum(staging / name) for name in others or {}},
            }
            manifest["manifest_sha256"] = digest(manifest)
            (staging / self.manifest).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
            directory.mkdir(exist_ok=True)
            for name in (self.tensors, *(others or {}), self.manifest):
                (staging / name).chmod(0o644)
                (staging / name).replace(directory / name)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def read(self, directory: Path, *, network: bool) -> tuple[dict[str, Any], Tensors]:
        """The manifest and the arrays, checked.

        Args:
            directory: Where they were written.
            network: Whether an encoder inside may send texts, and the API key that it names, to
                the endpoint that it names.

        Raises:
            InputError: As `error`: a file is missing, damaged, changed, of another version, or
                wants the network without leave.
        """
        path = directory / self.manifest
        manifest = self._read_manifest(path)
        version = manifest.get("schema_version")
        if version != self.schema_version:
            is_older = isinstance(version, int) and version < self.schema_version
            msg = (
                f"schema version {version!r}, this version of fusionfactory reads "
                f"{'' if is_older else 'up to '}{self.schema_version}: "
                f"{'make it again' if is_older else 'upgrade fusionfactory'} (written by "
                f"{manifest.get('fusionfactory')})"
            )
            raise self.error(msg, file=path, field="schema_version")
        if manifest.get("manifest_sha256") != digest(manifest):
            msg = "was changed after it was saved: its checksum does not match"
            raise self.error(msg, file=path, field="manifest_sha256")
        sums = {self.tensors: manifest.get("tensors_sha256"), **manifest.get("files_sha256", {})}
        for name, expected in sums.items():
            self._check_sum(directory / name, expected)
        if not network:
            self._refuse_endpoints(manifest.get("state"), path)
        try:
            return manifest, load_file(directory / self.tensors)
        except SafetensorError as error:
            msg = f"cannot be read: {error}"
            raise self.error(msg, file=directory / self.tensors) from None

    def _read_manifest(self, path: Path) -> dict[str, Any]:
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            msg = f"no saved {self.what} here{_instead(path.parent)}"
            raise self.error(msg, file=path) from None
        except (OSError, ValueError) as error:
            msg = f"cannot be read: {error}"
            raise self.error(msg, file=path) from None
        if not isinstance(manifest, dict):
            msg = "is no JSON object"
            raise self.error(msg, file=path)
        return manifest

    def _check_sum(self, path: Path, expected: object) -> None:
        try:
            actual = _sum(path)
        except OSError as error:
            raise self.error(str(error.strerror), file=path) from None
        if actual != expected:
            msg = "was changed or cut short after it was saved: its checksum does not match"
            raise self.error(msg, file=path)

    def _refuse_endpoints(self, state: Json, file: Path) -> None:
        """Raises where any part of a state is an encoder behind an endpoint."""
        if isinstance(state, dict):
            if state.get("$") == "encoder" and state.get("name") == "endpoint":
                url = state.get("params", {}).get("base_url")
                msg = (
                    f"its encoder sends queries to {url!r}: allow it by network=True, "
                    "--allow-endpoint"
                )
                raise self.error(msg, file=file, field="encoder")
            state = list(state.values())
        if isinstance(state, list):
            for part in state:
                self._refuse_endpoints(part, file)


def digest(manifest: Mapping[str, Any]) -> str:
    """SHA-256 of a manifest but for the sum that it holds of itself."""
    content = {key: value for key, value in manifest.items() if key != "manifest_sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _instead(directory: Path) -> str:
    """What else is saved in a directory, in words; empty where nothing is."""
    kinds = sorted(path.stem for path in directory.glob("*.safetensors"))
    return f", but a saved {kinds[0]}" if kinds else ""
