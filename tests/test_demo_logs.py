"""The bundled logs: whole, and without the texts that are not ours to hand out."""

from __future__ import annotations

import numpy as np
import pytest

from fusionfactory.demo import LOGS, bundled_encoder, bundled_log
from fusionfactory.encoders import make_encoder
from fusionfactory.errors import UnknownNameError
from fusionfactory.tasks import GENERATED, make_task


@pytest.mark.parametrize("name", LOGS)
def test_every_log_has_measured_costs_and_an_embedding_for_every_query(name: str) -> None:
    log = bundled_log(name)
    assert log.cost_basis == "measured"
    with bundled_encoder(name) as spec:
        encoder = make_encoder(spec)
        vectors = encoder.fit(log.texts).encode(log.texts)
    assert vectors.shape[0] == len(log)
    assert np.isfinite(vectors).all()


def test_the_fusionbench_log_is_complete() -> None:
    log = bundled_log("fusionbench")
    assert log.observed().all()
    assert {arm.strategy for arm in log.arms} == {"direct", "think"}
    tasks = set(log.tasks)
    assert len(tasks & set(GENERATED)) >= 8
    public = tasks - set(GENERATED)
    assert len(public) >= 8
    assert {make_task(name).name for name in public} == public


def test_texts_of_public_benchmarks_are_withheld() -> None:
    long = bundled_log("fusionbench").to_long()
    for row in long.iter_rows(named=True):
        if row["task"] in GENERATED:
            assert row["query"] != row["query_id"]
            assert row["response"]
            assert row["target"]
        else:
            assert row["query"] == row["query_id"]
            assert row["response"] is None
            assert row["target"] is None


def test_an_unknown_log() -> None:
    with pytest.raises(UnknownNameError, match="no bundled log 'x'; there are questions, fusion"):
        bundled_log("x")
