"""What stands in a GGUF file before its weights: settings, vocabulary, names of the tensors."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fusionfactory.errors import DistillError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["MAGIC", "GgufHeader", "TensorEntry", "read_header"]

MAGIC = b"GGUF"
"""The first four bytes of a file."""

_VERSIONS = (2, 3)
_ALIGNMENT = 32
_STRING, _ARRAY = 8, 9
_FORMATS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}


@dataclass(frozen=True)
class TensorEntry:
    """Where one tensor stands.

    Attributes:
        name: As llama.cpp calls it.
        shape: Rows first, as PyTorch has it.
        kind: Number of its data type in GGML.
        offset: Of its first byte from the start of the file.
    """

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int


@dataclass(frozen=True)
class GgufHeader:
    """What a file says of itself.

    Attributes:
        path: The file.
        version: Of the format.
        fields: Names to values: numbers, texts, and lists of them.
        raw: Names to the bytes of the whole entry, for copies.
        tensors: By name, in the file's order.
    """

    path: Path
    version: int
    fields: Mapping[str, Any]
    raw: Mapping[str, bytes]
    tensors: Mapping[str, TensorEntry]

    @property
    def architecture(self) -> str:
        """`llama`, `qwen2` ...: how the weights are to be used."""
        return str(self.need("general.architecture"))

    @property
    def alignment(self) -> int:
        """Every tensor starts at a multiple of so many bytes."""
        return int(self.fields.get("general.alignment", _ALIGNMENT))

    def need(self, name: str) -> Any:  # noqa: ANN401  whatever the field holds
        """The value of a field.

        Raises:
            DistillError: The file has no such field.
        """
        if name not in self.fields:
            msg = "the file does not say this: convert the model to GGUF anew"
            raise DistillError(msg, file=self.path, field=name)
        return self.fields[name]

    def setting(self, name: str, default: Any = None) -> Any:  # noqa: ANN401  likewise
        """The value of `ARCHITECTURE.name`, or the default."""
        return self.fields.get(f"{self.architecture}.{name}", default)

    def need_setting(self, name: str) -> Any:  # noqa: ANN401  likewise
        """The value of `ARCHITECTURE.name`; raises as `need`."""
        return self.need(f"{self.architecture}.{name}")


def read_header(path: Path) -> GgufHeader:
    """Reads a file up to its weights.

    Raises:
        DistillError: There is no such file, it is no GGUF, or it ends too early.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Reader(data).header(path)
    except FileNotFoundError:
        msg = "no such model file"
        raise DistillError(msg, file=path) from None
    except (OSError, UnicodeDecodeError, ValueError, struct.error, IndexError) as error:
        msg = f"cannot be read as a GGUF file ({error}): fetch or convert it anew"
        raise DistillError(msg, file=path) from None


class _Reader:
    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.at = 0

    def header(self, path: Path) -> GgufHeader:
        if self.data[:4] != MAGIC:
            msg = f"starts with {self.data[:4]!r}, not {MAGIC!r}"
            raise ValueError(msg)
        self.at = 4
        version, tensors, fields = self.number("I"), self.number("Q"), self.number("Q")
        if version not in _VERSIONS:
            msg = f"version {version}, expected {' or '.join(map(str, _VERSIONS))}"
            raise ValueError(msg)
        values, raw = {}, {}
        for _ in range(fields):
            start = self.at
            name = self.text()
            values[name] = self.value(self.number("I"))
            raw[name] = self.data[start : self.at]
        entries = [self.tensor() for _ in range(tensors)]
        alignment = int(values.get("general.alignment", _ALIGNMENT))
        start = -(-self.at // alignment) * alignment
        placed = {
            entry.name: TensorEntry(entry.name, entry.shape, entry.kind, start + entry.offset)
            for entry in entries
        }
        return GgufHeader(path, version, values, raw, placed)

    def number(self, form: str) -> Any:  # noqa: ANN401  integer, float or truth
        (value,) = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return value

    def text(self) -> str:
        length = self.number("Q")
        start, self.at = self.at, self.at + length
        if self.at > len(self.data):
            msg = "a text ends after the file does"
            raise ValueError(msg)
        return self.data[start : self.at].decode("utf-8")

    def value(self, kind: int) -> Any:  # noqa: ANN401  whatever the field holds
        if kind == _STRING:
            return self.text()
        if kind != _ARRAY:
            return self.number(_FORMATS[kind] if kind in _FORMATS else _unknown(kind))
        inner, length = self.number("I"), self.number("Q")
        if inner in {_STRING, _ARRAY}:
            return [self.value(inner) for _ in range(length)]
        form = f"<{length}{_FORMATS[inner] if inner in _FORMATS else _unknown(inner)}"
        values = list(struct.unpack_from(form, self.data, self.at))
        self.at += struct.calcsize(form)
        return values

    def tensor(self) -> TensorEntry:
        name = self.text()
        shape = tuple(self.number("Q") for _ in range(self.number("I")))
        return TensorEntry(name, shape[::-1], self.number("I"), self.number("Q"))


def _unknown(kind: int) -> str:
    msg = f"a field of the unknown type {kind}"
    raise ValueError(msg)
