"""The tokenizer of a GGUF file, rebuilt from the file's own fields.

`transformers` can convert one too, but what it makes has the wrong end token, splits numbers
otherwise or changes when it is saved, so that a student would learn tokens that llama.cpp never
shows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fusionfactory.errors import DistillError, MissingExtraError

if TYPE_CHECKING:
    from fusionfactory.distill.models.header import GgufHeader

__all__ = ["SPLITS", "rebuild_tokenizer"]

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_QWEN2 = (
    r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

SPLITS: dict[str, tuple[str, ...]] = {
    "gpt-2": (_GPT2,),
    "smollm": (r"\p{N}", _GPT2),
    "qwen2": (_QWEN2,),
}
"""Name of a way to split texts before the merges, to its patterns, one after the other."""

_CONTROL, _USER_DEFINED = 3, 4
_FIELD = "tokenizer.ggml."


def rebuild_tokenizer(header: GgufHeader) -> Any:  # noqa: ANN401  a tokenizer of transformers
    """The file's tokenizer, with its chat template, for `transformers`.

    Raises:
        DistillError: The vocabulary is not a byte-level BPE, or is split in an unknown way.
        MissingExtraError: The extra `distill` is not installed.
    """
    try:
        from transformers import PreTrainedTokenizerFast
    except ModuleNotFoundError:
        what = f"Training {header.path.name}"
        raise MissingExtraError(what, "distill") from None
    tokens = header.need(_FIELD + "tokens")
    named = {
        role: tokens[header.fields[f"{_FIELD}{field}_token_id"]]
        for role, field in (
            ("bos_token", "bos"),
            ("eos_token", "eos"),
            ("unk_token", "unknown"),
            ("pad_token", "padding"),
        )
        if f"{_FIELD}{field}_token_id" in header.fields
    }
    named.setdefault("pad_token", named.get("eos_token", tokens[0]))
    return PreTrainedTokenizerFast(
        tokenizer_object=_backend(header, tokens),
        model_max_length=int(header.need_setting("context_length")),
        clean_up_tokenization_spaces=False,
        chat_template=header.fields.get("tokenizer.chat_template"),
        **named,
    )


def _backend(header: GgufHeader, tokens: list[str]) -> Any:  # noqa: ANN401  of `tokenizers`
    from tokenizers import AddedToken, Tokenizer, decoders, models

    kind = header.need(_FIELD + "model")
    if kind != "gpt2":
        msg = f"a vocabulary of the kind {kind!r}, expected 'gpt2' (byte-level BPE): "
        msg += "name the model's Hugging Face folder instead"
        raise DistillError(msg, file=header.path, field=_FIELD + "model")
    merges = [tuple(merge.split(" ", 1)) for merge in header.need(_FIELD + "merges")]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, fuse_unk=False))
    tokenizer.pre_tokenizer = _splits(header)
    tokenizer.decoder = decoders.ByteLevel()
    types = header.fields.get(_FIELD + "token_type", [])
    added = [
        AddedToken(tokens[number], normalized=False, special=kind == _CONTROL)
        for number, kind in enumerate(types)
        if kind in {_CONTROL, _USER_DEFINED}
    ]
    tokenizer.add_tokens(added)
    if header.fields.get(_FIELD + "add_bos_token"):
        from tokenizers import processors

        number = header.need(_FIELD + "bos_token_id")
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{tokens[number]} $A", special_tokens=[(tokens[number], number)]
        )
    return tokenizer


def _splits(header: GgufHeader) -> Any:  # noqa: ANN401  of `tokenizers`
    from tokenizers import Regex, pre_tokenizers

    name = header.need(_FIELD + "pre")
    if name not in SPLITS:
        msg = f"texts are split in the way {name!r}, expected one of {', '.join(SPLITS)}: "
        msg += "name the model's Hugging Face folder instead"
        raise DistillError(msg, file=header.path, field=_FIELD + "pre")
    steps: list[Any] = [
        pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in SPLITS[name]
    ]
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))
    return pre_tokenizers.Sequence(steps)
