"""From the journal into the store and out of it again, on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
import time
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pytest

from fusionfactory.errors import StoreError
from fusionfactory.evaluation import evaluate
from fusionfactory.gateway.log.ingest import Ingester
from fusionfactory.gateway.log.journal import Journal
from fusionfactory.gateway.log.latency import histogram, merged, quantiles
from fusionfactory.gateway.log.record import Attempt, Ran, Record, Said
from fusionfactory.gateway.log.retention import Retention
from fusionfactory.gateway.log.rows import outcome_rows
from fusionfactory.gateway.log.segment import Segment
from fusionfactory.gateway.log.traffic import Traffic
from fusionfactory.intervals import wilson
from fusionfactory.scoring import score_outcomes
from fusionfactory.serve_settings import LogSettings
from fusionfactory.store import SCHEMA_VERSION, Store
from fusionfactory.types import Score
from gateway_log import a_record, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with Store(store_url) as opened:
        yield opened


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "runs.db") as opened:
        yield opened


def ingest(store: Store, folder: Path, settings: LogSettings | None = None) -> Traffic:
    ingester = Ingester(store, folder, settings or LogSettings())
    while ingester.step():
        pass
    return Traffic(store)


def put(store: Store, folder: Path, *records: Record) -> Traffic:
    asyncio.run(write(folder, *records))
    return ingest(store, folder)


def put_lines(folder: Path, *lines: bytes) -> Segment:
    folder.mkdir(exist_ok=True)
    segment = Segment.create(folder, 0)
    segment.append(list(lines))
    return segment


def line(record: Record) -> bytes:
    return orjson.dumps(record) + b"\n"


def said(request: str, **facts: Any) -> bytes:  # noqa: ANN401  any fact
    return orjson.dumps({"kind": "feedback", "id": request, "at": 5.0, **facts}) + b"\n"


def test_a_record_comes_back_as_it_went_in(store: Store, tmp_path: Path) -> None:
    failed = Attempt("big", 0.25, 503, "overloaded", None)
    hedged = Attempt("small", 0.5, 200, None, 0.0002, hedge=True)
    messages = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Ünï?"}]
    record = a_record(
        attempts=[failed, hedged], messages=messages, strategy="think", stream=True, error=None
    )
    traffic = put(store, tmp_path / "journal", record, a_record(at=1.0))
    found = traffic.decision(record.id)
    assert found is not None
    more = {name: found.pop(name) for name in ("quality", "judge", "target", "feedback")}
    assert more == {"quality": None, "judge": None, "target": None, "feedback": []}
    assert (found.pop("expected_quality"), found.pop("expected_cost_usd")) == (0.75, 0.0001)
    assert found == asdict(record)
    assert traffic.decision("req_unknown") is None
    assert not list((tmp_path / "journal").iterdir())


def test_a_record_of_nothing_much(store: Store, tmp_path: Path) -> None:
    traffic = put(store, tmp_path, Record("r1", 1.5), Record("r2", 2.5, status=400, error="no"))
    assert [item["id"] for item in traffic.recent()] == ["r2", "r1"]
    found = traffic.decision("r1")
    assert found is not None
    assert {name: found[name] for name in asdict(Record("r1", 1.5))} == asdict(Record("r1", 1.5))
    assert traffic.table() is None
    summary = traffic.summary(0)
    assert (summary["requests"], summary["errors"], summary["arms"]) == (2, 1, {})


def test_requests_become_queries_and_outcomes(store: Store, tmp_path: Path) -> None:
    attempts = [
        Attempt("big", 0.1, 500, "broken", 0.5),
        Attempt("big", 0.2, 500, "broken again"),
        Attempt("small", 0.3, 500, "once"),
        Attempt("small", 0.4, 200, None, 0.25),
    ]
    record = a_record(attempts=attempts, chosen="big", why="explore", propensity=0.125, at=0.0)
    broken = a_record(error="the stream broke", attempts=[Attempt("small", 0.3, 200, None, 0.5)])
    embedding = a_record(api="embeddings", arm="embed", chosen=None, attempts=[Attempt("embed", 1)])
    cached = a_record(cache="hit", attempts=[])
    put(store, tmp_path, record, broken, embedding, cached)
    found = {(o.query_id, o.arm): o for o in store.outcomes()}
    assert set(found) == {(record.id, "big"), (record.id, "small"), (broken.id, "small")}
    big, small = found[record.id, "big"], found[record.id, "small"]
    assert (big.error, big.cost_usd, big.propensity, big.response) == (
        "broken again",
        0.5,
        0.125,
        None,
    )
    assert (small.error, small.cost_usd, small.propensity) == (None, 0.25, None)
    assert (small.response, small.input_tokens, small.finish_reason) == ("Paris.", 12, "stop")
    assert small.logprob == -0.25
    assert (small.latency_s, small.created and small.created.timestamp()) == (0.4, 0.0)
    assert found[broken.id, "small"].error == "the stream broke"
    assert {query.task for query in store.queries()} == {None}


def test_what_a_plans_arms_said_are_outcomes_of_theirs(store: Store, tmp_path: Path) -> None:
    said = [Said("small", "Paris.", "stop", 12, 3), Said("big", "It is Paris.", "stop", 12, 5)]
    stages = [["small", "big|think"], ["big"]]
    tried = [
        Attempt("small", 0.5, 200, None, 0.001), Attempt("big|think", 0.2, 503, "overloaded", 0.0),
        Attempt("big", 0.4, 200, None, 0.02),
    ]  # fmt: skip
    record = a_record(
        attempts=tried, chosen="careful", arm="careful", propensity=None, why="plan",
        response="Paris.", cost_usd=0.021, input_tokens=24, output_tokens=8, latency_s=1.0,
        plan=Ran("careful", "contains", stages, "small", 0.9, said),
    )  # fmt: skip
    traffic = put(store, tmp_path / "j", record)
    found = traffic.decision(record.id)
    assert found is not None
    assert found["plan"] == {
        "plan": "careful", "metric": "contains", "stages": stages, "answer": "small",
        "confidence": 0.9,
    }  # fmt: skip
    assert found["arm"] == "careful"
    rows = {outcome.arm: outcome for outcome in store.outcomes()}
    assert set(rows) == {"small", "big", "big|think", "careful"}
    assert (rows["small"].response, rows["small"].output_tokens) == ("Paris.", 3)
    assert (rows["big"].response, rows["big"].cost_usd) == ("It is Paris.", 0.02)
    assert (rows["big|think"].response, rows["big|think"].error) == (None, "overloaded")
    assert (rows["careful"].cost_usd, rows["careful"].input_tokens) == (0.021, 24)
    assert traffic.summary(0)["arms"]["careful"]["cost_usd"] == pytest.approx(0.021)


def test_a_cost_without_usage_stays_unknown(sqlite_store: Store, tmp_path: Path) -> None:
    attempts = [Attempt("big", 0.1, 500, "x", 0.5), Attempt("small", 0.4, 200)]
    traffic = put(sqlite_store, tmp_path, a_record(attempts=attempts, cost_usd=None))
    assert {o.arm: o.cost_usd for o in sqlite_store.outcomes()} == {"big": 0.5, "small": None}
    assert (traffic.summary(0)["cost_usd"], traffic.summary(0)["unpriced"]) == (0.0, 1)


def test_a_line_half_written_waits_for_its_rest(sqlite_store: Store, tmp_path: Path) -> None:
    first, second = line(a_record(id="a")), line(a_record(id="b"))
    segment = put_lines(tmp_path / "j", first)
    ingester = Ingester(sqlite_store, tmp_path / "j", LogSettings())
    os.write(segment.file, second[:50])
    assert (ingester.step(), ingester.step()) == (1, 0)
    os.write(segment.file, second[50:])
    assert ingester.step() == 1
    assert [query.id for query in sqlite_store.queries()] == ["a", "b"]
    assert segment.path.exists()  # its writer lives
    os.write(segment.file, second[:50])
    segment.close()
    assert (ingester.step(), ingester.step()) == (1, 0)
    assert [path.suffix for path in (tmp_path / "j").iterdir()] == [".damaged"]


def test_damaged_lines_are_set_aside(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    bad = [
        b"no json\n",
        b"[1]\n",
        b"\0\0\0\n",
        b'{"id": 5, "at": 1}\n',
        b'{"id": "x", "at": -1}\n',
        b'{"id": "x", "at": 1, "cost_usd": "much"}\n',
        b'{"id": "x", "at": 1, "arm": "|"}\n',
        b'{"id": "x", "at": 1, "attempts": [{"arm": 3}]}\n',
        b'{"kind": "gossip"}\n',
        said("a", score=1.5),
        said("a", thumbs="sideways"),
        b'{"id": "\\u0000", "messages": ' + b"[" * 1000 + b"]" * 1000 + b"}\n",
    ]
    good = [line(a_record(id=f"g{number}", text="nul \0 here")) for number in range(len(bad))]
    put_lines(folder, *itertools.chain(*zip(good, bad, strict=True))).close()
    traffic = ingest(store, folder)
    assert traffic.summary(0)["requests"] == len(good)
    assert {query.text for query in store.queries()} == {"nul  here"}
    (aside,) = folder.iterdir()
    kept = [entry.split(b"\t", 1) for entry in aside.read_bytes().splitlines(keepends=True)]
    assert [text for _, text in kept] == bad
    assert kept[0][0] == str(len(good[0])).encode()


ODD: tuple[Any, ...] = (
    *(None, True, -1, 10**17, 2**70, 1e300, 0.5, "", "x" * 5000, "\0", [], [None], [[1, 2]], {}),
    *({"a": None}, {"a": [1, "b"]}, {"a": [None, None]}, ["text"]),
    [{"arm": "m", "status": 10**17, "hedge": "yes"}],
    {"plan": "p", "confidence": 10**17, "said": [{"arm": "small", "input_tokens": 10**17}]},
    *({"plan": "p", "stages": [1]}, {"plan": "p", "said": ["small"]}, {"plan": 1}),
)


def test_no_value_of_any_field_stops_the_rest(store: Store, tmp_path: Path) -> None:
    names = list(asdict(a_record()))
    lines = [line(a_record(id="first"))]
    for number, (name, value) in enumerate(itertools.product(names, ODD)):
        facts = asdict(a_record(id=f"r{number}")) | {name: value}
        text = orjson.dumps(facts, default=str) if value != 2**70 else repr(facts).encode()
        lines.append(text + b"\n")
    put_lines(tmp_path / "j", *lines, line(a_record(id="last"))).close()
    traffic = ingest(store, tmp_path / "j")
    assert traffic.decision("first") is not None
    assert traffic.decision("last") is not None
    stored = [query.id for query in store.queries()]
    assert len(stored) > 100
    assert all(traffic.decision(name) for name in stored[::20])
    (aside,) = (tmp_path / "j").iterdir()
    set_aside = len(aside.read_bytes().splitlines())
    assert set_aside + len(stored) == len(lines) + 1
    traffic.summary(0)


def test_what_the_store_refuses_is_set_aside_alone(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule of the store that the reader of lines does not know."""

    def rows(record: Record, *rest: Any) -> list[dict[str, Any]]:  # noqa: ANN401
        found = outcome_rows(record, *rest)
        return [row | ({"cost_usd": -1.0} if record.id == "g3" else {}) for row in found]

    monkeypatch.setattr("fusionfactory.gateway.log.recorded.outcome_rows", rows)
    folder = tmp_path / "journal"
    put_lines(folder, *(line(a_record(id=f"g{number}")) for number in range(7))).close()
    ingest(store, folder)
    assert [query.id for query in store.queries()] == ["g0", "g1", "g2", "g4", "g5", "g6"]
    (aside,) = folder.iterdir()
    assert b'"g3"' in aside.read_bytes()


