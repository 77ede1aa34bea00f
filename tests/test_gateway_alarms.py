"""Alarms on made traffic: where each sounds, and where it must not."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fusionfactory.gateway.learning.alarms import (
    calibration,
    check,
    drift,
    entropy,
    psi,
    top_share,
)
from fusionfactory.gateway.learning.watch import AlarmWatch
from fusionfactory.gateway.log.decided import Decided
from fusionfactory.gateway.log.ingest import Ingester
from fusionfactory.gateway.log.traffic import Traffic
from fusionfactory.serve_settings import AlarmSettings, LogSettings
from fusionfactory.store import Store
from gateway_log import a_record, write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fusionfactory.gateway.log.record import Record
    from fusionfactory.types import FloatArray

LIMITS = AlarmSettings()
SEEDS = range(200)


def decided(
    n: int = 1000,
    shares: Sequence[float] = (0.5, 0.3, 0.2),
    *,
    seed: int = 0,
    scored: float = 0.1,
    bias: Sequence[float] = (0.0, 0.0, 0.0),
    level: FloatArray | None = None,
    begin: float = 0.0,
) -> Decided:
    """Decisions of a router that is right about quality but for `bias`; answers are good or bad."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(shares), n, p=shares)
    expected = rng.uniform(0.3, 0.7, n)
    good = np.clip(expected + np.resize(bias, len(shares))[chosen], 0, 1)
    reward = (rng.random(n) < good).astype(float)
    reward[rng.random(n) >= scored] = np.nan
    return Decided(
        router="v1",
        arms=tuple(f"arm{i}" for i in range(len(shares))),
        chosen=chosen,
        expected=expected,
        level=expected if level is None else level,
        reward=reward,
        at=begin + np.arange(n, dtype=float),
    )


# One arm, few arms


@pytest.mark.parametrize(("n", "share"), [(1000, 0.99), (1000, 1.0), (150, 1.0)])
def test_one_arm_that_gets_everything_is_an_alarm(n: int, share: float) -> None:
    alarm = top_share(decided(n, (share, 1 - share)), LIMITS.top_share)
    assert alarm is not None
    assert (alarm.kind, alarm.arm) == ("top_share", "arm0")
    assert alarm.value == pytest.approx(share, abs=0.01)
    assert "fusionfactory learn" in alarm.message


@pytest.mark.parametrize(
    ("n", "shares"),
    [(1000, (0.5, 0.5)), (1000, (0.9, 0.1)), (60, (1.0, 0.0)), (20, (1.0, 0.0)), (1000, (1.0,))],
)
def test_other_shares_are_none(n: int, shares: Sequence[float]) -> None:
    assert top_share(decided(n, shares), LIMITS.top_share) is None


def test_a_share_below_the_limit_hardly_ever_sounds() -> None:
    sounded = sum(
        top_share(decided(shares=(0.965, 0.035), seed=seed), LIMITS.top_share) is not None
        for seed in SEEDS
    )
    assert sounded <= 2


def test_few_of_many_arms_are_an_alarm_though_none_gets_everything() -> None:
    shares = (0.96, 0.04, *(0.0,) * 10)
    latest = decided(shares=shares)
    assert top_share(latest, LIMITS.top_share) is None
    alarm = entropy(latest, LIMITS.entropy)
    assert alarm is not None
    assert alarm.value < 0.1
    assert "never chosen: arm2, arm3" in alarm.message


@pytest.mark.parametrize(
    ("n", "shares"),
    [(1000, (0.34, 0.33, 0.33)), (1000, (0.85, 0.15)), (40, (1.0, 0.0)), (1000, (1.0,))],
)
def test_a_mix_of_arms_is_none(n: int, shares: Sequence[float]) -> None:
    assert entropy(decided(n, shares), LIMITS.entropy) is None


# Calibration


@pytest.mark.parametrize("bias", [-0.3, 0.3])
def test_quality_that_is_not_as_expected_is_an_alarm(bias: float) -> None:
    alarm = calibration(decided(scored=0.3, bias=(bias,)), LIMITS.calibration)
    assert alarm is not None
    assert np.sign(alarm.value) == np.sign(bias)
    assert ("worse" if bias < 0 else "better") in alarm.message


def test_one_arm_that_got_worse_is_named() -> None:
    alarm = calibration(decided(5000, scored=0.3, bias=(0, 0, -0.3)), LIMITS.calibration)
    assert alarm is not None
    assert alarm.arm == "arm2"
    assert "answers of arm2 are worse" in alarm.message


@pytest.mark.parametrize(("scored", "bias"), [(0.1, 0.0), (0.1, 0.05), (0.5, -0.08), (0.04, 0.1)])
def test_noise_and_small_differences_are_none(scored: float, bias: float) -> None:
    sounded = sum(
        calibration(decided(seed=seed, scored=scored, bias=(bias,)), LIMITS.calibration) is not None
        for seed in SEEDS
    )
    assert sounded <= len(SEEDS) * 0.05


def test_too_few_scores_say_nothing() -> None:
    latest = decided(scored=0.3, bias=(-0.3,))
    latest.reward[np.flatnonzero(~np.isnan(latest.reward))[29:]] = np.nan
    assert calibration(latest, LIMITS.calibration) is None
    latest.reward[:] = np.nan
    assert calibration(latest, LIMITS.calibration) is None


# Drift


def levels(mean: float, n: int, seed: int) -> FloatArray:
    return np.random.default_rng(seed).normal(mean, 0.1, n)


