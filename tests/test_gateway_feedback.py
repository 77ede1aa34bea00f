"""Feedback over HTTP: who may give it, what it may say, and what becomes of it in the store."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from fusionfactory.gateway.access import KeyFile
from fusionfactory.gateway.log.ingest import Ingester
from fusionfactory.store import Store
from gateway_parts import Served, served_gateway
from stub_upstream import Knobs, stub_upstream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def ingesting(served: Served, state: Path) -> Iterator[Store]:
    """Moves the journal into the store meanwhile."""
    over = threading.Event()
    with Store(f"sqlite:///{state / 'log.db'}") as store:
        ingester = Ingester(store, state / "journal", served.gateway.settings.log)

        def work() -> None:
            while not over.wait(0.02):
                ingester.step()

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield store
        finally:
            over.set()
            thread.join()


@contextmanager
def gateway(state: Path, **serve: Any) -> Iterator[tuple[Served, Store]]:  # noqa: ANN401
    with (
        stub_upstream(small=Knobs(text="The answer is 4.")) as stub,
        served_gateway(stub.url, state, **serve) as served,
        ingesting(served, state) as store,
    ):
        yield served, store


def asked(served: Served, key: str = "none") -> str:
    """Id of a request that was answered."""
    answer = served.client(key).chat.completions.with_raw_response.create(
        model="auto", messages=[{"role": "user", "content": "What is 2 + 2?"}]
    )
    return str(answer.headers["x-request-id"])


@dataclass
class Said:
    """What came of something that was said."""

    status: int
    body: dict[str, Any]

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = self.body["error"]
        return error


def say(served: Served, body: Any, key: str = "none") -> Said:  # noqa: ANN401  any JSON
    request = urllib.request.Request(  # noqa: S310  a server of our own
        f"{served.url}/feedback",
        json.dumps(body).encode(),
        {"authorization": f"Bearer {key}", "content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return Said(answer.status, json.load(answer))
    except urllib.error.HTTPError as refusal:
        with refusal:
            return Said(refusal.code, json.load(refusal))


def outcome(store: Store, id_: str, wanted: int) -> Any:  # noqa: ANN401
    """The outcome of a request, once so many things were said of it."""
    from fusionfactory.gateway.log.traffic import Traffic

    for _ in range(500):
        found = Traffic(store).decision(id_)
        if found is not None and len(found["feedback"]) == wanted:
            return found
        threading.Event().wait(0.02)
    pytest.fail("the feedback never came to the store")


@pytest.mark.parametrize(
    ("said", "quality"),
    [({"score": 0.25}, 0.25), ({"score": 1}, 1.0), ({"thumbs": "up"}, 1.0),
     ({"thumbs": "down"}, 0.0), ({"target": "4"}, 1.0), ({"target": "17"}, 0.0)],
)  # fmt: skip
def test_what_is_said_becomes_the_answers_quality(
    tmp_path: Path, said: dict[str, Any], quality: float
) -> None:
    with gateway(tmp_path) as (served, store):
        id_ = asked(served)
        answer = say(served, {"id": id_, **said})
        assert answer.status == 200, answer.body
        assert answer.body["new"] is True
        assert outcome(store, id_, 1)["quality"] == quality


def test_the_same_again_changes_nothing_and_another_replaces_it(tmp_path: Path) -> None:
    with gateway(tmp_path) as (served, store):
        id_ = asked(served)
        say(served, {"id": id_, "thumbs": "down"})
        outcome(store, id_, 1)
        again = say(served, {"id": id_, "score": 0.0})
        assert (again.status, again.body["new"]) == (200, False)
        assert say(served, {"id": id_, "score": 0.5}).body["new"] is True
        assert outcome(store, id_, 2)["quality"] == 0.5


def test_only_the_key_that_asked_may_say_something(tmp_path: Path) -> None:
    file = KeyFile(tmp_path)
    _, alice = file.add("alice")
    _, bob = file.add("bob", admin=True)
    with gateway(tmp_path, keys="required") as (served, store):
        id_ = asked(served, alice)
        assert say(served, {"id": id_, "score": 1}, "ff-wrong").status == 401
        stranger = say(served, {"id": id_, "score": 1}, bob)
        nobody = say(served, {"id": "req_of_nobody", "score": 1}, bob)
        assert (stranger.status, nobody.status) == (404, 404)
        assert {**stranger.error, "message": ""} == {**nobody.error, "message": ""}
        assert stranger.error["message"].replace(id_, "req_of_nobody") == nobody.error["message"]
        assert say(served, {"id": id_, "score": 1}, alice).status == 200
        assert outcome(store, id_, 1)["feedback"][0]["key"] == "alice"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "id"), ({"id": ""}, "id"), ({"id": 3, "score": 1}, "id"), ({"id": "x"}, None),
        ({"id": "x", "score": 1.01}, "score"), ({"id": "x", "score": -0.1}, "score"),
        ({"id": "x", "score": True}, "score"), ({"id": "x", "score": "1"}, "score"),
        ({"id": "x", "thumbs": "sideways"}, "thumbs"), ({"id": "x", "thumbs": ["up"]}, "thumbs"),
        ({"id": "x", "thumbs": "up", "score": 1}, "thumbs"),
        ({"id": "x", "target": " "}, "target"), ({"id": "x", "target": 4}, "target"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_the_field(
    tmp_path: Path, body: dict[str, Any], param: str | None
) -> None:
    with gateway(tmp_path) as (served, _):
        answer = say(served, body)
        assert answer.status == 400
        assert answer.error["param"] == param


def test_a_body_that_is_no_object_is_refused(tmp_path: Path) -> None:
    with gateway(tmp_path) as (served, _):
        assert say(served, [1]).status == 400


def test_targets_are_refused_where_no_text_is_kept(tmp_path: Path) -> None:
    with gateway(tmp_path, log={"texts": "hash"}) as (served, store):
        id_ = asked(served)
        answer = say(served, {"id": id_, "target": "4"})
        assert answer.status == 400
        assert "send a score" in answer.error["message"]
        assert say(served, {"id": id_, "score": 0.5}).status == 200
        assert outcome(store, id_, 1)["quality"] == 0.5
