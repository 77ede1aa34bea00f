from __future__ import annotations

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fusionfactory.cachedir import cache_dir
from fusionfactory.encoders.cache import EmbeddingCache, session_cache, text_key
from fusionfactory.encoders.cached import CachedEncoder
from fusionfactory.errors import EncoderError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from fusionfactory.types import FloatArray


class LengthEncoder(CachedEncoder):
    """A real small model: counts letters. Stops like a killed run after `stop_after` blocks."""

    name = "length"

    def __init__(self, *, cache: bool = True, dim: int = 2, stop_after: int | None = None) -> None:
        self.cache = cache
        self.dim = dim
        self.stop_after = stop_after
        self.asked: list[str] = []

    def fingerprint(self) -> str:
        return "length"

    def embed(self, texts: Sequence[str]) -> Iterator[FloatArray]:
        for number, start in enumerate(range(0, len(texts), 2)):
            if number == self.stop_after:
                raise KeyboardInterrupt
            part = texts[start : start + 2]
            self.asked += part
            yield np.array(
                [[len(t), t.count("e")] + [0] * (self.dim - 2) for t in part], np.float32
            )


TEXTS = ["eee", "a", "", "seven e", "a", "longest of them all", "ee"]
ROWS = [[3, 3], [1, 0], [0, 0], [7, 3], [1, 0], [19, 2], [2, 2]]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("FUSIONFACTORY_CACHE", str(tmp_path / "cache"))
    yield
    session_cache().close()


def test_a_text_is_embedded_once_and_the_shortest_first() -> None:
    encoder = LengthEncoder()
    assert encoder.encode(TEXTS).tolist() == ROWS
    assert encoder.asked == sorted(set(TEXTS), key=len)
    session_cache().close()
    again = LengthEncoder()
    assert again.encode(TEXTS[::-1]).tolist() == ROWS[::-1]
    assert again.encode([*TEXTS, "new"])[-1].tolist() == [3, 1]
    assert again.asked == ["new"]


def test_the_memory_serves_without_the_file() -> None:
    LengthEncoder().encode(TEXTS)
    assert session_cache().get("length", [text_key("a")])[text_key("a")].tolist() == [1, 0]
    session_cache().path.write_bytes(b"")
    again = LengthEncoder()
    again.encode(TEXTS)
    assert again.asked == []


def test_the_memory_is_bounded(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path / "e.sqlite", memory_bytes=80)
    keys = [text_key(str(i)) for i in range(50)]
    cache.put("f", keys, np.arange(100, dtype=np.float32).reshape(50, 2))
    assert len(cache._memory) == 10
    assert len(cache.get("f", keys)) == 50
    cache.close()


def test_an_interrupted_run_keeps_its_blocks() -> None:
    with pytest.raises(KeyboardInterrupt):
        LengthEncoder(stop_after=2).encode(TEXTS)
    session_cache().close()
    second = LengthEncoder()
    assert second.encode(TEXTS).tolist() == ROWS
    assert len(second.asked) == len(set(TEXTS)) - 4


def test_without_the_cache_nothing_is_written() -> None:
    encoder = LengthEncoder(cache=False)
    assert encoder.encode(TEXTS).tolist() == ROWS
    assert len(encoder.asked) == len(set(TEXTS))
    assert not cache_dir().exists()


def test_a_changed_dimension_is_an_error() -> None:
    LengthEncoder().encode(["a"])
    with pytest.raises(EncoderError, match=r"gave 3 columns, but its rows in the cache .* have 2"):
        LengthEncoder(dim=3).encode(["b"])


def test_encoders_do_not_share_rows(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path / "e.sqlite")
    cache.put("one", [text_key("a")], np.ones((1, 2), dtype=np.float32))
    assert cache.get("two", [text_key("a")]) == {}
    cache.close()


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (np.zeros((0, 2)), "gave 0 rows for 1 texts"),
        (np.zeros((1, 2, 2)), r"shape \(1, 2, 2\)"),
        (np.zeros((2, 2)), r"shape \(2, 2\), not \(1, 2\)"),
        (np.full((1, 2), np.nan), "no finite numbers"),
    ],
)
def test_a_model_that_answers_wrongly(block: FloatArray, message: str) -> None:
    class Wrong(LengthEncoder):
        def embed(self, texts: Sequence[str]) -> Iterator[FloatArray]:
            yield block

    with pytest.raises(EncoderError, match=message):
        Wrong().encode(["a"])


def test_a_file_that_is_no_database() -> None:
    path = cache_dir() / "embeddings.sqlite"
    path.parent.mkdir()
    path.write_bytes(b"this is not a database" * 100)
    with pytest.raises(EncoderError, match=r"is damaged \(file is not a database\): delete it"):
        LengthEncoder().encode(["a"])


def test_a_damaged_row_is_never_served() -> None:
    LengthEncoder().encode(["a"])
    session_cache().close()
    connection = sqlite3.connect(session_cache().path)
    connection.execute("UPDATE embeddings SET vector = zeroblob(8)")
    connection.commit()
    connection.close()
    with pytest.raises(EncoderError, match="fails its checksum"):
        LengthEncoder().encode(["a"])


def test_a_newer_file_is_refused() -> None:
    LengthEncoder().encode(["a"])
    session_cache().close()
    connection = sqlite3.connect(session_cache().path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(EncoderError, match="written by a newer fusionfactory"):
        LengthEncoder().encode(["a"])


def test_a_folder_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "taken").write_text("a file")
    monkeypatch.setenv("FUSIONFACTORY_CACHE", str(tmp_path / "taken" / "cache"))
    with pytest.raises(EncoderError, match="cannot make the folder of the embedding cache"):
        LengthEncoder().encode(["a"])


def test_threads_share_one_cache() -> None:
    encoder = LengthEncoder()
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda i: encoder.encode([f"text {i % 20}"])[0, 0], range(200)))
    assert rows == [len(f"text {i % 20}") for i in range(200)]


PROCESS = """
import sys
from pathlib import Path
import numpy as np
from fusionfactory.encoders.cache import EmbeddingCache, text_key
cache = EmbeddingCache(Path(sys.argv[1]))
for i in range(100):
    keys = [text_key(f"{i} {j}") for j in range(5)]
    cache.put("f", keys, np.full((5, 3), i, dtype=np.float32))
    assert all((row == i).all() for row in cache.get("f", keys).values())
"""


def test_processes_share_one_file(tmp_path: Path) -> None:
    path = tmp_path / "e.sqlite"
    command = [sys.executable, "-c", PROCESS, str(path)]
    running = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait(timeout=60) for process in running] == [0, 0, 0]
    cache = EmbeddingCache(path)
    keys = [text_key(f"{i} {j}") for i in range(100) for j in range(5)]
    assert len(cache.get("f", keys)) == 500
    cache.close()
