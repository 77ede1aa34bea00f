"""The journal: acknowledged is written, whatever the disk does and whoever is killed."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from fusionfactory.errors import ConfigError
from fusionfactory.gateway.log.ingest import Ingester
from fusionfactory.gateway.log.journal import Journal
from fusionfactory.gateway.log.record import Attempt, Ran, Record, Said
from fusionfactory.gateway.log.segment import Segment
from fusionfactory.gateway.refusal import Refusal
from fusionfactory.serve_settings import LogSettings
from fusionfactory.store import Store
from gateway_log import a_record, write

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PROGRAM = str(Path(__file__).with_name("gateway_log.py"))


def lines_of(folder: Path) -> list[dict[str, Any]]:
    segments = sorted(folder.glob("*.jsonl"))
    return [json.loads(line) for path in segments for line in path.read_bytes().splitlines()]


def with_journal(
    folder: Path, settings: LogSettings, use: Callable[[Journal], Awaitable[None]]
) -> Journal:
    journal = Journal(folder, 0, settings)

    async def run() -> None:
        journal.start()
        await use(journal)
        await journal.close()

    asyncio.run(run())
    return journal


def test_what_is_acknowledged_is_in_the_file(tmp_path: Path) -> None:
    async def use(journal: Journal) -> None:
        records = [a_record() for _ in range(300)]
        assert all(await asyncio.gather(*(journal.write(record) for record in records)))
        assert [line["id"] for line in lines_of(tmp_path)] == [record.id for record in records]
        assert await journal.event("feedback", {"id": records[0].id, "score": 1.0, "at": 1.0})
        assert lines_of(tmp_path)[-1]["kind"] == "feedback"
        journal.check()

    journal = with_journal(tmp_path, LogSettings(when_full="refuse"), use)
    assert (journal.written, journal.shed, journal.waiting) == (301, 0, 0)


def test_a_segment_is_ended_when_it_is_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fusionfactory.gateway.log.journal._SEGMENT_BYTES", 20_000)
    asyncio.run(write(tmp_path, *(a_record(response="x" * 3000) for _ in range(20))))
    sizes = [path.stat().st_size for path in tmp_path.glob("*.jsonl")]
    assert len(sizes) > 2
    assert max(sizes) < 30_000
    assert len(lines_of(tmp_path)) == 20


def test_no_request_fails_for_what_json_cannot_say(tmp_path: Path) -> None:
    deep: list[Any] = []
    for _ in range(600):
        deep = [deep]
    odd = [{"n": 2**80, "half": "\ud83d", 3: b"x"}, deep]
    asyncio.run(write(tmp_path, a_record(text="half \ud83d", messages=odd)))
    (line,) = lines_of(tmp_path)
    assert line["text"] == "half ?"
    assert line["messages"][0] == {"n": str(2**80), "half": "?", "3": "b'x'"}
    assert line["attempts"][0]["arm"] == "small"


def test_more_than_may_wait_is_shed_and_said(tmp_path: Path) -> None:
    async def use(journal: Journal) -> None:
        kept = await asyncio.gather(*(journal.write(a_record()) for _ in range(9)))
        assert kept == [True] * 4 + [False] * 5
        await journal.write(a_record())

    journal = with_journal(tmp_path, LogSettings(queue=4), use)
    assert (journal.written, journal.shed) == (5, 5)
    assert sum(line["requests"] for line in lines_of(tmp_path) if "kind" in line) == 5


def test_a_slow_disk_holds_an_answer_no_longer_than_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = Segment.append

    def slow(segment: Segment, lines: list[bytes]) -> int:
        time.sleep(0.5)
        return append(segment, lines)

    monkeypatch.setattr(Segment, "append", slow)

    async def use(journal: Journal) -> None:
        before = time.perf_counter()
        done = [asyncio.create_task(journal.write(a_record())) for _ in range(3)]
        assert await asyncio.gather(*done) == [False] * 3
        assert time.perf_counter() - before < 0.45

    journal = with_journal(tmp_path, LogSettings(wait_s=0.02), use)
    assert (journal.written, journal.shed) == (3, 0)
    assert len(lines_of(tmp_path)) == 3


def test_a_cancelled_request_does_not_hold_up_others(tmp_path: Path) -> None:
    async def use(journal: Journal) -> None:
        tasks = [asyncio.create_task(journal.write(a_record())) for _ in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        assert [await tasks[0], await tasks[2]] == [True, True]

    assert with_journal(tmp_path, LogSettings(), use).written == 3


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match=r"the journal cannot be written: Not a directory"):
        Journal(tmp_path / "file" / "journal", 0, LogSettings()).start()


@pytest.mark.parametrize("when_full", ["shed", "refuse"])
def test_a_disk_that_is_taken_away(tmp_path: Path, when_full: Literal["shed", "refuse"]) -> None:
    folder = tmp_path / "journal"

    async def use(journal: Journal) -> None:
        assert await journal.write(a_record())
        shutil.rmtree(folder)
        folder.write_text("no folder")
        assert journal._segment is not None
        os.close(journal._segment.file)  # what a broken disk looks like
        assert not await journal.write(a_record(id="late"))
        while not journal.failing:
            await asyncio.sleep(0.01)
        if when_full == "refuse":
            with pytest.raises(Refusal, match=r"cannot log requests at present \(.*\)") as caught:
                journal.check()
            assert (caught.value.status, caught.value.headers) == (503, {"retry-after": "1"})
        else:
            journal.check()
        folder.unlink()
        folder.mkdir()
        while journal.failing:
            await asyncio.sleep(0.01)
        journal.check()
        assert [line["id"] for line in lines_of(folder)] == ["late"]

    journal = with_journal(folder, LogSettings(when_full=when_full, wait_s=0.05), use)
    assert (journal.written, journal.shed, journal.waiting) == (2, 0, 0)


def test_a_full_disk(tmp_path: Path) -> None:
    """A real one, of 200 kB: nothing acknowledged is lost, and lines stay whole."""
    script = f"mount -t tmpfs -o size=200k tmpfs {tmp_path} && exec {sys.executable} {PROGRAM} full"
    command = ["unshare", "-rm", "sh", "-c", f"{script} {tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "mount" in done.stderr or "unshare" in done.stderr:
        pytest.skip("no small disk can be mounted here")
    assert done.returncode == 0, done.stderr
    first, stalled, kept, written, *lines = done.stdout.splitlines()
    assert first.startswith("refusing 'No space left on device' waiting 50 shed 1")
    assert float(stalled.split()[1]) < 0.5
    entries = [json.loads(line) for line in lines]
    ids = [entry["id"] for entry in entries if "id" in entry]
    assert set(kept.split()[1:]) <= set(ids)
    assert len(ids) == len(set(ids)) == int(written.split()[1])
    gaps = [entry["requests"] for entry in entries if entry.get("kind") == "gap"]
    assert sum(gaps) == int(written.split()[3])


def test_a_torn_write_leaves_whole_lines(tmp_path: Path) -> None:
    """A limit on the file's size cuts a batch in the middle of a line, as a full disk may."""
    program = f"""
import resource, sys
sys.path.insert(0, {str(Path(PROGRAM).parent)!r})
from pathlib import Path
from fusionfactory.gateway.log.segment import Segment
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
segment = Segment.create(Path({str(tmp_path)!r}), 0)
print(segment.append([b"x" * 299 + b"\\n"] * 5), segment.size, segment.path.stat().st_size)
try:
    segment.append([b"y" * 299 + b"\\n"])
except OSError as error:
    print(error.strerror)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines()[0] == "3 900 900", done.stderr


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_random_nothing_acknowledged_is_lost(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311
    folder, database = tmp_path / "journal", tmp_path / "runs.db"
    program = (
        "import sys; from pathlib import Path\n"
        "from fusionfactory.gateway.log.ingest import Ingester\n"
        "from fusionfactory.serve_settings import LogSettings\n"
        "from fusionfactory.store import Store\n"
        "ingester = Ingester(Store(sys.argv[1]), Path(sys.argv[2]), LogSettings())\n"
        "while True: ingester.step()"
    )
    said: list[str] = []
    for round_ in range(3):
        writers = [
            subprocess.Popen(
                [sys.executable, PROGRAM, str(folder), str(worker)], stdout=subprocess.PIPE
            )
            for worker in range(2)
        ]
        mover = subprocess.Popen([sys.executable, "-c", program, str(database), str(folder)])
        for writer in writers:
            assert writer.stdout is not None
            said.append(writer.stdout.readline().decode().strip())  # it has begun
        time.sleep(rng.uniform(0.05, 0.6))
        for process in rng.sample([*writers, mover], 3):
            process.send_signal(signal.SIGKILL)
            time.sleep(rng.uniform(0, 0.05))
        for writer in writers:
            said += writer.communicate()[0].decode().split("\n")[:-1]
        mover.wait()
        assert len(said) > 50 * round_
    with Store(database) as store:
        ingester = Ingester(store, folder, LogSettings())
        while ingester.step():
            pass
        stored = [query.id for query in store.queries()]
        assert set(said) <= set(stored)
        assert len(stored) == len(set(stored)) == store.count()
    assert not list(folder.glob("*.jsonl"))


SECRETS = LogSettings(redact=(r"(?i)secret-\d+", r"\b\d{4}-\d{4}\b"))


def a_secret_record() -> Record:
    return a_record(
        text="my SECRET-123 and 1234-5678",
        messages=[{"role": "user", "content": [{"type": "text", "text": "secret-9"}]}],
        response="it is secret-1",
        error="the endpoint said: secret-2",
        attempts=[Attempt("small", 0.1, 500, "bad prompt: secret-3")],
        plan=Ran("careful", said=[Said("small", "it is secret-4")]),
    )


def test_a_segment_that_somebody_deleted_takes_no_further_record(tmp_path: Path) -> None:
    folder = tmp_path / "journal"

    async def use(journal: Journal) -> None:
        await journal.write(a_record(id="first"))
        shutil.rmtree(folder)
        assert await journal.write(a_record(id="second"))

    with_journal(folder, LogSettings(), use)
    assert [line["id"] for line in lines_of(folder)] == ["second"]


def test_redaction_comes_before_the_disk(tmp_path: Path) -> None:
    named = a_record(asked="auto:secret-5", messages=[{"role": "user", "secret-6": 1}])
    asyncio.run(write(tmp_path, a_secret_record(), named, settings=SECRETS))
    (path,) = tmp_path.glob("*.jsonl")
    assert b"ecret-" not in path.read_bytes().lower()
    line, _ = lines_of(tmp_path)
    assert line["text"] == "my [redacted] and [redacted]"
    assert line["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "[redacted]"}]}
    ]
    assert line["attempts"][0]["error"] == "bad prompt: [redacted]"


@pytest.mark.parametrize("texts", ["hash", "none"])
def test_texts_that_are_not_kept(tmp_path: Path, texts: Literal["hash", "none"]) -> None:
    record = a_secret_record()
    settings = LogSettings(texts=texts)

    async def use(journal: Journal) -> None:
        await journal.write(record)
        await journal.event("feedback", {"id": record.id, "at": 1.0, "target": "secret-7"})

    with_journal(tmp_path, settings, use)
    (path,) = tmp_path.glob("*.jsonl")
    assert b"ecret" not in path.read_bytes().lower()
    line, event = lines_of(tmp_path)
    known = f"sha256:{hashlib.sha256(record.text.encode()).hexdigest()}"
    assert line["text"] == (known if texts == "hash" else "")
    assert (line["error"], line["attempts"][0]["error"]) == ("[withheld]", "[withheld]")
    assert (event["target"] is None) == (texts == "none")
    assert record.text == "my SECRET-123 and 1234-5678"
