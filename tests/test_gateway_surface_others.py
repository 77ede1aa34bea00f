from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openai
import pytest

from fusionfactory.gateway.access.keys import KeyFile
from fusionfactory.gateway.log.record import new_id
from fusionfactory.gateway.surface.tool_calls import ToolCalls
from gateway_parts import Served, served_gateway
from stub_upstream import Knobs, StubUpstream, stub_upstream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODELS = (
    {"name": "small", "endpoint": "stub", "input_price": 1.0, "output_price": 2.0},
    {"name": "org/large", "endpoint": "stub", "strategies": ["direct", "think"]},
    {"name": "vectors", "endpoint": "stub", "embeds": True, "input_price": 0.5,
     "output_price": 0.0},
)  # fmt: skip


@pytest.fixture
def stub() -> Iterator[StubUpstream]:
    with stub_upstream(small=Knobs(), vectors=Knobs()) as stub:
        yield stub


@pytest.fixture
def served(stub: StubUpstream, tmp_path: Path) -> Iterator[Served]:
    with served_gateway(stub.url, tmp_path, models=MODELS, routing=True) as served:
        yield served


def test_models_are_listed_as_openai_does(served: Served) -> None:
    models = list(served.client().models.list())
    assert [model.id for model in models] == [
        "auto", "auto:cheap", "auto:balanced", "auto:best",
        "small", "org/large", "org/large|think", "vectors",
    ]  # fmt: skip
    assert {model.object for model in models} == {"model"}
    assert {model.owned_by for model in models} == {"fusionfactory", "stub"}
    assert all(isinstance(model.created, int) for model in models)


@pytest.mark.parametrize("name", ["auto", "auto:best", "auto:0.25", "small", "org/large|think"])
def test_a_model_is_described(served: Served, name: str) -> None:
    assert served.client().models.retrieve(name).id == name


def test_a_model_that_is_not_there_is_not_found(served: Served) -> None:
    client = served.client()
    with pytest.raises(openai.NotFoundError, match="no model 'none'") as caught:
        client.models.retrieve("none")
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError, match="policy"):
        client.models.retrieve("auto:fastest")
    with pytest.raises(openai.NotFoundError, match="none"):
        client.chat.completions.create(model="none", messages=[{"role": "user", "content": "x"}])
    assert served.last.status == 404


def test_a_key_sees_and_uses_its_own_models_alone(stub: StubUpstream, tmp_path: Path) -> None:
    _, secret = KeyFile(tmp_path).add("team", models=["small"])
    with served_gateway(stub.url, tmp_path, models=MODELS, routing=True, keys="required") as served:
        client = served.client(secret)
        assert [model.id for model in client.models.list()][4:] == ["small"]
        with pytest.raises(openai.NotFoundError, match="for this key"):
            client.models.retrieve("vectors")
        with pytest.raises(openai.PermissionDeniedError, match="may not use 'vectors'"):
            client.embeddings.create(model="vectors", input="x")
        hello: Any = [{"role": "user", "content": "x"}]
        assert client.chat.completions.create(model="auto", messages=hello).model == "small"
        assert served.last.key == "team"


def test_a_text_is_gone_on_with(served: Served, stub: StubUpstream) -> None:
    client = served.client()
    answer = client.completions.create(model="small", prompt="a b", suffix="c")
    assert answer.choices[0].text == "small says: a b"
    assert answer.object == "text_completion"
    assert stub.ledger[0].path == "completions"
    assert stub.ledger[0].body["suffix"] == "c"
    chunks = list(client.completions.create(model="auto", prompt=["a", "b"], stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == "small says: a b"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert served.last.text == "a\nb"
    assert served.last.response == "small says: a b"
    assert served.last.cost_usd == pytest.approx(stub.ledger[-1].cost_usd)


def test_vectors_come_as_they_are_asked_for(served: Served, stub: StubUpstream) -> None:
    client = served.client()
    packed = client.embeddings.create(model="vectors", input=["one", "two"])
    assert stub.ledger[0].body["encoding_format"] == "base64"
    plain = client.embeddings.create(
        model="vectors", input=["one", "two"], encoding_format="float", dimensions=8
    )
    assert packed.data[1].embedding == pytest.approx(plain.data[1].embedding)
    assert (packed.model, len(packed.data[0].embedding)) == ("vectors", 8)
    record = served.last
    assert (record.api, record.why, record.text) == ("embeddings", "fixed", "one\ntwo")
    assert (record.input_tokens, record.output_tokens) == (2, 0)
    assert record.cost_usd == pytest.approx(2 * 0.5e-6)
    assert client.embeddings.create(model="auto", input="x").model == "vectors"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"model": "small", "input": "x"}, "no model 'small' embeds; those that do: vectors"),
        ({"model": "vectors", "input": []}, "'input' is missing or empty"),
        ({"model": "vectors", "input": "x", "encoding_format": "int8"}, "expected float or base64"),
    ],
)
def test_what_cannot_be_embedded_is_refused(
    served: Served, fields: dict[str, Any], says: str
) -> None:
    with pytest.raises(openai.APIStatusError, match=says) as caught:
        served.client().post("/embeddings", body=fields, cast_to=object)
    assert caught.value.status_code in {400, 404}


