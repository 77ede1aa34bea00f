"""A random model of a few thousand weights, with a tokenizer and a chat template of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fusionfactory.distill.selection import Example, Message, Pair, Selection

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["TEMPLATE", "make_selection", "make_tiny_model"]

TEMPLATE = (
    "{% for message in messages %}{{ '<|start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start|>assistant\n' }}{% endif %}"
)
"""Ends a turn by a token of its own, with a line break after it."""


def make_tiny_model(folder: Path, *, template: str | None = TEMPLATE) -> Path:
    """Writes a Llama of two layers with a byte-level vocabulary as a Hugging Face folder."""
    pytest.importorskip("torch")
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    letters = pre_tokenizers.ByteLevel.alphabet()
    tokens = ["<|text|>", "<|start|>", "<|end|>", *sorted(letters)]
    words = Tokenizer(models.BPE(vocab={t: n for n, t in enumerate(tokens)}, merges=[]))
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    words.add_special_tokens(tokens[:3])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, chat_template=template,
        **dict.fromkeys(["eos_token", "pad_token"], tokens[0]), extra_special_tokens=tokens[1:3],
    )  # fmt: skip
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=len(tokens), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512,
        bos_token_id=0, eos_token_id=0, pad_token_id=0, initializer_range=0.2,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_selection(count: int = 40) -> Selection:
    """Sums with their answers, and pairs of a right and a wrong one."""
    prompts = [
        (Message(role="user", content=f"{n} + {n + 1}" + " please" * (n % 5)),)
        for n in range(count)
    ]
    examples = tuple(
        Example(query_id=f"q{n}", task="sums", prompt=prompt, response=f"It is {2 * n + 1}.",
                arm="strong" if n % 2 else "weak")
        for n, prompt in enumerate(prompts)
    )  # fmt: skip
    pairs = tuple(
        Pair(query_id=f"q{n}", task="sums", prompt=prompt, chosen=f"It is {2 * n + 1}.",
             rejected=f"Perhaps {n}", chosen_arm="strong", rejected_arm="weak", gap=1.0)
        for n, prompt in enumerate(prompts)
    )  # fmt: skip
    return Selection(examples, pairs, {"criterion": "best"}, {})