def test_a_line_that_was_written_twice_counts_once(store: Store, tmp_path: Path) -> None:
    lines = [line(a_record(id="a")), line(a_record(id="b"))]
    put_lines(tmp_path / "j", *lines, *lines).close()
    put_lines(tmp_path / "j", *lines).close()
    traffic = ingest(store, tmp_path / "j")
    assert (traffic.summary(0)["requests"], store.count()) == (2, 2)


def test_two_ingesters_share_the_work(store: Store, tmp_path: Path) -> None:
    segment = put_lines(tmp_path / "j", *(line(a_record(id=f"a{n}")) for n in range(5)))
    first, second = (Ingester(store, tmp_path / "j", LogSettings()) for _ in range(2))
    assert (first.step(), second.step()) == (5, 0)
    segment.append([line(a_record(id="b"))])
    assert first._offset(segment.path.name) == second._offset(segment.path.name)
    assert second.step() == 1
    segment.append([line(a_record(id="c"))])
    # What it reads begins at an old place: it must not think that all is in the store.
    while first.step():
        pass
    assert Traffic(store).summary(0)["requests"] == store.count() == 7
    segment.close()


def test_a_store_that_cannot_be_written_loses_nothing(
    sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "journal"
    put_lines(folder, line(a_record(id="a", text="Later?"))).close()
    ingester = Ingester(sqlite_store, folder, LogSettings())

    def fail(*_: object, **__: object) -> None:
        msg = "database or disk is full"
        raise sqlite3.OperationalError(msg)

    with monkeypatch.context() as patch:
        patch.setattr("fusionfactory.gateway.log.ingest.apply_feedback", fail)
        with pytest.raises(StoreError, match="database or disk is full"):
            ingester.step()
    assert list(sqlite_store.queries()) == []
    assert ingester.step() == 1
    assert [query.text for query in sqlite_store.queries()] == ["Later?"]
    assert not list(folder.iterdir())


def test_the_last_feedback_counts_whichever_worker_took_it(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    put(store, folder, a_record(id="one"))
    put_lines(folder, said("one", at=7.0, score=0.75)).close()
    ingest(store, folder)
    put_lines(folder, said("one", at=6.0, score=0.25)).close()
    found = ingest(store, folder).decision("one")
    assert found is not None
    assert found["quality"] == 0.75
    assert [item["at"] for item in found["feedback"]] == [6.0, 7.0]


def test_feedback_becomes_the_score_of_the_answer(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    lines = [
        said("up", thumbs="up"),
        said("some", score=0.25, key="bob"),
        said("right", target="paris"),
    ]
    put_lines(folder, *lines).close()
    ingester = Ingester(store, folder, LogSettings())
    assert ingester.step() == 3  # before the requests, which another worker wrote
    names = ("up", "some", "right", "wrong", "failed")
    failed = {"error": "no", "attempts": [Attempt("small", 1.0, 500, "no")]}
    records = [a_record(id=name, **(failed if name == "failed" else {})) for name in names]
    wrong = [said("wrong", target="Rome", score=0.5), said("failed", score=1.0)]
    put_lines(folder, *map(line, records), *wrong).close()
    traffic = ingest(store, folder)
    found = {name: traffic.decision(name) or {} for name in names}
    qualities = {name: found[name]["quality"] for name in names}
    assert qualities == {"up": 1.0, "some": 0.25, "right": 1.0, "wrong": 0.5, "failed": None}
    assert found["some"]["feedback"] == [{"at": 5.0, "key": "bob", "score": 0.25, "target": None}]
    assert found["failed"]["feedback"][0]["score"] == 1.0
    assert found["right"]["target"] == "paris"
    scores = {o.query_id: o.scores for o in store.outcomes()}
    assert scores["up"] == (Score("performance", 1.0, "feedback"),)
    assert scores["right"] == (Score("performance", 1.0, "contains", "2"),)
    assert [score.scorer for score in scores["wrong"]] == ["contains", "feedback"]
    done = score_outcomes(store)
    assert (done.scored, done.no_metric) == (1, 2)  # `wrong`, whose user knew better


def test_hashes_are_no_texts_to_learn_from(store: Store, tmp_path: Path) -> None:
    settings = LogSettings(texts="hash")
    folder = tmp_path / "journal"
    records = [a_record(id="a"), a_record(id="b"), a_record(id="c", text="Other?")]

    async def run() -> None:
        journal = Journal(folder, 0, settings)
        journal.start()
        for record in records:
            await journal.write(record)
        await journal.event("feedback", {"id": "a", "at": 1.0, "target": "Paris"})
        await journal.close()

    asyncio.run(run())
    traffic = ingest(store, folder, settings)
    texts = [query.text for query in store.queries()]
    assert texts[0] == texts[1] != texts[2]
    assert all(text.startswith("sha256:") for text in texts)
    assert (traffic.table(), len(traffic.logged())) == (None, 0)
    assert traffic.summary(0)["requests"] == 3
    assert next(store.queries()).target is None


def test_pages_of_recent_requests(store: Store, tmp_path: Path) -> None:
    records = [
        a_record(
            id=f"r{n}",
            at=float(n + 1),
            key=("alice", "bob")[n % 2],
            arm=("small", "big")[n // 5],
            attempts=[Attempt(("small", "big")[n // 5], 0.1)],
            text="long " * 100,
            status=500 if n == 3 else 200,
        )
        for n in range(10)
    ]
    traffic = put(store, tmp_path / "j", *records)

    def ids(**some: Any) -> list[str]:  # noqa: ANN401  any filter
        return [item["id"] for item in traffic.recent(**some)]

    assert ids(limit=3) == ["r9", "r8", "r7"]
    assert ids(limit=3, before=8.0) == ["r6", "r5", "r4"]
    assert ids(arm="big", key="bob") == ["r9", "r7", "r5"]
    assert ids(arm="nobody") == ids(key="nobody") == []
    assert ids(failed_since=0.0) == ["r3"]
    assert len(traffic.recent(1)[0]["text"]) == 200


def test_sums(store: Store, tmp_path: Path) -> None:
    """Of requests on both sides of a minute, in two batches, against sums by hand."""
    rng = np.random.default_rng(0)
    start, folder = 6_000_030.0, tmp_path / "journal"
    records = [
        a_record(
            id=f"r{n}",
            at=start + n,
            latency_s=float(rng.uniform(0.1, 2)),
            cost_usd=None if n % 10 == 9 else 0.001,
            status=502 if n % 20 == 0 else 200,
            why="explore" if n % 5 == 0 else "best",
            arm="big" if n % 4 == 0 else "small",
            attempts=[Attempt("big" if n % 4 == 0 else "small", 0.1)],
        )
        for n in range(200)
    ]
    put(store, folder, *records[::2])
    traffic = put(store, folder, *records[1::2])
    for n in range(40):
        arm, score = records[n].arm or "", Score("performance", float(n % 2), "feedback")
        store.put_scores(f"r{n}", arm, [score, Score("llm_judge", 0.5, "gpt")])
    for since in (0.0, start + 10, start + 60.5, start + 190):
        mine = [record for record in records if record.at >= since]
        found = traffic.summary(since)
        assert found["requests"] == len(mine)
        assert found["errors"] == sum(record.status == 502 for record in mine)
        assert found["cost_usd"] == pytest.approx(sum(record.cost_usd or 0 for record in mine))
        assert found["unpriced"] == sum(r.cost_usd is None and r.status == 200 for r in mine)
        assert found["tokens"] == 15 * len(mine)
        for name, share in (("latency_p50", 0.5), ("latency_p95", 0.95), ("latency_p99", 0.99)):
            times = [record.latency_s or 0 for record in mine]
            exact = np.quantile(times, share, method="lower")
            above = np.quantile(times, share, method="higher")
            assert exact * 0.99 <= found[name] <= above * 1.01
        assert sum(found["by_why"].values()) == found["by_router"]["v1"] == len(mine)
        assert sum(arm["share"] for arm in found["arms"].values()) == pytest.approx(1)
        assert found["best_single"] == "big"
        paid = sum(r.cost_usd is not None and r.status == 200 for r in mine)
        assert found["saved_usd"] == pytest.approx((0.01 - 0.001) * paid, rel=1e-6)
    arms = traffic.summary(0)["arms"]
    assert list(arms) == ["small", "big"]
    assert (arms["big"]["requests"], arms["big"]["errors"], arms["big"]["judged"]) == (50, 10, 10)
    assert (arms["small"]["quality"], arms["small"]["judged"]) == (20 / 30, 30)
    assert arms["small"]["ci95"] == pytest.approx(wilson(20 / 30, 30))
    empty = traffic.summary(start + 1000)
    assert (empty["requests"], empty["latency_p50"], empty["saved_usd"]) == (0, None, None)


def test_a_series(store: Store, tmp_path: Path) -> None:
    records = [a_record(id=f"r{n}", at=60_000.0 + n, latency_s=1.0) for n in range(300)]
    traffic = put(store, tmp_path / "j", *records)
    spans = traffic.series(60_030.0, 3, until=60_330.0)
    assert [span["at"] for span in spans] == [60_000.0, 60_120.0, 60_240.0]
    assert [span["requests"] for span in spans] == [120, 120, 60]
    assert spans[0]["latency_p50"] == pytest.approx(1.0, rel=0.01)
    assert {span["step_s"] for span in spans} == {120.0}
    (only,) = traffic.series(60_000.0, 1, until=60_300.0)
    assert (only["at"], only["step_s"], only["requests"]) == (60_000.0, 300.0, 300)
    assert [s["requests"] for s in traffic.series(59_000.0, 500, until=60_060.0)] == [0] * 17 + [60]


def test_wilson_against_published_figures() -> None:
    """Newcombe (1998), Statistics in Medicine 17, table I: 81 of 263 and 0 of 20."""
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0.0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_histograms_of_seconds() -> None:
    times = [0.0, 1e-5, 0.5, 0.5, 1000.0, None]
    whole = merged([histogram(times[:3]), histogram(times[3:])])
    assert whole == histogram(times)
    low, middle, high = quantiles([whole], (0.0, 0.5, 1.0))
    assert low == pytest.approx(1e-4, rel=0.02)
    assert middle == pytest.approx(0.5, rel=0.01)
    assert high == pytest.approx(1000, rel=0.01)
    assert quantiles([histogram([None])], (0.5,)) == [None]


def test_decisions_to_learn_from(store: Store, tmp_path: Path) -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"why": "explore", "chosen": "big", "arm": "big", "propensity": 0.1,
         "attempts": [Attempt("big", 0.1, 200, None, 0.5)]},
        {"why": "session"},
        {"chosen": "big", "attempts": [Attempt("big", 0.1, 500, "x"), Attempt("small", 0.1)]},
        {"propensity": None},
        {"router": "v2", "estimates": {"new": (0.5, 1.0)}, "propensities": {}, "text": "Who?"},
        {"error": "broken", "status": 200},
    ]  # fmt: skip
    records = [a_record(id=f"r{n}", at=n + 1.0, **change) for n, change in enumerate(changes)]
    traffic = put(store, tmp_path / "j", *records)
    store.put_scores("r0", "small", [Score("llm_judge", 0.5, "gpt")])
    store.put_scores("r1", "big", [Score("llm_judge", 0.5, "gpt"), Score("performance", 1.0, "f")])
    logged = traffic.logged()
    assert logged.ids == ["r0", "r1", "r5"]
    assert logged.arms == ("small", "big", "big|think", "new")
    assert [logged.arms[index] for index in logged.chosen] == ["small", "big", "small"]
    np.testing.assert_array_equal(logged.propensity, [0.9, 0.1, 0.9])
    np.testing.assert_array_equal(logged.reward, [0.5, 1.0, np.nan])
    np.testing.assert_array_equal(logged.cost_usd, [0.0002, 0.5, 0.0002])
    assert traffic.logged(router="v2").text == ["Who?"]
    assert traffic.logged(router="v2").arms == ("new", "small")
    assert traffic.logged(since=1.5).ids == ["r1", "r5"]
    assert len(traffic.logged(router="v9")) == 0


def test_the_log_is_a_table_of_outcomes_like_any_other(store: Store, tmp_path: Path) -> None:
    records = [
        a_record(
            id=f"r{n}",
            at=n + 1.0,
            text=f"How much is {n} and {n * n}?",
            arm=("small", "big")[n % 2],
            attempts=[Attempt(("small", "big")[n % 2], 0.1, 200, None, 0.001 * (1 + n % 2))],
        )
        for n in range(60)
    ]
    traffic = put(store, tmp_path / "j", *records)
    for n in range(60):
        store.put_scores(
            f"r{n}", ("small", "big")[n % 2], [Score("performance", n % 2, "feedback")]
        )
    table = traffic.table(since=11.0)
    assert table is not None
    assert (len(table), set(table.arm_names)) == (50, {"small", "big"})
    assert table.texts[0] == "How much is 10 and 100?"
    np.testing.assert_array_equal(np.isnan(table.quality).sum(axis=0), [25, 25])
    assert table.queries["task"].null_count() == 50
    whole = store.table()
    assert whole.responses is not None
    assert sorted(map(str, whole.responses[1])) == ["None", "Paris."]
    assert evaluate(whole, ["knn"], draws=10, min_coverage=0.4) is not None


def test_what_is_too_old_leaves_the_store(store: Store, tmp_path: Path) -> None:
    day = 86_400.0
    now = 100 * day
    folder = tmp_path / "journal"
    messages = [{"role": "user", "content": "forget me"}]
    old = [a_record(id=f"old{n}", at=now - 31 * day, messages=messages) for n in range(1200)]
    put(store, folder, *old, a_record(id="new", at=now - day))
    put_lines(folder, said("old1", score=1.0), b"damaged\n").close()
    ingest(store, folder)
    (damaged,) = folder.iterdir()
    os.utime(damaged, (now - 40 * day, now - 40 * day))
    assert Retention(store, folder, LogSettings()).step(now) == 0
    retention = Retention(store, folder, LogSettings(retention_days=30))
    assert (retention.step(now), retention.step(now)) == (1200, 0)
    assert [query.id for query in store.queries()] == ["new"]
    assert store.count() == 1
    traffic = Traffic(store)
    assert (traffic.summary(0)["requests"], traffic.decision("old1")) == (1, None)
    assert not list(folder.iterdir())


def test_shed_requests_are_told(sqlite_store: Store, tmp_path: Path) -> None:
    gap = orjson.dumps({"kind": "gap", "at": 5.0, "requests": 7}) + b"\n"
    put_lines(tmp_path / "j", gap, gap, line(a_record())).close()
    traffic = ingest(sqlite_store, tmp_path / "j")
    assert (traffic.summary(0)["shed"], traffic.summary(6.0)["shed"]) == (14, 0)


VERSION_3 = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
INSERT INTO meta VALUES ('schema_version', '3');
CREATE TABLE queries (no INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, text TEXT NOT NULL,
    task TEXT, domain TEXT, target TEXT, metric TEXT, split TEXT, description TEXT);
CREATE TABLE arms (no INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, model TEXT NOT NULL,
    strategy TEXT NOT NULL, input_price DOUBLE, output_price DOUBLE, description TEXT);
CREATE TABLE outcomes (query_no INTEGER NOT NULL, arm_no INTEGER NOT NULL, sample INTEGER NOT NULL,
    performance DOUBLE, llm_judge DOUBLE, cost_usd DOUBLE, input_tokens DOUBLE,
    output_tokens DOUBLE, latency_s DOUBLE, response TEXT, error TEXT, created TEXT,
    propensity DOUBLE PRECISION, finish_reason TEXT, PRIMARY KEY (query_no, arm_no, sample));
CREATE TABLE scores (query_no INTEGER NOT NULL, arm_no INTEGER NOT NULL, sample INTEGER NOT NULL,
    name TEXT NOT NULL, scorer TEXT NOT NULL, version TEXT NOT NULL, value DOUBLE NOT NULL,
    reason TEXT, PRIMARY KEY (query_no, arm_no, sample, name, scorer, version));
INSERT INTO queries (no, id, text) VALUES (1, 'q', 'Old?');
INSERT INTO arms (no, name, model, strategy) VALUES (1, 'small', 'small', 'direct');
INSERT INTO outcomes (query_no, arm_no, sample, performance) VALUES (1, 1, 0, 0.5);
"""


def test_a_store_of_version_3_takes_the_gateways_log(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(VERSION_3)
    with Store(path) as store:
        traffic = put(store, tmp_path / "j", a_record(id="r"))
        assert traffic.summary(0)["requests"] == 1
        assert [query.id for query in store.queries()] == ["q", "r"]
        assert [arm.name for arm in store.arms()] == ["small"]
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT value FROM meta").fetchall() == [(str(SCHEMA_VERSION),)]


def test_a_store_of_version_3_with_a_foreign_table(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(VERSION_3 + "CREATE TABLE requests (x TEXT);")
    with pytest.raises(StoreError, match="has a table 'requests' that is not its own; rename that"):
        Store(path)


def test_a_second_reader_sees_a_request_at_once(sqlite_store: Store, tmp_path: Path) -> None:
    """What the page of a decision waits for: the ingester's commit, and no cache beyond it."""
    traffic = Traffic(sqlite_store)
    assert traffic.summary(0)["requests"] == 0
    before = time.time()
    put(sqlite_store, tmp_path / "j", a_record(id="r"))
    assert traffic.decision("r") is not None
    assert traffic.summary(before - 1)["requests"] == 1
