from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from fusionfactory.encoders import ENCODERS, Encoder, make_encoder
from fusionfactory.encoders.concat import ConcatEncoder
from fusionfactory.encoders.ngrams import NgramProjection, clip_text
from fusionfactory.encoders.surface import SURFACE_NAMES, surface_features
from fusionfactory.encoders.text import TextEncoder
from fusionfactory.errors import EncoderError, InputError, NotFittedError, UnknownNameError
from fusionfactory.estimator import Estimator

if TYPE_CHECKING:
    from pathlib import Path

TOPICS = (
    "photosynthesis",
    "integral of x^2",
    "def add(a, b): return a + b",
    "the French Revolution",
)
TEXTS = [f"Question {i}: explain {TOPICS[i % 4]} in {i % 7} words?" for i in range(40)]
ODD = ["", " ", "\n", "x" * 100_000, "a b " * 25_000, "日本語 é 🙂", "half \ud800 pair", "\x00"]


def embeddings_file(path: Path, texts: list[str]) -> str:
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    rows = np.arange(len(texts) * 3, dtype=np.float32).reshape(-1, 3)
    pl.DataFrame({"text_sha256": digests, "embedding": rows}).write_parquet(path)
    return f"file:{path}"


@pytest.fixture(scope="module", params=["text", "hashing", "hashing+text", "hashing:16+hashing:8"])
def encoder(request: pytest.FixtureRequest) -> Encoder:
    return make_encoder(str(request.param)).fit(TEXTS)


def test_rows_do_not_depend_on_the_batch(encoder: Encoder) -> None:
    rows = encoder.encode(TEXTS)
    assert rows.dtype == np.float32
    singles = np.vstack([encoder.encode([text]) for text in TEXTS])
    assert np.array_equal(rows, singles)
    assert np.array_equal(encoder.encode(TEXTS[::-1]), rows[::-1])


def test_odd_texts_give_finite_rows(encoder: Encoder) -> None:
    rows = encoder.encode(ODD)
    assert rows.shape == (len(ODD), encoder.encode(TEXTS[:1]).shape[1])
    assert np.isfinite(rows).all()
    assert encoder.encode([]).shape == (0, rows.shape[1])


def test_state_round_trip(encoder: Encoder) -> None:
    spec, tensors = encoder.state()
    loaded = Estimator.from_state(spec, tensors)
    assert type(loaded) is type(encoder)
    assert np.array_equal(loaded.encode(TEXTS + ODD), encoder.encode(TEXTS + ODD))


def test_fit_is_deterministic_and_forgets(encoder: Encoder) -> None:
    expected = encoder.encode(TEXTS)
    again = encoder.clone().fit(ODD).fit(TEXTS)
    assert np.array_equal(again.encode(TEXTS), expected)


def test_one_text_is_no_sequence_of_texts(encoder: Encoder) -> None:
    with pytest.raises(InputError, match="wrap it in a list"):
        encoder.encode("a question")


@pytest.mark.parametrize("texts", [[""], ["one"], ["a b", "a c"], ["same"] * 5, TEXTS[:3]])
def test_text_reduces_its_columns_for_few_texts(texts: list[str]) -> None:
    encoder = TextEncoder().fit(texts)
    rows = encoder.encode([*texts, "something else"])
    assert np.isfinite(rows).all()
    words, chars, surface = encoder.widths
    assert words <= len(texts)
    assert chars <= len(texts)
    assert rows.shape[1] == words + chars + surface


def test_text_columns_are_centred_and_clipped() -> None:
    encoder = TextEncoder().fit(TEXTS)
    rows = encoder.encode(TEXTS)
    assert np.abs(rows).max() <= 5.0
    words, chars, _ = encoder.widths
    assert np.allclose(rows[:, : words + chars].mean(axis=0), 0.0, atol=1e-4)


def test_text_tells_topics_apart() -> None:
    rows = TextEncoder(surface=False).fit(TEXTS).encode(TEXTS)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    nearest = (rows @ rows.T - 2 * np.eye(len(rows))).argmax(axis=1)
    assert np.mean(nearest % 4 == np.arange(len(rows)) % 4) > 0.95


def test_text_parameters_leave_blocks_out() -> None:
    assert TextEncoder(char_dims=0).fit(TEXTS).widths[1] == 0
    assert TextEncoder(surface=False).fit(TEXTS).widths[2] == 0


def test_text_before_and_without_texts() -> None:
    encoder = make_encoder("text")
    assert not encoder.is_fitted
    with pytest.raises(NotFittedError, match="TextEncoder is not fitted"):
        encoder.encode(["a"])
    with pytest.raises(InputError, match="at least one text"):
        encoder.fit([])


def test_rare_terms_stay_out_of_a_large_vocabulary() -> None:
    texts = [f"common words and rare{i}" for i in range(400)]
    kept = NgramProjection(dims=4).fit(texts).terms_.tobytes().decode().split("\n")
    assert "common" in kept
    assert not any(term.startswith("rare1") for term in kept)


def test_a_long_text_is_clipped_at_both_ends() -> None:
    text = "a" * 50_000 + "b" * 50_000
    clipped = clip_text(text)
    assert len(clipped) == 8_001
    assert clipped.startswith("aaa")
    assert clipped.endswith("bbb")


