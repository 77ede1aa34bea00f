"""The judge in the background: its sample, its budget, and what it never does twice."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import sqlalchemy as sa

from fusionfactory.config import Config
from fusionfactory.errors import CallError, ConfigError
from fusionfactory.gateway.learning.judgements import Judgements, is_sampled
from fusionfactory.gateway.learning.judging import Judging
from fusionfactory.gateway.log.ingest import Ingester
from fusionfactory.gateway.log.record import Attempt, Record, new_id
from fusionfactory.gateway.log.retention import Retention
from fusionfactory.gateway.log.traffic import Traffic
from fusionfactory.serve_settings import LogSettings
from fusionfactory.store import Store
from fusionfactory.store.schema import judgements
from gateway_log import a_record, write
from stub_upstream import Knobs, StubUpstream, stub_upstream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from postgres_server import PostgresServer

NOON = 1_780_315_200.0  # 2026-06-01 12:00:00 UTC
VERDICT = json.dumps({"reason": "good", "right": True, "score": 0.8})


class Judged:
    """A store of a gateway's requests with a judge at an endpoint of its own."""

    def __init__(self, folder: Path, store: Store, stub: StubUpstream) -> None:
        self.folder, self.store, self.stub = folder, store, stub
        self.now = NOON

    def add(self, count: int = 1, **changes: Any) -> list[str]:  # noqa: ANN401  of records
        records = [a_record(**({"at": self.now} | changes)) for _ in range(count)]
        self.add_records(records)
        return [record.id for record in records]

    def add_records(self, records: list[Record]) -> None:
        journal = self.folder / "journal"
        asyncio.run(write(journal, *records))
        ingester = Ingester(self.store, journal, LogSettings())
        while ingester.step():
            pass

    def config(self, **judge: Any) -> Config:  # noqa: ANN401  settings
        price = judge.pop("price", {"input_price": 1.0, "output_price": 2.0})
        model = {"name": "judge", "endpoint": "there", **price, "params": judge.pop("params", {})}
        there = {"name": "there", "base_url": self.stub.url, "api_key_env": "", "retries": 0}
        return Config.model_validate(
            {"endpoints": [there], "models": [model],
             "serve": {"judge": {"model": "judge", "share": 1.0, **judge}}}
        )  # fmt: skip

    def judging(self, **judge: Any) -> Judging:  # noqa: ANN401  settings
        return Judging(self.config(**judge), self.store, clock=lambda: self.now)

    def run(self, **judge: Any) -> int:  # noqa: ANN401  settings
        """Steps until there is nothing more to do; gives the calls made."""
        before, judging = self.calls, self.judging(**judge)
        while judging.step():
            pass
        return self.calls - before

    @property
    def calls(self) -> int:
        return len(self.stub.ledger)

    def scores(self) -> dict[str, float]:
        """Id of the request to its judge's score."""
        return {
            outcome.query_id: score.value
            for outcome in self.store.outcomes()
            for score in outcome.scores
            if score.name == "llm_judge"
        }

    def rows(self) -> list[Any]:
        with self.store.transaction() as connection:
            return list(connection.execute(sa.select(judgements)).mappings())


@contextmanager
def judged(folder: Path, knobs: Knobs | None = None, url: str | None = None) -> Iterator[Judged]:
    with (
        stub_upstream(judge=knobs or Knobs(text=VERDICT)) as stub,
        Store(url or folder / "log.db") as store,
    ):
        yield Judged(folder, store, stub)


def test_answers_get_scores_as_the_judge_verb_gives_them(tmp_path: Path) -> None:
    with judged(tmp_path) as it:
        ids = it.add(5)
        assert it.run() == 5
        assert it.scores() == dict.fromkeys(ids, 0.8)
        assert Traffic(it.store).logged().reward.tolist() == [0.8] * 5


def test_without_a_judge_nothing_happens(tmp_path: Path) -> None:
    with judged(tmp_path) as it:
        it.add(2)
        assert it.run(model=None) == 0


