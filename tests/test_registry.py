"""Specifications: a name with settings, the same for routers and plans."""

from __future__ import annotations

import pytest

from fusionfactory.errors import ConfigError, UnknownNameError
from fusionfactory.plans import make_plan
from fusionfactory.registry import split_specs
from fusionfactory.routers import make_router


def test_a_plan_is_made_by_a_name_with_settings() -> None:
    plan = make_plan('vote:most=3,voters=["a","b, c"],encoder=hashing', seed=4, most=9)
    assert plan.params() == {
        "encoder": "hashing",
        "folds": 5,
        "seed": 4,
        "voters": ["a", "b, c"],
        "most": 3,
    }
    staged = make_plan('cascade:stages=[["a","b"],["c"]],penalty=0.1', voters=["x"])
    assert staged.params()["stages"] == [["a", "b"], ["c"]]
    assert staged.params()["penalty"] == 0.1


def test_a_router_takes_the_same_form() -> None:
    made = make_router("knn-paper:k=7", encoder="minilm").params()
    assert (made["recipe"], made["k"], made["encoder"]) == ("paper", 7, "minilm")


@pytest.mark.parametrize(
    ("spec", "error", "match"),
    [
        ("poll", UnknownNameError, "unknown plan 'poll'; known: cascade, select, vote"),
        ("vote:k=3", UnknownNameError, "plan 'vote' has no parameter 'k'; it has encoder, folds"),
        ("vote:most=many", ConfigError, "field 'vote:most': 'many' is no number"),
    ],
)
def test_what_cannot_be_made_is_refused(spec: str, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        make_plan(spec)


@pytest.mark.parametrize(
    ("text", "specs"),
    [
        ("cascade, vote", ["cascade", "vote"]),
        ("vote:most=5,seed=1,cascade", ["vote:most=5,seed=1", "cascade"]),
        ("vote:most=5,select:judge=j,log=a/b.db", ["vote:most=5", "select:judge=j,log=a/b.db"]),
        (
            'select:judge=j,candidates=["a","b|think"],most=2,vote',
            ['select:judge=j,candidates=["a","b|think"],most=2', "vote"],
        ),
        ('cascade:stages=[["a","b"],["c"]]', ['cascade:stages=[["a","b"],["c"]]']),
    ],
)
def test_commas_part_specifications_but_not_their_settings(text: str, specs: list[str]) -> None:
    assert split_specs(text) == specs