def test_surface_features_say_what_they_are_named() -> None:
    text = "Which is $x^2$?\nA) 1,200.5\nB) two\n"
    values = dict(zip(SURFACE_NAMES, surface_features([text])[0], strict=True))
    assert values["first_which"] == 1.0
    assert values["has_what"] == 0.0
    assert values["options"] == pytest.approx(np.log1p(2))
    assert values["newlines"] == pytest.approx(np.log1p(2))
    assert values["numbers"] == pytest.approx(np.log1p(2))
    assert values["largest_number"] == pytest.approx(np.log1p(1200))
    assert values["latex"] > 0.0
    assert values["non_ascii"] == 0.0


def test_hashing_rows_have_unit_length_and_similar_texts_are_close() -> None:
    rows = make_encoder("hashing").encode(["the cat sat", "the cat sat down", "integral dx", ""])
    assert np.allclose(np.linalg.norm(rows, axis=1), [1, 1, 1, 0])
    assert rows[0] @ rows[1] > 0.5 > rows[0] @ rows[2]


def test_file_serves_its_rows(tmp_path: Path) -> None:
    spec = embeddings_file(tmp_path / "a+b.parquet", TEXTS)
    encoder = make_encoder(spec)
    assert encoder.encode([TEXTS[3], TEXTS[0]]).tolist() == [[9, 10, 11], [0, 1, 2]]
    assert make_encoder(f"{spec}+hashing:2").encode(TEXTS).shape == (len(TEXTS), 5)


def test_file_names_a_missing_text(tmp_path: Path) -> None:
    encoder = make_encoder(embeddings_file(tmp_path / "e.parquet", TEXTS))
    with pytest.raises(EncoderError, match=r"no embedding of 'unknown' \(2 texts are missing\)"):
        encoder.encode(["unknown", TEXTS[0], "also unknown"])


def test_file_falls_back_to_another_encoder(tmp_path: Path) -> None:
    spec = embeddings_file(tmp_path / "e.parquet", TEXTS)
    encoder = make_encoder(f"{spec}|hashing:3")
    rows = encoder.encode([TEXTS[1], "unknown", "unknown"])
    unknown = make_encoder("hashing:3").encode(["unknown"])[0]
    assert np.array_equal(rows, [[3, 4, 5], unknown, unknown])
    assert np.array_equal(Estimator.from_state(*encoder.state()).encode(["unknown"])[0], unknown)
    with pytest.raises(EncoderError, match=r"gives 4 columns, but .* has 3"):
        make_encoder(f"{spec}|hashing:4").encode(["unknown"])
    with pytest.raises(InputError, match="text is fitted"):
        make_encoder(f"{spec}|text").encode(["unknown"])


def test_file_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "e.parquet"
    with pytest.raises(EncoderError, match="cannot read the embeddings"):
        make_encoder(f"file:{path}").encode(["a"])
    path.write_bytes(b"no parquet")
    with pytest.raises(EncoderError, match="is no file of embeddings"):
        make_encoder(f"file:{path}").encode(["a"])
    pl.DataFrame({"text_sha256": ["00"], "embedding": [[float("nan")]]}).write_parquet(path)
    with pytest.raises(EncoderError, match="not finite"):
        make_encoder(f"file:{path}").encode(["a"])


def test_concat_is_fitted_as_its_parts_are() -> None:
    assert make_encoder("hashing+hashing:4").is_fitted
    mixed = make_encoder("hashing:4+text")
    assert not mixed.is_fitted
    assert not mixed.pretrained
    with pytest.raises(NotFittedError, match="ConcatEncoder is not fitted"):
        mixed.encode(["a"])
    parts: list[str | Encoder] = [TextEncoder().fit(TEXTS), "hashing"]
    assert ConcatEncoder(parts=parts).encode(TEXTS).shape[0] == len(TEXTS)


def test_concat_leaves_its_parameters_as_they_are() -> None:
    text = TextEncoder()
    ConcatEncoder(parts=[text, "hashing:4"]).fit(TEXTS)
    assert not text.is_fitted
    with pytest.raises(InputError, match="at least one encoder"):
        ConcatEncoder().encode(TEXTS)


def test_every_registered_encoder_loads_and_builds_without_its_extra() -> None:
    specs = {"st": "st:name", "endpoint": "endpoint:m@http://localhost:1/v1", "file": "file:x"}
    for name in ENCODERS.names():
        assert ENCODERS.load(name).name == name
        if name != "concat":
            made = make_encoder(specs.get(name, name))
            assert made.params() == made.clone().params()
            assert Estimator.from_state(*made.state()).params() == made.params()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("bert", "unknown encoder 'bert'; known: text, hashing, minilm"),
        ("minilm+bert", "unknown encoder 'bert'"),
        ("+text", "names no encoder"),
        ("", "names no encoder"),
        ("text:3", "takes no argument, got '3'"),
        ("hashing:0", "expected a number of columns"),
        ("st", "name a model"),
        ("file", "name a file"),
        ("concat:text", "write a sum of encoders"),
    ],
)
def test_specs_that_cannot_be_used(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        make_encoder(spec)
    assert isinstance(caught.value, UnknownNameError) == message.startswith("unknown")


def test_an_encoder_is_its_own_spec() -> None:
    encoder = make_encoder("hashing")
    assert make_encoder(encoder) is encoder