def test_the_description_lists_what_is_served_and_no_more(served: Served) -> None:
    described = served.ask("GET", "/openapi.json").json()
    assert described["openapi"].startswith("3.")
    for path, methods in described["paths"].items():
        for method in methods:
            answer = served.ask(method.upper(), path.replace("{id}", "nothing"), {})
            assert answer.status != 405, path
            assert answer.json().get("error", {}).get("code") != "not_found", path
    served_paths = {route.path for route in served_routes(served) if route.path.startswith("/v1/")}
    assert {path.replace(":path", "") for path in served_paths} == set(described["paths"]) - {
        "/openapi.json"
    }


def served_routes(served: Served) -> list[Any]:
    from fusionfactory.gateway.app import make_app

    return list(make_app(served.gateway).routes)


def pieces(*calls: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What becomes of calls that come one by one: index, id, name."""
    mended = ToolCalls()
    found = []
    for call in calls:
        mended.mend([call])
        function = call.get("function", {})
        found.append((call["index"], call.get("id"), function.get("name")))
    return found


def call(index: int | None = None, id_: str | None = None, name: str | None = None) -> Any:  # noqa: ANN401
    function = {"arguments": "{}"} if name is None else {"name": name, "arguments": ""}
    given = {"index": index, "id": id_, "type": "function" if id_ else None, "function": function}
    return {key: value for key, value in given.items() if value is not None}


def test_calls_in_good_order_stay_as_they_are() -> None:
    assert pieces(call(0, "a", "f"), call(1, "b", "g"), call(0), call(1), call(0)) == [
        (0, "a", "f"), (1, "b", "g"), (0, None, None), (1, None, None), (0, None, None),
    ]  # fmt: skip


def test_calls_that_are_all_at_index_0_are_told_apart_by_their_ids() -> None:
    assert pieces(call(0, "a", "f"), call(0), call(0, "b", "g"), call(0)) == [
        (0, "a", "f"), (0, None, None), (1, "b", "g"), (1, None, None),
    ]  # fmt: skip


def test_calls_without_an_index_get_one() -> None:
    assert pieces(call(None, "a", "f"), call(), call(None, "b", "g"), call(None, "a")) == [
        (0, "a", "f"), (0, None, None), (1, "b", "g"), (0, None, None),
    ]  # fmt: skip


def test_a_call_is_named_once_though_every_piece_names_it() -> None:
    assert pieces(call(0, "a", "f"), call(0, "a", "f"), call(0, "a", "f")) == [
        (0, "a", "f"), (0, None, None), (0, None, None),
    ]  # fmt: skip


def test_calls_without_ids_get_some() -> None:
    first, second = pieces(call(0, None, "f"), call(0, None, "g"))
    assert (first[0], second[0]) == (0, 1)
    assert first[1].startswith("call_")
    assert first[1] != second[1]


def test_a_name_may_come_after_its_id() -> None:
    assert pieces(call(0, "a"), call(0, None, "f"), call(0)) == [
        (0, "a", None), (0, None, "f"), (0, None, None),
    ]  # fmt: skip


def test_ids_are_in_the_order_of_their_making_and_never_alike() -> None:
    ids = [new_id("req") for _ in range(2000)]
    assert len(set(ids)) == 2000
    assert [id_[:16] for id_ in ids] == sorted(id_[:16] for id_ in ids)
    assert all(id_.startswith("req_") and len(id_) == 36 for id_ in ids)