def test_a_larger_share_adds_to_the_sample() -> None:
    ids = [new_id("req") for _ in range(20_000)]
    chosen = {share: {id_ for id_ in ids if is_sampled(id_, share)} for share in (0.05, 0.2, 1.0)}
    assert abs(len(chosen[0.2]) - 4000) < 5 * np.sqrt(20_000 * 0.2 * 0.8)
    assert chosen[0.05] < chosen[0.2]
    assert len(chosen[1.0]) == 20_000


def test_a_restart_leaves_the_sample_as_it_is(tmp_path: Path) -> None:
    with judged(tmp_path) as it:
        expected = {id_ for id_ in it.add(200) if is_sampled(id_, 0.3)}
        first = it.judging(share=0.3).step()
        assert 0 < first < len(expected)
        assert it.run(share=0.3) == len(expected) - first
        assert set(it.scores()) == expected


def test_nothing_is_judged_twice(tmp_path: Path) -> None:
    with judged(tmp_path) as it:
        it.add(5)
        it.run()
        assert it.run() == 0
        it.add(2)
        assert it.run() == 2


def test_what_the_judge_verb_has_judged_is_not_judged_again(tmp_path: Path) -> None:
    from fusionfactory.types import Score

    with judged(tmp_path) as it:
        (done, open_) = it.add(2)
        it.store.write_scores([((done, "small", 0), [Score("llm_judge", 0.3, "verb")])])
        assert it.run() == 1
        assert it.scores() == {done: 0.3, open_: 0.8}


def test_the_probability_of_the_sample_is_kept(tmp_path: Path) -> None:
    with judged(tmp_path) as it:
        it.add(40)
        it.run(share=0.5)
        assert {row["share"] for row in it.rows()} == {0.5}
        it.run(share=1.0)
        assert {row["share"] for row in it.rows()} == {0.5, 1.0}
        assert len(it.rows()) == 40


@pytest.mark.parametrize(
    "changes",
    [
        {"response": " "},
        {"response": None},
        {"api": "embeddings"},
        {"finish_reason": "tool_calls"},
        {"text": ""},
        {"status": 502, "error": "broken", "arm": None,
         "attempts": [Attempt("small", 0.5, 502, "broken")]},
        {"cache": "hit", "attempts": []},
        {"at": NOON - 100_000},
    ],
)  # fmt: skip
def test_only_answers_in_words_are_judged(tmp_path: Path, changes: dict[str, Any]) -> None:
    with judged(tmp_path) as it:
        it.add(1, **changes)
        assert it.run() == 0


def test_the_judge_is_shown_the_whole_conversation(tmp_path: Path) -> None:
    messages = [
        {"role": "system", "content": "Answer in verse."},
        {"role": "user", "content": [{"type": "text", "text": "Hello"}, {"type": "image_url"}]},
        {"role": "assistant", "content": "A rhyme."},
        {"role": "user", "content": "Another"},
    ]
    with judged(tmp_path, Knobs()) as it:
        it.add(1, messages=messages, text="Hello\nAnother")
        found, _ = Judgements(it.store).next(0, 0.0, 1.0, 10)
        assert found[0].query.text == (
            "system: Answer in verse.\n\nuser: Hello\n[image_url]\n\nassistant: A rhyme.\n\n"
            "user: Another"
        )


def test_a_budget_is_never_exceeded_and_the_next_day_goes_on(tmp_path: Path) -> None:
    with judged(tmp_path) as it:
        it.add(60)
        budget = 0.01
        first = it.run(usd_per_day=budget)
        assert 0 < first < 60
        spent = Judgements(it.store).spent_usd(it.now)
        served = sum(call.cost_usd for call in it.stub.ledger)
        assert spent == pytest.approx(served)
        assert budget / 2 < spent <= budget
        assert it.run(usd_per_day=budget) == 0  # a restart does not spend again
        it.now += 43_200
        second = it.run(usd_per_day=budget)
        assert second > 0
        assert Judgements(it.store).spent_usd(it.now) <= budget
        assert it.run() == 60 - first - second


