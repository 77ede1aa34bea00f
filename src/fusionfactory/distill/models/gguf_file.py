"""A trained model as a GGUF file: the base's file with other weights."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from fusionfactory.atomic import write_atomically
from fusionfactory.distill.models.architectures import from_gguf, to_gguf
from fusionfactory.distill.models.header import MAGIC, GgufHeader, TensorEntry, read_header
from fusionfactory.errors import DistillError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["KINDS", "stored_kind", "write_gguf"]

_INTEGER = 4
_QUANTISATION_VERSION = 2


@dataclass(frozen=True)
class _Kind:
    ggml: int
    """Number of the data type of matrices."""
    file_type: int
    """Number of such a file in llama.cpp."""


KINDS = {"f16": _Kind(1, 1), "bf16": _Kind(30, 32), "f32": _Kind(0, 0), "q8_0": _Kind(8, 7)}
"""How matrices can be stored; vectors (norms, biases) always are float32."""


def stored_kind(path: Path) -> str:
    """The key of `KINDS` by which `write_gguf` stored a file.

    Raises:
        DistillError: The file is missing, damaged, or was written in another way.
    """
    number = read_header(path).fields.get("general.file_type")
    for name, kind in KINDS.items():
        if kind.file_type == number:
            return name
    msg = f"the file type {number!r}, expected that of {', '.join(KINDS)}"
    raise DistillError(msg, file=path, field="general.file_type")


def write_gguf(base_path: Path, model: Any, out: Path, *, kind: str = "f16") -> None:  # noqa: ANN401
    """Writes a model that was loaded from a GGUF file and trained; there whole or not at all.

    Everything but the weights is copied from the base's file: settings, vocabulary and chat
    template are the same bytes, so llama.cpp asks the student exactly as it asks the base.

    Args:
        base_path: The file from which `load_base` made the model.
        model: The model of `transformers` with the adapter merged into it.
        out: The file to write.
        kind: How matrices are stored: a key of `KINDS`.

    Raises:
        DistillError: The model is not the base's: weights are missing or of another shape.
        MissingExtraError: The extra `distill` is not installed.
    """
    try:
        import gguf  # noqa: F401  needed to store the weights
    except ModuleNotFoundError:
        what = f"Writing {out.name}"
        raise MissingExtraError(what, "distill") from None
    if kind not in KINDS:
        msg = f"{kind!r}, expected one of {', '.join(KINDS)}"
        raise DistillError(msg, field="kind")
    header = read_header(base_path)
    weights = _weights(header, model)

    def write(path: Path) -> None:
        with path.open("wb") as file:
            _write_head(file, header, kind)
            for data in _stored(header, weights, kind):
                file.write(data)
                _pad(file, header.alignment)

    write_atomically(out, write)


def _weights(header: GgufHeader, model: Any) -> dict[str, Any]:  # noqa: ANN401  tensors by name
    state = model.state_dict()
    found = {name: state.get(from_gguf(name) or "") for name in header.tensors}
    for name, entry in header.tensors.items():
        shape = None if found[name] is None else tuple(found[name].shape)
        if shape != entry.shape:
            msg = f"the model's weights for {name} have the shape {shape}, expected {entry.shape}: "
            msg += "load the model from this file and merge the adapter before writing"
            raise DistillError(msg, file=header.path)
    tied = "output.weight" not in header.tensors
    if tied and state["lm_head.weight"].data_ptr() != state["model.embed_tokens.weight"].data_ptr():
        msg = "the file has one matrix for tokens in and out, the model has two: "
        msg += "train neither embed_tokens nor lm_head"
        raise DistillError(msg, file=header.path)
    return found


def _ggml(entry: TensorEntry, kind: str) -> int:
    return KINDS[kind].ggml if len(entry.shape) > 1 else KINDS["f32"].ggml


def _bytes(entry: TensorEntry, kind: str) -> int:
    import gguf

    block, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(_ggml(entry, kind))]
    return math.prod(entry.shape) // int(block) * int(size)


def _stored(header: GgufHeader, weights: Mapping[str, Any], kind: str) -> Iterator[bytes]:
    import gguf

    for name, entry in header.tensors.items():
        values = to_gguf(header, name, weights[name].detach().float().cpu().numpy())
        of = gguf.GGMLQuantizationType(_ggml(entry, kind))
        yield gguf.quantize(values, of).tobytes()


def _write_head(file: BinaryIO, header: GgufHeader, kind: str) -> None:
    raw = dict(header.raw)
    changed = {"general.file_type": KINDS[kind].file_type}
    if "general.quantization_version" not in raw:
        changed["general.quantization_version"] = _QUANTISATION_VERSION
    raw |= {name: _text(name) + struct.pack("<II", _INTEGER, n) for name, n in changed.items()}
    file.write(MAGIC + struct.pack("<IQQ", header.version, len(header.tensors), len(raw)))
    file.write(b"".join(raw.values()))
    offset = 0
    for name, entry in header.tensors.items():
        sizes = entry.shape[::-1]
        file.write(_text(name) + struct.pack(f"<I{len(sizes)}Q", len(sizes), *sizes))
        file.write(struct.pack("<IQ", _ggml(entry, kind), offset))
        offset += -(-_bytes(entry, kind) // header.alignment) * header.alignment
    _pad(file, header.alignment)


def _text(text: str) -> bytes:
    encoded = text.encode("utf-8")
    return struct.pack("<Q", len(encoded)) + encoded


def _pad(file: BinaryIO, alignment: int) -> None:
    file.write(bytes(-file.tell() % alignment))
