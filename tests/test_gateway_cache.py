"""The cache of answers: what counts as the same question, whose it is, and how much is kept."""

from __future__ import annotations

from typing import Any

import pytest

from fusionfactory.gateway.cache import AnswerCache
from fusionfactory.policy import Policy
from fusionfactory.serve_settings import CacheSettings

PATH = "chat/completions"
BODY: dict[str, Any] = {
    "model": "auto",
    "temperature": 0,
    "messages": [{"role": "user", "content": "What is 2 + 2?"}],
}


def cache_of(entries: int = 10, **options: Any) -> AnswerCache:  # noqa: ANN401
    return AnswerCache(CacheSettings(entries=entries, ttl_s=60), **options)


def answer(text: str) -> dict[str, Any]:
    return {"choices": [{"message": {"content": text}}]}


def test_it_is_off_unless_entries_are_set() -> None:
    assert AnswerCache(CacheSettings()).key("alice", PATH, BODY) is None


@pytest.mark.parametrize("temperature", [0, 0.0])
def test_a_client_asks_for_the_same_answer_by_temperature_0(temperature: float) -> None:
    assert cache_of().key("alice", PATH, {**BODY, "temperature": temperature})


@pytest.mark.parametrize("temperature", [None, 0.1, 1, "0", [0]])
def test_other_answers_are_not_given_again(temperature: object) -> None:
    assert cache_of().key("alice", PATH, {**BODY, "temperature": temperature}) is None


def test_embeddings_are_always_the_same() -> None:
    assert cache_of().key("alice", "embeddings", {"model": "e", "input": "text"})


@pytest.mark.parametrize(
    "change",
    [{"stream": True}, {"stream_options": {"include_usage": True}}, {"user": "u"},
     {"metadata": {"a": 1}}, {"store": True}],
)  # fmt: skip
def test_what_cannot_change_the_answer_does_not_count(change: dict[str, Any]) -> None:
    cache = cache_of()
    assert cache.key("alice", PATH, {**BODY, **change}) == cache.key("alice", PATH, BODY)


def test_the_order_of_fields_does_not_count() -> None:
    cache, turned = cache_of(), dict(reversed(BODY.items()))
    assert list(turned) != list(BODY)
    assert cache.key("alice", PATH, turned) == cache.key("alice", PATH, BODY)


@pytest.mark.parametrize(
    "change",
    [{"model": "small"}, {"max_tokens": 5}, {"seed": 1}, {"tools": []}, {"anything": None},
     {"messages": [{"role": "user", "content": "What is 2 + 3?"}]}],
)  # fmt: skip
def test_all_else_does(change: dict[str, Any]) -> None:
    cache = cache_of()
    assert cache.key("alice", PATH, {**BODY, **change}) != cache.key("alice", PATH, BODY)


def test_nobody_gets_what_another_was_answered() -> None:
    cache = cache_of()
    keys = {cache.key(client, PATH, BODY) for client in ("alice", "bob", None)}
    assert len(keys) == 3


def test_another_path_or_trade_off_is_another_question() -> None:
    cache = cache_of()
    plain = cache.key("alice", PATH, BODY)
    assert cache.key("alice", "completions", BODY) != plain
    cheap, good = (Policy.parse(name) for name in ("cost", "performance"))
    assert cache.key("alice", PATH, BODY, cheap) != cache.key("alice", PATH, BODY, good)
    assert cache.key("alice", PATH, BODY, cheap) == cache.key("alice", PATH, BODY, cheap)


def test_everyone_gets_a_copy() -> None:
    cache, given = cache_of(), answer("4")
    cache.put("k", given)
    given["model"] = "changed"
    first = cache.get("k")
    assert first == answer("4")
    first["choices"].clear()
    assert cache.get("k") == answer("4")


def test_an_answer_grows_old() -> None:
    now = 0.0
    cache = cache_of(clock=lambda: now)
    cache.put("k", answer("4"))
    now = 59.9
    assert cache.get("k")
    now = 60.0
    assert cache.get("k") is None
    assert (len(cache), cache.bytes) == (0, 0)


def test_what_was_asked_for_longest_ago_makes_room() -> None:
    cache = cache_of(entries=2)
    for name in ("a", "b"):
        cache.put(name, answer(name))
    cache.get("a")
    cache.put("c", answer("c"))
    assert [cache.get(name) is not None for name in ("a", "b", "c")] == [True, False, True]


def test_bytes_are_bounded() -> None:
    cache = cache_of(entries=1000, most_bytes=1000)
    for number in range(100):
        cache.put(str(number), answer("x" * 100))
        assert cache.bytes <= 1000
    assert cache.get("99")
    assert 1 <= len(cache) < 10
    cache.put("99", answer("y" * 2000))
    assert cache.get("99") == answer("x" * 100)
    cache.put("98", answer("short"))
    assert cache.bytes <= 1000