def test_calls_that_nobody_came_back_from_have_cost_their_most(tmp_path: Path) -> None:
    """As after a kill between the reservation and the answer."""
    with judged(tmp_path) as it:
        it.add(3)
        book = Judgements(it.store)
        found, _ = book.next(0, 0.0, 1.0, 10)
        most = {item.number: 0.4 for item in found}
        assert len(book.reserve(most, share=1.0, budget_usd=1.0, now=NOON)) == 2
        assert book.spent_usd(NOON) == pytest.approx(0.8)
        assert book.reserve(most, share=1.0, budget_usd=1.0, now=NOON) == []
        assert it.run(usd_per_day=0.8) == 0
        assert it.run() == 1


def test_two_at_a_time_reserve_an_answer_once(tmp_path: Path) -> None:
    with judged(tmp_path) as it, Store(tmp_path / "log.db") as again:
        it.add(2)
        found, _ = Judgements(it.store).next(0, 0.0, 1.0, 10)
        most = {item.number: 0.1 for item in found}
        kept = [
            Judgements(store).reserve(most, share=1.0, budget_usd=None, now=NOON)
            for store in (it.store, again)
        ]
        assert [len(numbers) for numbers in kept] == [2, 0]


def test_gateways_of_one_store_judge_an_answer_once_for_one_budget(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    url = postgres.database()
    with judged(tmp_path, url=url) as it, Store(url) as again:
        it.add(60)
        most = 0.01
        hosts = [
            Judging(it.config(usd_per_day=most), store, clock=lambda: it.now)
            for store in (it.store, again)
        ]

        def run(host: Judging) -> None:
            while host.step():
                pass

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(run, hosts))
        assert 0 < it.calls < 60
        assert it.calls == len(it.rows())
        assert Judgements(it.store).spent_usd(it.now) <= most


def test_a_reply_that_cannot_be_read_is_paid_and_not_asked_for_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with judged(tmp_path, Knobs(text="I would rather not say")) as it:
        it.add(2)
        assert it.run(usd_per_day=1.0) == 2
        assert "cannot be read" in caplog.text
        assert it.scores() == {}
        assert all(0 < row["usd"] < 0.01 for row in it.rows())
        assert it.run(usd_per_day=1.0) == 0


def test_an_endpoint_that_is_down_costs_nothing_and_is_asked_again(tmp_path: Path) -> None:
    knobs = Knobs(text=VERDICT, fault="503")
    with judged(tmp_path, knobs) as it:
        it.add(2)
        judging = it.judging(usd_per_day=1.0)
        assert judging.step() == 0
        assert it.rows() == []
        knobs.fault = None
        assert judging.step() == 2
        assert len(it.scores()) == 2


def test_an_endpoint_that_refuses_is_named(tmp_path: Path) -> None:
    with judged(tmp_path, Knobs(fault="401")) as it:
        it.add(2)
        with pytest.raises(CallError, match="401"):
            it.judging().step()
        assert it.rows() == []


def test_a_budget_needs_a_price(tmp_path: Path) -> None:
    with judged(tmp_path) as it:
        with pytest.raises(ConfigError, match="price of the judge, and that of 'judge' is unknown"):
            it.judging(usd_per_day=1.0, price={})
        assert it.run(price={}) == 0


def test_the_judge_is_a_model_and_texts_are_kept(tmp_path: Path) -> None:
    with judged(tmp_path) as it:
        with pytest.raises(ConfigError, match="no model 'other'"):
            it.judging(model="other")
        config = it.config()
        serve = config.serve.model_copy(update={"log": LogSettings(texts="hash")})
        with pytest.raises(ConfigError, match=r"nothing to judge.*'hash'"):
            Judging(config.model_copy(update={"serve": serve}), it.store)


def test_what_is_deleted_is_forgotten_here_too(tmp_path: Path) -> None:
    with judged(tmp_path) as it:
        it.add(2)
        it.run()
        settings = LogSettings(retention_days=1)
        assert Retention(it.store, tmp_path / "journal", settings).step(NOON + 2 * 86_400) == 2
        assert it.rows() == []
