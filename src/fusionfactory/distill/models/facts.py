"""What a model is, from headers alone: enough to say what training it takes."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionfactory.distill.models.architectures import from_gguf
from fusionfactory.distill.models.base import is_gguf
from fusionfactory.distill.models.header import read_header
from fusionfactory.errors import DistillError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

__all__ = ["ALL_LINEAR", "BaseFacts", "base_facts"]

ALL_LINEAR = "all-linear"
"""Stands for every matrix of every layer, as PEFT understands it."""

_NOT_LINEAR = ("embed_tokens", "lm_head")
_LONGEST_HEADER = 100_000_000


@dataclass(frozen=True)
class BaseFacts:
    """A model that can be trained.

    Attributes:
        path: The file or folder.
        architecture: `llama`, `qwen2` ...
        parameters: Of the whole model; tied embeddings count once.
        layers: Number of transformer blocks.
        hidden_size: Width between them.
        vocabulary: Number of tokens.
        context_tokens: Longest text that it was made for.
        file_bytes: Of the weights on disk.
        matrices: Name in `transformers` of every matrix of a layer, with its (rows, columns).
    """

    path: Path
    architecture: str
    parameters: int
    layers: int
    hidden_size: int
    vocabulary: int
    context_tokens: int
    file_bytes: int
    matrices: Mapping[str, tuple[int, int]]

    def adapter_parameters(self, rank: int, targets: str | Collection[str] = ALL_LINEAR) -> int:
        """The number of parameters that LoRA trains.

        Args:
            rank: Of the adapter.
            targets: `ALL_LINEAR`, or last parts of names, such as `q_proj`.

        Raises:
            DistillError: A target is in no layer of the model.
        """
        known = {name.rsplit(".", 2)[-2] for name in self.matrices}
        named = {targets} if isinstance(targets, str) else set(targets)
        wanted = known if named == {ALL_LINEAR} else named
        if unknown := sorted(wanted - known):
            msg = f"no layer has {unknown[0]!r}; known: {', '.join(sorted(known))}, or {ALL_LINEAR}"
            raise DistillError(msg, file=self.path, field="targets")
        return sum(
            rank * (rows + columns)
            for name, (rows, columns) in self.matrices.items()
            if name.rsplit(".", 2)[-2] in wanted
        )


def base_facts(path: Path | str) -> BaseFacts:
    """Reads the facts of a GGUF file or a Hugging Face folder; no weights are read.

    Raises:
        DistillError: There is no such file or folder, or it is damaged.
    """
    return _of_file(Path(path)) if is_gguf(path) else _of_folder(Path(path))


def _of_file(path: Path) -> BaseFacts:
    header = read_header(path)
    shapes = {from_gguf(name) or name: entry.shape for name, entry in header.tensors.items()}
    return BaseFacts(
        path=path,
        architecture=header.architecture,
        parameters=sum(map(math.prod, shapes.values())),
        layers=int(header.need_setting("block_count")),
        hidden_size=int(header.need_setting("embedding_length")),
        vocabulary=len(header.need("tokenizer.ggml.tokens")),
        context_tokens=int(header.need_setting("context_length")),
        file_bytes=path.stat().st_size,
        matrices=_matrices(shapes),
    )


def _of_folder(path: Path) -> BaseFacts:
    config = _json(path / "config.json")
    files = sorted(path.glob("*.safetensors"))
    if not files:
        msg = "the folder holds no .safetensors file: save the model by save_pretrained"
        raise DistillError(msg, file=path)
    shapes = {name: shape for file in files for name, shape in _shapes(file)}
    return BaseFacts(
        path=path,
        architecture=str(config.get("model_type", "unknown")),
        parameters=sum(map(math.prod, shapes.values())),
        layers=_number(path, config, "num_hidden_layers"),
        hidden_size=_number(path, config, "hidden_size"),
        vocabulary=_number(path, config, "vocab_size"),
        context_tokens=_number(path, config, "max_position_embeddings"),
        file_bytes=sum(file.stat().st_size for file in files),
        matrices=_matrices(shapes),
    )


def _number(path: Path, config: Mapping[str, Any], name: str) -> int:
    value = config.get(name)
    if not isinstance(value, int):
        msg = f"{value!r}, expected a number: only plain language models can be trained"
        raise DistillError(msg, file=path / "config.json", field=name)
    return value


def _matrices(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, int]]:
    return {
        name: (shape[0], shape[1])
        for name, shape in shapes.items()
        if len(shape) > 1 and not any(part in name for part in _NOT_LINEAR)
    }


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        msg = "no such file: expected a GGUF file or the folder of a model"
        raise DistillError(msg, file=path) from None
    except (OSError, ValueError) as error:
        raise DistillError(str(error), file=path) from None
    return content if isinstance(content, dict) else {}


def _shapes(path: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes from the head of a safetensors file."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _LONGEST_HEADER:
                msg = f"a header of {length} bytes"
                raise ValueError(msg)
            header = json.loads(file.read(length))
        tensors = {name: entry["shape"] for name, entry in header.items() if name != "__metadata__"}
    except (OSError, ValueError, struct.error, KeyError, TypeError, AttributeError) as error:
        msg = f"cannot be read as safetensors ({error}): fetch or save the model anew"
        raise DistillError(msg, file=path) from None
    for name, shape in tensors.items():
        yield name, tuple(shape)
