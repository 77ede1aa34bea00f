"""`static`: one vector per token, averaged; no transformer runs."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from fusionfactory.atomic import write_atomically
from fusionfactory.cachedir import cache_dir
from fusionfactory.encoders.base import Encoder, check_texts
from fusionfactory.encoders.onnx import packaged_model
from fusionfactory.encoders.wordpiece import bert_tokenizer, file_tokenizer
from fusionfactory.errors import EncoderError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.types import FloatArray

__all__ = ["StaticEncoder", "distilled_path"]

_RECIPE = "1"
_FIRST_CHARACTER, _FIRST_WORD = 999, 1996
_SMOOTHING = 1e-4
_MAX_TOKENS = 512
_MAX_CHARACTERS = 20_000


class StaticEncoder(Encoder):
    """Weighted mean of token vectors, of unit length.

    Without a path, the vectors are those of all-MiniLM-L6-v2 for each token alone, centred and
    weighted by smooth inverse frequency (Arora et al., 2017; the recipe of model2vec, without its
    PCA, which cost routing quality and depends on the machine). They are computed once, in about
    half a minute, and kept in the cache folder. Needs the extra `minilm`. Reads 512 tokens
    and 20,000 characters at most.

    Args:
        path: A model2vec folder (`model.safetensors`, `tokenizer.json`); None for the above.
    """

    name: ClassVar[str] = "static"

    def __init__(self, *, path: str | None = None) -> None:
        self.path = path

    @classmethod
    def from_spec(cls, argument: str) -> Self:
        """`static` or `static:/folder`."""
        return cls(path=argument or None)

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """Returns (n, d) float32 rows of unit length; of zeros for a text without a known token.

        Raises:
            MissingExtraError: The `minilm` extra is absent.
            EncoderError: The folder holds no static model.
        """
        from scipy.sparse import csr_array

        checked = [text[:_MAX_CHARACTERS] for text in check_texts(texts)]
        vectors = _load(self.path)
        found = vectors.tokenizer.encode_batch_fast(checked, add_special_tokens=False)
        ids = [np.array(item.ids, dtype=np.int64) for item in found]
        ends = np.cumsum([0, *map(len, ids)])
        columns = vectors.rows_of_tokens[np.concatenate([np.zeros(0, dtype=np.int64), *ids])]
        weights = vectors.weights[np.concatenate([np.zeros(0, dtype=np.int64), *ids])]
        counts = csr_array((weights, columns, ends), shape=(len(checked), len(vectors.matrix)))
        sums = np.asarray(counts @ vectors.matrix)
        norms = np.linalg.norm(sums, axis=1, keepdims=True)
        rows: FloatArray = (sums / np.where(norms > 0, norms, 1.0)).astype(np.float32)
        return rows


@dataclass(frozen=True, eq=False)
class _Vectors:
    """matrix (rows, d); of every token id its row and its weight."""

    tokenizer: Any
    matrix: FloatArray
    rows_of_tokens: np.ndarray
    weights: FloatArray


def _read_folder(folder: Path) -> _Vectors:
    from safetensors.numpy import load_file

    path = folder / "model.safetensors"
    try:
        tensors = load_file(path)
    except Exception as error:  # safetensors raises errors without a common base
        msg = f"cannot read {path}: {error}; expected a model2vec folder"
        raise EncoderError(msg) from error
    if "embeddings" not in tensors:
        msg = f"{path} has no tensor 'embeddings', only {', '.join(sorted(tensors))}"
        raise EncoderError(msg)
    tokenizer = file_tokenizer(folder / "tokenizer.json", _MAX_TOKENS)
    matrix = tensors["embeddings"].astype(np.float32)
    size = tokenizer.get_vocab_size()
    rows = tensors.get("mapping", np.arange(len(matrix))).astype(np.int64)
    weights = tensors.get("weights", np.ones(len(rows))).astype(np.float32)
    if matrix.ndim != 2 or len(rows) < size or len(weights) < size or rows.max() >= len(matrix):
        msg = f"{path} has {matrix.shape} vectors, which do not fit a vocabulary of {size} tokens"
        raise EncoderError(msg)
    unknown = tokenizer.token_to_id("[UNK]")
    if unknown is not None:
        weights = weights.copy()
        weights[unknown] = 0.0
    return _Vectors(tokenizer, matrix, rows, weights)


def distilled_path() -> Path:
    """Where the vectors distilled from MiniLM are kept."""
    recipe = f"{packaged_model(_MAX_TOKENS).fingerprint}:{_RECIPE}"
    key = hashlib.sha256(recipe.encode()).hexdigest()[:16]
    return cache_dir() / f"static-{key}.safetensors"


def _distilled() -> _Vectors:
    from safetensors.numpy import load_file, save_file

    path = distilled_path()
    if not path.exists():
        made = {"embeddings": _distil(packaged_model(_MAX_TOKENS).token_rows())}
        try:
            write_atomically(path, lambda temporary: save_file(made, temporary))
        except OSError as error:
            msg = (
                f"cannot write {path}: {error.strerror}; set FUSIONFACTORY_CACHE to another folder"
            )
            raise EncoderError(msg) from error
    tokenizer = bert_tokenizer(_MAX_TOKENS)
    try:
        matrix = load_file(path)["embeddings"]
    except Exception as error:  # safetensors raises errors without a common base
        msg = f"{path} is damaged ({error}): delete it, and it will be computed again"
        raise EncoderError(msg) from error
    size = len(matrix)
    return _Vectors(tokenizer, matrix, np.arange(size), np.ones(size, dtype=np.float32))


def _distil(rows: FloatArray) -> FloatArray:
    """Centres and weighs the vectors of BERT's vocabulary, which stands in order of frequency.

    Tokens before the first word are special, unused or single characters.
    """
    share = 1.0 / np.arange(2, len(rows) + 2)
    share /= share.sum()
    weights = _SMOOTHING / (_SMOOTHING + share)
    weights[:_FIRST_CHARACTER] = 0.0
    centred = rows - rows[_FIRST_WORD:].mean(axis=0)
    scaled: FloatArray = (centred * weights[:, None]).astype(np.float32)
    return scaled


_LOADED: dict[tuple[str | None, Path], _Vectors] = {}
_LOCK = threading.Lock()


def _load(path: str | None) -> _Vectors:
    key = (path, cache_dir())
    with _LOCK:
        if key not in _LOADED:
            _LOADED[key] = _distilled() if path is None else _read_folder(Path(path).expanduser())
        return _LOADED[key]