@pytest.mark.parametrize(("mean", "way"), [(0.4, "harder"), (0.8, "easier")])
def test_other_questions_than_at_the_beginning_are_an_alarm(mean: float, way: str) -> None:
    first = decided(level=levels(0.6, 1000, 1))
    latest = decided(level=levels(mean, 1000, 2), begin=5000.0)
    alarm = drift(first, latest, LIMITS.psi)
    assert alarm is not None
    assert alarm.value > 1
    assert f"seem {way}" in alarm.message


@pytest.mark.parametrize("n", [50, 200, 1000])
def test_the_same_questions_are_none_however_few(n: int) -> None:
    sounded = sum(
        drift(
            decided(n, level=levels(0.6, n, seed)),
            decided(n, level=levels(0.6, n, 10_000 + seed), begin=5000.0),
            LIMITS.psi,
        )
        is not None
        for seed in SEEDS
    )
    assert sounded <= 2


def test_the_latest_decisions_are_not_compared_with_themselves() -> None:
    latest = decided(level=levels(0.6, 1000, 1))
    assert drift(latest, latest, LIMITS.psi) is None


def test_the_index_is_as_defined() -> None:
    before = np.repeat([0.0, 1.0], 500)
    now = np.repeat([0.0, 1.0], [200, 800])
    assert psi(before, before) == pytest.approx(0.0)
    expected = (0.2 - 0.5) * np.log(0.2 / 0.5) + (0.8 - 0.5) * np.log(0.8 / 0.5)
    assert psi(before, now) == pytest.approx(expected, rel=0.02)


# On a gateway's log


def stored(folder: Path, store: Store, records: Sequence[Record]) -> Traffic:
    asyncio.run(write(folder / "journal", *records))
    ingester = Ingester(store, folder / "journal", LogSettings())
    while ingester.step():
        pass
    return Traffic(store)


def decision(at: float, arm: str = "small", quality: float = 0.75, **changes: Any) -> Record:  # noqa: ANN401
    attempts = a_record().attempts
    attempts[0].arm = arm
    estimates = dict.fromkeys(("small", "big", "big|think"), (quality, 0.001))
    fields: dict[str, Any] = {"chosen": arm, "arm": arm, "estimates": estimates}
    return a_record(at=at, attempts=attempts, **(fields | changes))


def test_a_new_gateway_has_no_alarm(tmp_path: Path) -> None:
    with Store(tmp_path / "log.db") as store:
        assert check(Traffic(store), LIMITS) == []
        named = [decision(float(i), why="fixed", router=None, estimates={}) for i in range(200)]
        assert check(stored(tmp_path, store, named), LIMITS) == []


def test_alarms_are_of_the_latest_decisions_of_the_latest_router(tmp_path: Path) -> None:
    mixed = [decision(float(i), ("small", "big")[i % 2]) for i in range(200)]
    one = [decision(1000.0 + i) for i in range(200)]
    sticky = [decision(2000.0 + i, "big", why="session") for i in range(200)]
    with Store(tmp_path / "log.db") as store:
        settings = AlarmSettings(window=200)
        assert check(stored(tmp_path, store, mixed), settings) == []
        traffic = stored(tmp_path, store, [*one, *sticky])
        assert [alarm.kind for alarm in check(traffic, settings)] == ["top_share"]
        fixed = [decision(3000.0 + i, ("small", "big")[i % 2], router="v2") for i in range(60)]
        assert check(stored(tmp_path, store, fixed), settings) == []


def test_drift_is_from_the_first_decisions_of_the_same_router(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def some(begin: float, mean: float, router: str) -> list[Record]:
        return [
            decision(
                begin + i, ("small", "big")[i % 2], float(rng.normal(mean, 0.05)), router=router
            )
            for i in range(200)
        ]

    with Store(tmp_path / "log.db") as store:
        settings = AlarmSettings(window=200)
        traffic = stored(tmp_path, store, [*some(0, 0.9, "v1"), *some(1000, 0.5, "v2"),
                                           *some(2000, 0.5, "v2")])  # fmt: skip
        assert check(traffic, settings) == []
        traffic = stored(tmp_path, store, some(3000, 0.8, "v2"))
        assert [alarm.kind for alarm in check(traffic, settings)] == ["psi"]


def test_decisions_are_read_as_they_were_made(tmp_path: Path) -> None:
    from fusionfactory.types import Score

    records = [
        decision(10.0, "big", 0.5),
        decision(11.0, "small", 0.25),
        decision(12.0, "big", 1.0),
    ]
    with Store(tmp_path / "log.db") as store:
        traffic = stored(tmp_path, store, records)
        store.write_scores([((records[1].id, "small", 0), [Score("llm_judge", 0.3, "judge")])])
        found = traffic.decided(2)
        assert found is not None
        assert [found.arms[i] for i in found.chosen] == ["small", "big"]
        assert found.expected.tolist() == [0.25, 1.0]
        assert found.level.tolist() == [0.25, 1.0]
        np.testing.assert_array_equal(found.reward, [0.3, np.nan])
        first = traffic.decided(2, "v1", first=True)
        assert first is not None
        assert first.at.tolist() == [10.0, 11.0]
        assert traffic.decided(2, "v9") is None


def test_an_alarm_is_said_once_and_so_is_its_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="fusionfactory")
    with Store(tmp_path / "log.db") as store:
        traffic = stored(tmp_path, store, [decision(float(i)) for i in range(200)])
        watch = AlarmWatch(traffic, AlarmSettings(window=200))
        assert [watch.step() for _ in range(3)] == [0, 0, 0]
        assert [r.levelname for r in caplog.records] == ["WARNING"]
        stored(tmp_path, store,
               [decision(1000.0 + i, ("small", "big")[i % 2]) for i in range(200)])  # fmt: skip
        watch.step()
        assert caplog.messages[1:] == ["the alarm top_share of small has ended"]
