"""GGUF files small enough for every test, written by the format's own package, and llama.cpp."""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["TEMPLATE", "Runtime", "write_tiny_gguf"]

WIDTH, LAYERS, HEADS, KV_HEADS, INNER, CONTEXT = 64, 2, 4, 2, 96, 256
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
USER_DEFINED = "<tool_call>"
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content']"
    " + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_LEARNED = (
    "def add(a, b):\n    return a + b\n\nThe answer is 12 345. It's what they'd say; don't we'll, "
    "I'VE seen: naïve café, Привет мир, 日本語.\r\n\tif x >= 10:  y -= 2 ** 7 "
) * 3


def _vocabulary() -> tuple[list[str], list[str], list[int]]:
    """Tokens, merges and token types of a byte-level BPE learned from a few lines.

    The lines are not split, so how a tokenizer splits decides which merges can happen.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        max_token_length=5,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([_LEARNED], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    types = [3 if token in SPECIAL else 1 for token in tokens]
    return [*tokens, USER_DEFINED], [" ".join(pair) for pair in model["merges"]], [*types, 4]


def write_tiny_gguf(
    path: Path,
    architecture: str = "llama",
    *,
    pre: str = "smollm",
    tied: bool = True,
    seed: int = 0,
    fields: dict[str, str] | None = None,
    extra: Sequence[str] = (),
) -> Path:
    """A random model; `fields` are more settings, and `extra` names vectors no model has."""
    import gguf

    tokens, merges, types = _vocabulary()
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("tiny")
    writer.add_block_count(LAYERS)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(5000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    for name, value in (fields or {}).items():
        writer.add_string(name, value)
    rng = np.random.default_rng(seed)
    for name, shape in _shapes(architecture, len(tokens), tied=tied).items():
        values = rng.normal(0, 0.3, shape).astype(np.float32)
        writer.add_tensor(name, values + 1.0 if "norm" in name else values)
    for name in extra:
        writer.add_tensor(name, np.ones(8, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _shapes(architecture: str, vocabulary: int, *, tied: bool) -> dict[str, tuple[int, ...]]:
    narrow = WIDTH // HEADS * KV_HEADS
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (vocabulary, WIDTH)}
    for layer in range(LAYERS):
        inside: dict[str, tuple[int, ...]] = {
            "attn_norm.weight": (WIDTH,), "attn_q.weight": (WIDTH, WIDTH),
            "attn_k.weight": (narrow, WIDTH), "attn_v.weight": (narrow, WIDTH),
            "attn_output.weight": (WIDTH, WIDTH), "ffn_norm.weight": (WIDTH,),
            "ffn_gate.weight": (INNER, WIDTH), "ffn_up.weight": (INNER, WIDTH),
            "ffn_down.weight": (WIDTH, INNER),
        }  # fmt: skip
        if architecture == "qwen2":
            inside |= {"attn_q.bias": (WIDTH,), "attn_k.bias": (narrow,), "attn_v.bias": (narrow,)}
        if architecture == "qwen3":
            head = (WIDTH // HEADS,)
            inside |= {"attn_q_norm.weight": head, "attn_k_norm.weight": head}
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in inside.items()}
    shapes["output_norm.weight"] = (WIDTH,)
    return shapes if tied else {**shapes, "output.weight": (vocabulary, WIDTH)}


class Runtime:
    """llama.cpp with a model, asked for what the client has no use for."""

    def __init__(self, path: Path, context_tokens: int = CONTEXT) -> None:
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx = context_tokens
        params.n_parallel = params.n_threads_http = 1
        params.n_gpu_layers = params.cache_ram_mib = 0
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
        params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        params.verbosity = -1
        self.server: Any = xllamacpp.Server(params)

    def ids(self, text: str) -> list[int]:
        told = {"content": text, "add_special": True, "parse_special": True}
        return list(self._post("/tokenize", told)["tokens"])

    def rendered(self, messages: Sequence[dict[str, str]]) -> str:
        return str(self._post("/apply-template", {"messages": list(messages)})["prompt"])

    def next_tokens(self, prompt: str) -> dict[int, float]:
        """The five likeliest ids after the prompt, with the logarithms of their probabilities.

        Empty where the likeliest is no whole character: then llama.cpp does not say.
        """
        told = {"prompt": prompt, "n_predict": 4, "n_probs": 5, "temperature": 0.0}
        said = self._post("/completion", told | {"return_tokens": True, "ignore_eos": True})
        first = next(iter(said.get("completion_probabilities", ())), None)
        if first is None or first["id"] != said["tokens"][0]:
            return {}
        return {one["id"]: one["logprob"] for one in first["top_logprobs"]}

    def says(self, prompt: str, tokens: int) -> str:
        """What it writes at temperature 0."""
        told = {"prompt": prompt, "n_predict": tokens, "temperature": 0.0}
        return str(self._post("/completion", told)["content"])

    def _post(self, path: str, body: dict[str, Any]) -> Any:  # noqa: ANN401
        request = urllib.request.Request(  # noqa: S310
            self.server.listening_address + path,
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as reply:  # noqa: S310
            return json.loads(reply.read())
