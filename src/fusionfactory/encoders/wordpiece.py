"""Tokenizers: BERT's uncased WordPiece from the vocabulary that ships here, or a tokenizer.json."""

from __future__ import annotations

import gzip
import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from fusionfactory.errors import EncoderError, MissingExtraError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["VOCABULARY_SHA256", "bert_tokenizer", "file_tokenizer"]

VOCABULARY_SHA256 = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"
"""Of `vocab.txt` of bert-base-uncased (Apache-2.0), which all-MiniLM-L6-v2 shares."""

_FILE = "bert_uncased_vocab.txt.gz"
_UNKNOWN = {"unk_token": "[UNK]"}
_CLS, _SEP = ("[CLS]", 101), ("[SEP]", 102)


def bert_tokenizer(max_tokens: int) -> Any:  # noqa: ANN401  tokenizers is optional
    """The tokenizer of all-MiniLM-L6-v2; its ids equal those of the published tokenizer.json.

    Raises:
        MissingExtraError: The `minilm` extra is absent.
        EncoderError: The vocabulary in the installed package is not the published one.
    """
    tokenizers = _tokenizers()
    raw = gzip.decompress(files("fusionfactory.encoders").joinpath(_FILE).read_bytes())
    if hashlib.sha256(raw).hexdigest() != VOCABULARY_SHA256:
        msg = f"{_FILE} of the installed fusionfactory fails its SHA-256: install it again"
        raise EncoderError(msg)
    words = raw.decode().removesuffix("\n").split("\n")
    vocabulary = {word: i for i, word in enumerate(words)}
    made = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, **_UNKNOWN))
    made.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[_CLS, _SEP]
    )
    made.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    made.enable_truncation(max_tokens)
    return made


def file_tokenizer(path: Path, max_tokens: int) -> Any:  # noqa: ANN401  tokenizers is optional
    """The tokenizer of a `tokenizer.json`, without its padding and with our truncation.

    Raises:
        MissingExtraError: The `minilm` extra is absent.
        EncoderError: The file is none that the tokenizers library reads.
    """
    tokenizers = _tokenizers()
    try:
        made = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        msg = f"cannot read the tokenizer {path}: {error}"
        raise EncoderError(msg) from error
    made.no_padding()
    made.enable_truncation(max_tokens)
    return made


def _tokenizers() -> Any:  # noqa: ANN401  tokenizers is optional
    try:
        import tokenizers
    except ImportError as error:
        what = "The tokenizer of minilm and static"
        raise MissingExtraError(what, "minilm") from error
    return tokenizers
