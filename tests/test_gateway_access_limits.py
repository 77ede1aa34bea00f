"""What a key may use per minute and spend per day and month, counted by several workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from fusionfactory.errors import ConfigError
from fusionfactory.gateway.access import Access, Client, KeyFile, Meters
from fusionfactory.gateway.refusal import Refusal
from fusionfactory.serve_settings import ServeSection

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fusionfactory.gateway.access import Admission

NOON = 1_780_315_200.0  # 2026-06-01 12:00:00 UTC
DAY_S = 86_400.0


class Workers:
    """Several workers of one gateway, by one clock, and a client known to all of them."""

    def __init__(self, folder: Path, count: int = 2, **limits: Any) -> None:  # noqa: ANN401
        self.now, self.folder = NOON, folder
        self.under_way: dict[int, list[Admission]] = defaultdict(list)
        _, self.token = KeyFile(folder).add("alice", **limits)
        self.start(count)

    def start(self, count: int) -> None:
        settings = ServeSection(keys="required")
        self.all = [
            Access(settings, self.folder, worker, count, clock=lambda: self.now)
            for worker in range(count)
        ]

    def client(self, worker: int = 0) -> Client:
        return self.all[worker].authorise({"authorization": f"Bearer {self.token}"})

    def admit(self, worker: int = 0, tokens: int = 0) -> Mapping[str, str]:
        admission = self.all[worker].admit(self.client(worker), tokens)
        self.under_way[worker].append(admission)
        return admission.headers

    def settle(self, worker: int, tokens: int | None, usd: float | None) -> None:
        self.under_way[worker].pop().settle(tokens, usd)

    def spend(self, worker: int, usd: float | None) -> None:
        self.admit(worker)
        self.settle(worker, 10, usd)

    def refusal(self, worker: int = 0, tokens: int = 0) -> Refusal:
        with pytest.raises(Refusal, match="'alice'") as caught:
            self.admit(worker, tokens)
        assert caught.value.status == 429
        return caught.value


def test_requests_per_minute_count_over_all_workers(tmp_path: Path) -> None:
    workers = Workers(tmp_path, rpm=4)
    left = [workers.admit(turn % 2)["x-ratelimit-remaining-requests"] for turn in range(4)]
    assert left == ["3", "2", "1", "0"]
    refusal = workers.refusal(1)
    assert refusal.code == "rate_limit_exceeded"
    assert refusal.headers["x-ratelimit-limit-requests"] == "4"
    assert refusal.headers["x-ratelimit-remaining-requests"] == "0"


def test_a_request_is_let_in_as_soon_as_its_refusal_said(tmp_path: Path) -> None:
    workers = Workers(tmp_path, rpm=10)
    for second in range(10):
        workers.now = NOON + second
        workers.admit(second % 2)
    wait_s = int(workers.refusal().headers["retry-after-ms"]) / 1000
    assert 0 < wait_s <= 120
    workers.now += wait_s - 0.1
    workers.refusal()
    workers.now += 0.2
    workers.admit()


def test_no_minute_lets_more_than_the_limit_in(tmp_path: Path) -> None:
    """Asked ten times a second for ten minutes; a minute may start anywhere."""
    workers, admitted = Workers(tmp_path, rpm=60), []
    for step in range(6000):
        workers.now = NOON + step / 10
        try:
            workers.admit(step % 2)
        except Refusal:
            continue
        admitted.append(workers.now)
    busiest = max(sum(start <= at < start + 60 for at in admitted) for start in admitted)
    assert busiest <= 66  # the minute before counts as if it had been even
    assert 540 <= len(admitted) <= 660


def test_limits_refill_after_silence(tmp_path: Path) -> None:
    workers = Workers(tmp_path, rpm=2)
    workers.admit(0)
    workers.admit(1)
    workers.refusal()
    workers.now += 121
    assert workers.admit()["x-ratelimit-remaining-requests"] == "1"


def test_a_refused_request_uses_nothing(tmp_path: Path) -> None:
    workers = Workers(tmp_path, rpm=1)
    workers.admit()
    for _ in range(100):
        workers.refusal()
    workers.now += 120
    workers.admit()


def test_tokens_count_as_estimated_and_then_as_used(tmp_path: Path) -> None:
    workers = Workers(tmp_path, tpm=1000)
    assert workers.admit(0, 600)["x-ratelimit-remaining-tokens"] == "400"
    refusal = workers.refusal(1, 500)
    assert "1000 tokens a minute" in refusal.message
    workers.settle(0, 100, 0.0)
    assert workers.admit(1, 500)["x-ratelimit-remaining-tokens"] == "400"
    workers.settle(1, 2000, 0.0)
    workers.refusal(0, 1)


def test_a_request_longer_than_a_minutes_tokens_is_not_to_be_tried_again(tmp_path: Path) -> None:
    refusal = Workers(tmp_path, tpm=1000).refusal(tokens=1001)
    assert refusal.headers["x-should-retry"] == "false"
    assert "retry-after" not in refusal.headers


def test_a_budget_counts_over_all_workers(tmp_path: Path) -> None:
    workers = Workers(tmp_path, usd_per_day=1.0)
    workers.spend(0, 0.6)
    workers.spend(1, 0.4)
    refusal = workers.refusal(0)
    assert refusal.code == "insufficient_quota"
    assert refusal.headers == {"retry-after": str(12 * 3600), "x-should-retry": "false"}
    assert "2026-06-02 00:00 UTC" in refusal.message


def test_a_day_and_a_month_begin_anew_in_utc(tmp_path: Path) -> None:
    workers = Workers(tmp_path, usd_per_day=1.0, usd_per_month=1.5)
    workers.spend(0, 1.0)
    workers.refusal()
    workers.now += DAY_S / 2
    workers.spend(0, 0.5)
    assert "2026-07-01 00:00 UTC" in workers.refusal().message
    workers.now = datetime(2026, 7, 1, tzinfo=UTC).timestamp() - 0.001
    workers.refusal()
    workers.now += 0.001
    workers.admit()


def test_the_year_turns(tmp_path: Path) -> None:
    workers = Workers(tmp_path, usd_per_month=1.0)
    workers.now = datetime(2026, 12, 31, 23, tzinfo=UTC).timestamp()
    workers.spend(0, 1.0)
    assert "2027-01-01 00:00 UTC" in workers.refusal().message
    workers.now += 3600
    workers.admit()


def test_an_unknown_cost_counts_as_the_mean_of_the_known_ones(tmp_path: Path) -> None:
    workers = Workers(tmp_path, usd_per_day=1.0)
    workers.spend(0, 0.1)
    workers.spend(1, 0.3)
    for turn in range(3):
        workers.spend(turn % 2, None)
    workers.refusal()


def test_what_costs_nothing_spends_nothing(tmp_path: Path) -> None:
    workers = Workers(tmp_path, usd_per_day=0.01)
    for _ in range(100):
        workers.spend(0, 0.0)
    workers.admit()


@pytest.mark.parametrize("then", [1, 2, 5])
def test_what_was_spent_outlives_a_restart_with_other_workers(tmp_path: Path, then: int) -> None:
    workers = Workers(tmp_path, 4, usd_per_day=1.0)
    workers.spend(3, 1.0)
    workers.start(then)
    workers.refusal(then - 1)


def test_requests_under_way_hold_what_requests_cost_on_average(tmp_path: Path) -> None:
    workers = Workers(tmp_path, usd_per_day=1.0, usd_per_month=10.0)
    workers.spend(0, 0.1)
    workers.spend(1, 0.3)
    for turn in range(3):
        workers.admit(turn % 2)
    refusal = workers.refusal()
    assert (refusal.code, refusal.headers) == ("budget_held", {"retry-after": "1"})
    assert "the 1 USD per day of the key 'alice'" in refusal.message
    workers.settle(1, 10, 0.1)
    workers.admit(1)
    workers.settle(0, 10, 0.3)
    workers.settle(0, 10, 0.25)
    assert workers.refusal(1).code == "insufficient_quota"


@pytest.mark.parametrize("days", [1, 40])
@pytest.mark.parametrize("limits", [{"usd_per_day": 1.0}, {"usd_per_month": 1.0}])
def test_a_day_and_a_month_begin_with_what_a_request_cost_before(
    tmp_path: Path, days: int, limits: dict[str, Any]
) -> None:
    workers = Workers(tmp_path, **limits)
    workers.spend(0, 0.4)
    workers.now += days * DAY_S
    workers.spend(1, None)
    (key,) = KeyFile(tmp_path).read()
    today, _ = Meters(tmp_path)(key.number).spending(workers.now)
    assert today.usd == 0.4
    already = 0.8 if days == 1 and "usd_per_month" in limits else 0.4
    while already < 1.0:
        workers.admit()
        already += 0.4
    assert workers.refusal().code == "budget_held"


def test_a_free_request_does_not_end_the_average_of_last_month(tmp_path: Path) -> None:
    workers = Workers(tmp_path, usd_per_day=1.0)
    workers.spend(0, 0.5)
    workers.now += 40 * DAY_S
    workers.spend(0, 0.0)
    workers.admit()
    workers.admit()
    assert workers.refusal().code == "budget_held"


def test_what_costs_nothing_does_not_lower_the_average(tmp_path: Path) -> None:
    workers = Workers(tmp_path, usd_per_day=1.0)
    workers.spend(0, 0.25)
    for _ in range(99):
        workers.spend(1, 0.0)
    for _ in range(3):
        workers.admit()
    assert workers.refusal().code == "budget_held"


def test_a_worker_that_ends_beside_its_successor_leaves_no_room_behind(tmp_path: Path) -> None:
    workers = Workers(tmp_path, usd_per_day=1.0)
    workers.spend(0, 0.1)
    workers.admit()
    workers.all[0].recover()
    workers.settle(0, 10, 0.1)
    (key,) = KeyFile(tmp_path).read()
    spending, _ = Meters(tmp_path)(key.number).spending(NOON)
    assert spending.under_way == 0.0


def test_what_is_under_way_moves_with_its_key(tmp_path: Path) -> None:
    workers = Workers(tmp_path, usd_per_day=1.0)
    workers.spend(0, 0.1)
    workers.admit()
    Meters(tmp_path).move({0: 7})
    meters = Meters(tmp_path)
    assert [meters(number).spending(NOON)[0].under_way for number in (0, 7)] == [0.0, 1.0]


def test_a_request_is_charged_once(tmp_path: Path) -> None:
    workers = Workers(tmp_path, usd_per_day=1.0)
    admission = workers.all[0].admit(workers.client(), 5)
    for usd in (0.5, 0.5, None):
        admission.settle(10, usd)
    (key,) = KeyFile(tmp_path).read()
    spending, _ = Meters(tmp_path)(key.number).spending(NOON)
    assert (spending.usd, spending.under_way) == (0.5, 0.0)


@pytest.mark.parametrize(("before", "after"), [(2, 2), (4, 1)])
def test_what_was_under_way_in_a_killed_worker_costs_what_others_do(
    tmp_path: Path, before: int, after: int
) -> None:
    workers = Workers(tmp_path, before, usd_per_day=1.0)
    workers.spend(0, 0.25)
    for _ in range(2):
        workers.admit(before - 1)
    workers.start(after)
    workers.all[after - 1].recover()
    (key,) = KeyFile(tmp_path).read()
    spending, _ = Meters(tmp_path)(key.number).spending(NOON)
    assert (spending.usd, spending.under_way) == (0.75, 0.0)


def test_a_worker_that_begins_leaves_alone_what_others_have_under_way(tmp_path: Path) -> None:
    workers = Workers(tmp_path, 2, usd_per_day=1.0)
    workers.spend(0, 0.5)
    workers.admit(1)
    workers.all[0].recover()
    assert workers.refusal().code == "budget_held"
    workers.settle(1, 10, 0.25)
    workers.admit()


def test_what_was_spent_outlives_a_kill(tmp_path: Path) -> None:
    _, token = KeyFile(tmp_path).add("alice", usd_per_day=1.0)
    program = (
        "import sys, time; from pathlib import Path\n"
        "from fusionfactory.gateway.access import Access\n"
        "from fusionfactory.serve_settings import ServeSection\n"
        "access = Access(ServeSection(keys='required'), Path(sys.argv[1]), 1, 2)\n"
        "client = access.authorise({'authorization': 'Bearer ' + sys.argv[2]})\n"
        "access.admit(client, 1).settle(1, 2.0)\n"
        "print('charged', flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path), token]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "charged\n"
        os.kill(worker.pid, signal.SIGKILL)
    access = Access(ServeSection(keys="required"), tmp_path, 0, 2)
    client = access.authorise({"authorization": f"Bearer {token}"})
    with pytest.raises(Refusal, match="has spent its 1 USD per day"):
        access.admit(client, 1)


def test_keys_do_not_count_for_each_other(tmp_path: Path) -> None:
    workers = Workers(tmp_path, rpm=1, usd_per_day=1.0)
    others = [KeyFile(tmp_path).add(f"client-{n}", rpm=1, usd_per_day=1.0)[1] for n in range(100)]
    workers.now += 1
    workers.spend(0, 5.0)
    for token in others:
        client = workers.all[1].authorise({"authorization": f"Bearer {token}"})
        assert workers.all[1].admit(client, 1).headers["x-ratelimit-remaining-requests"] == "0"


def test_a_key_without_limits_is_counted_too(tmp_path: Path) -> None:
    workers = Workers(tmp_path)
    workers.now = time.time()
    assert workers.admit() == {}
    workers.settle(0, 10, 0.25)
    workers.spend(1, 0.5)
    (key,) = KeyFile(tmp_path).read()
    assert Meters(tmp_path)(key.number).spent_usd(workers.now) == (0.75, 0.75)


def test_a_file_that_is_none_of_usage_is_named(tmp_path: Path) -> None:
    KeyFile(tmp_path).add("alice")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "usage").write_bytes(b"x" * 10**6)
    with pytest.raises(ConfigError, match=r"usage: holds 1000000 bytes.*delete it"):
        Access(ServeSection(keys="required"), tmp_path)
