"""Weights under llama.cpp's names and order, and under those of `transformers`."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfactory.errors import DistillError, MissingExtraError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fusionfactory.distill.models.header import GgufHeader, TensorEntry
    from fusionfactory.types import FloatArray

__all__ = ["ARCHITECTURES", "from_gguf", "model_config", "read_tensor", "to_gguf"]

ARCHITECTURES = ("llama", "qwen2", "qwen3")
"""Architectures of GGUF files that can be trained and written."""

_OUTSIDE = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}
_IN_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_LAYER = re.compile(r"blk\.(\d+)\.(\w+)\.(weight|bias)")
_ROTATED = re.compile(r"blk\.\d+\.attn_([qk])\.(weight|bias)")


def model_config(header: GgufHeader) -> Any:  # noqa: ANN401  a configuration of transformers
    """The configuration of `transformers` for the model in a GGUF file.

    Raises:
        DistillError: The architecture, or something it uses, is not known here.
        MissingExtraError: The extra `distill` is not installed.
    """
    try:
        from transformers import LlamaConfig, Qwen2Config, Qwen3Config
    except ModuleNotFoundError:
        what = f"Training {header.path.name}"
        raise MissingExtraError(what, "distill") from None
    _check_known(header)
    heads = header.need_setting("attention.head_count")
    settings = {
        "vocab_size": header.tensors["token_embd.weight"].shape[0],
        "hidden_size": header.need_setting("embedding_length"),
        "intermediate_size": header.need_setting("feed_forward_length"),
        "num_hidden_layers": header.need_setting("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": header.setting("attention.head_count_kv", heads),
        "max_position_embeddings": header.need_setting("context_length"),
        "rms_norm_eps": header.need_setting("attention.layer_norm_rms_epsilon"),
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": header.setting("rope.freq_base", 10000.0),
        },
        "tie_word_embeddings": "output.weight" not in header.tensors,
        **{
            name: header.fields.get(f"tokenizer.ggml.{name}")
            for name in ("bos_token_id", "eos_token_id")
        },
    }
    # Qwen 3 would have a default of its own, where llama.cpp divides.
    width = settings["hidden_size"] // heads
    settings["head_dim"] = header.setting("attention.key_length", width)
    biased = "blk.0.attn_q.bias" in header.tensors
    if header.architecture == "llama":
        return LlamaConfig(**settings, attention_bias=biased)
    if header.architecture == "qwen2":
        return Qwen2Config(**settings)
    return Qwen3Config(**settings, attention_bias=biased)


def _check_known(header: GgufHeader) -> None:
    instead = "name the model's Hugging Face folder instead"
    if header.architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        msg = f"the architecture {header.architecture!r} cannot be trained from a GGUF file, only "
        msg += f"{known}: {instead}"
        raise DistillError(msg, file=header.path, field="general.architecture")
    scaling = header.setting("rope.scaling.type", "none")
    if scaling != "none":
        msg = f"positions scaled by {scaling!r} are not supported, only none: {instead}"
        raise DistillError(msg, file=header.path, field=f"{header.architecture}.rope.scaling.type")
    for name in header.tensors:
        if from_gguf(name) is None:
            msg = f"the tensor {name!r} has no place in a plain {header.architecture} model: "
            raise DistillError(msg + instead, file=header.path)


def from_gguf(name: str) -> str | None:
    """The name in `transformers` of one of llama.cpp's; None where it is not known."""
    if found := _LAYER.fullmatch(name):
        layer, part, suffix = found.groups()
        return f"model.layers.{layer}.{_IN_LAYER[part]}.{suffix}" if part in _IN_LAYER else None
    part, _, suffix = name.partition(".")
    return f"{_OUTSIDE[part]}.{suffix}" if part in _OUTSIDE and suffix == "weight" else None


def read_tensor(header: GgufHeader, entry: TensorEntry) -> FloatArray:
    """A tensor of a file as float32, its rows in the order of `transformers`.

    Raises:
        DistillError: The file ends too early, or stores the tensor in an unknown way.
    """
    import gguf

    try:
        kind = gguf.GGMLQuantizationType(entry.kind)
    except ValueError as error:
        msg = f"the tensor {entry.name!r} cannot be read ({error}): update the package gguf"
        raise DistillError(msg, file=header.path) from None
    rows = gguf.quant_shape_to_byte_shape(entry.shape, kind)
    if entry.offset + math.prod(rows) > header.path.stat().st_size:
        msg = "the file ends before its weights do: fetch it anew"
        raise DistillError(msg, file=header.path)
    stored = np.memmap(header.path, np.uint8, mode="r", offset=entry.offset, shape=rows)
    values = gguf.dequantize(stored, kind).reshape(entry.shape)
    values = np.require(values, dtype=np.float32, requirements=["C", "W"])
    heads = _rotated_heads(header, entry.name)
    return values if heads is None else _halves(values, heads)


def to_gguf(header: GgufHeader, name: str, values: NDArray[Any]) -> NDArray[Any]:
    """The rows of a tensor of `transformers` in llama.cpp's order; undoes `read_tensor`."""
    heads = _rotated_heads(header, name)
    return values if heads is None else _neighbours(values, heads)


def _rotated_heads(header: GgufHeader, name: str) -> int | None:
    # llama.cpp turns neighbouring rows of Llama's queries and keys against each other, transformers
    # the two halves of a head; for Qwen both turn the halves.
    found = _ROTATED.fullmatch(name)
    if header.architecture != "llama" or found is None:
        return None
    heads = header.need_setting("attention.head_count")
    return int(heads if found[1] == "q" else header.setting("attention.head_count_kv", heads))


def _halves(values: NDArray[Any], heads: int) -> NDArray[Any]:
    parts = values.reshape(heads, values.shape[0] // heads // 2, 2, *values.shape[1:])
    return np.ascontiguousarray(parts.swapaxes(1, 2).reshape(values.shape))


def _neighbours(values: NDArray[Any], heads: int) -> NDArray[Any]:
    parts = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
    return np.ascontiguousarray(parts.swapaxes(1, 2).reshape(values.shape))
