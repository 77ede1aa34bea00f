"""Plans in the gateway: the calls and answers of their replay, told, logged and charged."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from answered_table import answered_table
from fusionfactory.answers import group_answers, make_equivalence
from fusionfactory.config import Config
from fusionfactory.errors import ConfigError, RouterFileError
from fusionfactory.gateway.access import Client, KeyFile
from fusionfactory.gateway.fleet import Fleet
from fusionfactory.gateway.log.ingest import Ingester
from fusionfactory.gateway.planning.plans import Plans
from fusionfactory.plans import replay, save_plan
from fusionfactory.plans.cascade import CascadePlan
from fusionfactory.plans.lineup import Lineup
from fusionfactory.plans.online import Run
from fusionfactory.plans.select import SelectPlan
from fusionfactory.plans.tasks import Tasks
from fusionfactory.policy import Policy
from fusionfactory.store import Store
from fusionfactory.types import JUDGE_ONLY
from gateway_parts import Served, served_gateway
from stub_upstream import Knobs, StubUpstream, stub_upstream
from test_plans_select import collected

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from fusionfactory.table import OutcomeTable

STAGES = [["small-a", "small-b"], ["small-c", "small-d"], ["large"]]
NAMES = [name for stage in STAGES for name in stage]
MODELS = tuple(
    {
        "name": name, "endpoint": "stub",
        "input_price": 1000.0 if name == "large" else 1.0, "output_price": 2.0,
    }
    for name in NAMES
)  # fmt: skip
TEXT = "add the two numbers 3"
AGREED: dict[str, str | None] = dict.fromkeys(NAMES, "The answer is 7")
APART: dict[str, str | None] = {name: f"It is {i}" for i, name in enumerate(NAMES)}
KEYS = ("plan", "metric", "asked", "answer", "confidence")


CAREFUL: dict[str, Any] = {
    "model": "careful",
    "messages": [{"role": "user", "content": "add 1"}],
}


@pytest.fixture(scope="module")
def plan() -> CascadePlan:
    """At a price at which it stops early where arms agree, and not where they do not."""
    plan = CascadePlan(stages=STAGES).fit(answered_table(240, seed=1))
    steps = [plan.at(step) for step in range(len(plan.price_))]
    return next(step for step in steps if len(calls(step, AGREED)) < 4 <= len(calls(step, APART)))


def course(plan: CascadePlan, said: Mapping[str, str | None]) -> list[list[str]]:
    """The stages that the plan asks where these are the answers."""
    equivalence = make_equivalence("number")
    run = Run(plan, plan.begin([TEXT]), question=TEXT, equivalence=equivalence)
    stages: list[list[str]] = []
    while run.call:
        stages.append(list(run.call))
        run.told({name: said[name] for name in run.call})
    return stages


def calls(plan: CascadePlan, said: Mapping[str, str | None]) -> list[str]:
    return [name for stage in course(plan, said) for name in stage]


def shown(stages: list[list[str]]) -> str:
    return ";".join(map(",".join, stages))


@pytest.fixture(scope="module")
def folder(plan: CascadePlan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "plan"
    save_plan(plan, path)
    return path


@pytest.fixture(scope="module")
def test() -> OutcomeTable:
    return answered_table(25, seed=2)


@pytest.fixture
def stub() -> Iterator[StubUpstream]:
    with stub_upstream() as stub:
        stub.models |= {name: Knobs(text="The answer is 7") for name in NAMES}
        yield stub


@pytest.fixture
def served(stub: StubUpstream, folder: Path, tmp_path: Path) -> Iterator[Served]:
    with serving(stub, folder, tmp_path) as served:
        yield served


def serving(stub: StubUpstream, folder: Path, state: Path, **serve: Any) -> Any:  # noqa: ANN401
    plans = [{"name": "careful", "path": str(folder)}]
    return served_gateway(stub.url, state, plans=plans, **{"models": MODELS, **serve})


def say(stub: StubUpstream, said: Mapping[str, str | None]) -> None:
    """Lets the models answer so."""
    for name, text in said.items():
        stub.models[name].text = text


def ask(served: Served, text: str = TEXT, **more: Any) -> Any:  # noqa: ANN401
    return served.client().chat.completions.with_raw_response.create(
        model=more.pop("model", "careful"),
        messages=[{"role": "user", "content": text}],
        **more,
    )


@contextmanager
def hanging_up(served: Served, token: str) -> Iterator[None]:
    """A client that asks, and leaves at the end of the block."""
    body = json.dumps(CAREFUL)
    with socket.create_connection(("127.0.0.1", served.port)) as connection:
        connection.sendall(
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer "
            f"{token}\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()
        )
        yield


def told(headers: Any) -> dict[str, str | None]:  # noqa: ANN401
    names = ("plan", *(f"plan-{name}" for name in KEYS[1:]))
    return {name: headers.get(f"x-fusionfactory-{name}") for name in names}


def test_the_gateway_calls_and_answers_as_the_replay_does(
    served: Served, stub: StubUpstream, plan: CascadePlan, test: OutcomeTable
) -> None:
    names = [arm.name for arm in plan.arms_]
    done = replay(plan, test, group_answers(test))
    assert test.responses is not None
    lengths = set()
    for row, text in enumerate(test.texts):
        for column, name in enumerate(test.arm_names):
            stub.models[name].text = test.responses[row, column]
        before = len(stub.ledger)
        raw = ask(served, text)
        asked = stub.asked()[before:]
        assert sorted(asked) == sorted(np.array(names)[done.called[row]])
        answer = names[done.answered[row]]
        own = test.responses[row, test.arm_names.index(answer)]
        assert raw.parse().choices[0].message.content == own
        facts = told(raw.headers)
        assert facts["plan-answer"] == answer
        assert float(facts["plan-confidence"] or 0) == pytest.approx(done.confidence[row], abs=1e-5)
        lengths.add(len(asked))
    assert len(lengths) > 1


def test_an_answer_tells_what_it_took(
    served: Served, stub: StubUpstream, plan: CascadePlan
) -> None:
    say(stub, APART)
    raw = ask(served)
    reply, record = raw.parse(), served.last
    stub.wait(lambda stub: all(call.ended for call in stub.ledger))
    assert reply.model == raw.headers["x-fusionfactory-arm"] == record.arm == "careful"
    facts = told(raw.headers)
    assert facts["plan"] == "careful"
    assert facts["plan-metric"] == "number"
    assert facts["plan-asked"] == shown(course(plan, APART))
    assert raw.headers["x-fusionfactory-why"] == record.why == "fixed"
    assert reply.usage.prompt_tokens == sum(call.input_tokens for call in stub.ledger)
    assert reply.usage.completion_tokens == sum(call.output_tokens for call in stub.ledger)
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    paid = sum(attempt.cost_usd or 0.0 for attempt in record.attempts)
    assert record.cost_usd == pytest.approx(paid)
    assert float(raw.headers["x-fusionfactory-cost-usd"]) == pytest.approx(paid, rel=1e-5)
    assert record.upstream_s is not None
    assert record.plan is not None
    assert [attempt.arm for attempt in record.attempts] == [
        arm for stage in record.plan.stages for arm in stage
    ]


def test_a_stage_is_asked_at_once(served: Served, stub: StubUpstream) -> None:
    say(stub, APART)
    for name in NAMES:
        stub.models[name].latency_s = 0.2
    ask(served)
    record = served.last
    assert record.upstream_s is not None
    assert record.upstream_s < 0.8 * sum(attempt.latency_s for attempt in record.attempts)


@pytest.mark.parametrize("wants_usage", [True, False])
def test_a_stream_begins_once_the_answer_stands(
    wants_usage: bool, served: Served, stub: StubUpstream
) -> None:
    options: Any = {"stream_options": {"include_usage": True}} if wants_usage else {}
    chunks = list(
        served.client().chat.completions.create(
            model="careful",
            messages=[{"role": "user", "content": TEXT}],
            stream=True,
            **options,
        )
    )
    assert all("stream" not in call.body for call in stub.ledger)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == "The answer is 7"
    assert {chunk.model for chunk in chunks} == {"careful"}
    assert chunks[0].choices[0].delta.role == "assistant"
    sums = [chunk.usage.prompt_tokens for chunk in chunks if chunk.usage is not None]
    expected = [sum(call.input_tokens for call in stub.ledger)] if wants_usage else []
    assert sums == expected
    assert served.last.stream


def test_every_call_is_an_outcome_once_and_the_plan_is_an_arm(
    served: Served, stub: StubUpstream, tmp_path: Path
) -> None:
    say(stub, APART)
    stub.models["small-c"].fault = "422"
    ask(served)
    record = served.last
    served.wait(lambda served: served.journal.written == 1)
    settings = served.gateway.settings.log
    with Store(str(served.gateway.config.store)) as store:
        ingester = Ingester(store, tmp_path / "journal", settings)
        while ingester.step():
            pass
        ingester.step()
        traffic = served.gateway.traffic
        decision = traffic.decision(record.id)
        outcomes = {outcome.arm: outcome for outcome in store.outcomes()}
    assert record.plan is not None
    assert decision is not None
    assert decision["plan"]["plan"] == decision["arm"] == decision["chosen"] == "careful"
    assert decision["plan"]["stages"] == record.plan.stages
    assert set(outcomes) == {attempt.arm for attempt in record.attempts} | {"careful"}
    assert outcomes["small-b"].response == "It is 1"
    assert outcomes["small-c"].response is None
    assert "422" in (outcomes["small-c"].error or "")
    whole = outcomes["careful"]
    assert whole.response == record.response
    own = [outcome.cost_usd for name, outcome in outcomes.items() if name != "careful"]
    assert whole.cost_usd == pytest.approx(sum(cost or 0.0 for cost in own))
    assert served.gateway.traffic.summary(0.0)["arms"]["careful"]["requests"] == 1  # type: ignore[attr-defined]


def test_a_plan_hears_how_sure_its_arms_are(stub: StubUpstream, tmp_path: Path) -> None:
    train, test = answered_table(240, seed=1), answered_table(4, seed=2)
    sure = np.random.default_rng(3).random(train.quality.shape) < 0.3 + 0.4 * train.quality
    plan = CascadePlan(stages=STAGES).fit(replace(train, logprob=np.where(sure, -0.5, -1.5)))
    save_plan(plan, tmp_path / "plan")
    told = replay(plan, replace(test, logprob=np.full((4, 5), -0.5)))
    untold = replay(plan, test)
    assert np.abs(told.confidence - untold.confidence).min() > 1e-3
    models = [{**model, "logprobs": True} for model in MODELS]
    with serving(stub, tmp_path / "plan", tmp_path, models=models) as served:
        assert test.responses is not None
        for row, text in enumerate(test.texts):
            say(stub, dict(zip(test.arm_names, test.responses[row], strict=True)))
            raw = ask(served, text, logprobs=row % 2 == 0)
            confidence = float(raw.headers["x-fusionfactory-plan-confidence"])
            assert confidence == pytest.approx(told.confidence[row], abs=1e-5)
            assert (raw.parse().choices[0].logprobs is not None) == (row % 2 == 0)
            ran = served.last.plan
            assert ran is not None
            assert {said.logprob for said in ran.said} == {served.last.logprob} == {-0.5}


def test_an_arm_that_fails_gave_no_answer_and_the_plan_goes_on(
    served: Served, stub: StubUpstream, plan: CascadePlan
) -> None:
    first = calls(plan, AGREED)[0]
    stub.models[first].fault = "422"
    raw = ask(served)
    facts = told(raw.headers)
    assert raw.parse().choices[0].message.content == "The answer is 7"
    assert facts["plan-asked"] == shown(course(plan, {**AGREED, first: None}))
    assert facts["plan-answer"] != first
    assert served.last.error is None


def test_where_all_fail_the_client_gets_the_usual_error(served: Served, stub: StubUpstream) -> None:
    for name in NAMES:
        stub.models[name].fault = "422"
    answer = served.ask(
        "POST", "/v1/chat/completions",
        {"model": "careful", "messages": [{"role": "user", "content": TEXT}]},
    )  # fmt: skip
    assert answer.status == 422
    assert answer.headers["x-should-retry"] == "false"
    assert sorted(set(stub.asked())) == sorted(NAMES)
    record = served.last
    assert (record.arm, record.chosen, record.status) == (None, "careful", 422)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools cannot be compared"),
        ({"n": 2}, "n cannot be compared"),
        ({"response_format": {"type": "json_object"}}, "json cannot be compared"),
    ],
)
def test_what_cannot_be_compared_goes_to_the_best_single_arm(
    more: dict[str, Any], reason: str, served: Served, stub: StubUpstream
) -> None:
    raw = ask(served, **more)
    assert stub.asked() == ["large"]
    assert raw.headers["x-fusionfactory-arm"] == "large"
    assert raw.headers["x-fusionfactory-plan"] == "careful"
    assert reason in raw.headers["x-fusionfactory-plan-passed-over"]
    assert reason in served.last.excluded["careful"]
    assert served.last.plan is None


def test_free_text_goes_to_the_best_single_arm(
    stub: StubUpstream, plan: CascadePlan, tmp_path: Path
) -> None:
    free = plan.at(9)
    free.tasks_ = Tasks()
    free.tasks_.names_, free.tasks_.metrics_ = ["poems", "letters"], [JUDGE_ONLY, None]
    save_plan(free, tmp_path / "plan")
    with serving(stub, tmp_path / "plan", tmp_path) as served:
        raw = ask(served)
        assert stub.asked() == ["large"]
        assert "by the metric" in raw.headers["x-fusionfactory-plan-passed-over"]
        by_metric = {"fusionfactory": {"metric": "number"}}
        assert ask(served, extra_body=by_metric).parse().model == "careful"


def test_a_request_may_say_the_metric_or_the_task(served: Served, stub: StubUpstream) -> None:
    say(stub, dict.fromkeys(NAMES, "the answer is B"))
    by_metric = ask(served, extra_body={"fusionfactory": {"metric": "multiple_choice"}})
    assert told(by_metric.headers)["plan-metric"] == "multiple_choice"
    by_task = ask(served, extra_headers={"x-fusionfactory-task": "names"})
    assert told(by_task.headers)["plan-metric"] == "number"
    for own, message in (
        ({"metric": "taste"}, "unknown equivalence 'taste'"),
        ({"metric": "judge"}, "unknown equivalence 'judge'"),
        ({"task": "poems"}, "no task 'poems'; it knows names, sums"),
    ):
        body = {"model": "careful", "messages": [{"role": "user", "content": "?"}]}
        answer = served.ask("POST", "/v1/chat/completions", {**body, "fusionfactory": own})
        assert answer.status == 400
        assert message in answer.json()["error"]["message"]


def test_plans_are_listed_as_models(served: Served) -> None:
    listed = {model.id for model in served.client().models.list()}
    assert {"careful", "large"} <= listed
    assert served.client().models.retrieve("careful").owned_by == "fusionfactory"


def test_auto_runs_a_plan_by_the_requests_policy_where_it_is_told_to(
    stub: StubUpstream, plan: CascadePlan, folder: Path, tmp_path: Path
) -> None:
    say(stub, APART)
    with serving(stub, folder, tmp_path, routing=True) as served:
        assert ask(served, model="auto").parse().model != "careful"
    stub.ledger.clear()
    with serving(stub, folder, tmp_path, routing=True) as served:
        served.gateway.plans = Plans.load(_with_auto(served.gateway.config), served.gateway.fleet)
        best = ask(served, model="auto:best")
        assert (best.parse().model, served.last.why) == ("careful", "plan")
        assert best.headers["x-fusionfactory-policy"] == "performance"
        best_first = plan.under(Policy.parse("performance"))
        assert told(best.headers)["plan-asked"] == shown(course(best_first, APART))
        cheap = ask(served, model="auto:cheap")
        cheapest = plan.under(Policy.parse("cost"))
        assert told(cheap.headers)["plan-asked"] == shown(course(cheapest, APART))
        assert course(cheapest, APART) != course(best_first, APART)
        raw = ask(served, model="auto", n=2)
        assert served.last.why == "default"
        assert "cannot be compared" in raw.headers["x-fusionfactory-plan-passed-over"]
        tight = served.ask(
            "POST", "/v1/chat/completions",
            {"model": "auto:budget:1e-9", "messages": [{"role": "user", "content": "add 2"}]},
        )  # fmt: skip
        assert tight.status == 400
        assert "costs at least" in tight.json()["error"]["message"]


def _with_auto(config: Config) -> Config:
    routing = config.serve.routing.model_copy(update={"plan": "careful"})
    return config.model_copy(update={"serve": config.serve.model_copy(update={"routing": routing})})


def test_every_call_counts_against_the_keys_limits(
    stub: StubUpstream, plan: CascadePlan, folder: Path, tmp_path: Path
) -> None:
    say(stub, APART)
    _, few = KeyFile(tmp_path).add("few", rpm=3)
    _, some = KeyFile(tmp_path).add("some", models=("small-a",))
    _, named = KeyFile(tmp_path).add("named", models=("careful",))
    with serving(stub, folder, tmp_path, keys="required") as served:
        asked = served.client(few).chat.completions.with_raw_response.create(
            model="careful", messages=[{"role": "user", "content": TEXT}]
        )
        allowed, refused = calls(plan, APART)[:3], calls(plan, APART)[3]
        assert sorted(stub.asked()) == sorted(allowed)
        assert (told(asked.headers)["plan-asked"] or "").replace(";", ",") == ",".join(allowed)
        assert "3 requests a minute" in served.last.excluded[refused]
        body = {"model": "careful", "messages": [{"role": "user", "content": "add 1"}]}
        for token, status in ((few, 429), (some, 403), (named, 200)):
            headers = {"authorization": f"Bearer {token}"}
            assert served.ask("POST", "/v1/chat/completions", body, headers).status == status
        listed = {model.id for model in served.client(some).models.list()}
        assert "careful" not in listed


def test_a_key_is_charged_for_all_calls_of_a_plan(
    stub: StubUpstream, folder: Path, tmp_path: Path
) -> None:
    say(stub, APART)
    _, token = KeyFile(tmp_path).add("one", usd_per_day=100.0)
    with serving(stub, folder, tmp_path, keys="required") as served:
        body = {"model": "careful", "messages": [{"role": "user", "content": "add 1"}]}
        headers = {"authorization": f"Bearer {token}"}
        assert served.ask("POST", "/v1/chat/completions", body, headers).status == 200
        client = served.gateway.access.authorise(headers)
        assert client.meter is not None
        spent = client.meter.spent_usd(served.last.at)[0]
    assert spent == pytest.approx(served.last.cost_usd)


def test_a_client_that_leaves_in_the_middle_of_a_plan_is_charged_for_what_was_asked(
    stub: StubUpstream, folder: Path, tmp_path: Path
) -> None:
    say(stub, APART)
    _, token = KeyFile(tmp_path).add("one", usd_per_day=100.0)
    with serving(stub, folder, tmp_path, keys="required") as served:
        headers = {"authorization": f"Bearer {token}"}
        assert served.ask("POST", "/v1/chat/completions", CAREFUL, headers).status == 200
        mean = served.last.cost_usd / len(stub.ledger)
        for knobs in stub.models.values():
            knobs.latency_s = 30.0
        known = len(stub.ledger)
        client = served.gateway.access.authorise(headers)
        assert client.meter is not None
        with hanging_up(served, token):
            stub.wait(lambda stub: len(stub.ledger) > known)
            assert client.meter.spending(served.last.at)[0].under_way >= 1
        served.wait(lambda served: len(served.journal.records) == 2)
        day, _ = client.meter.spending(served.last.at)
        assert day.under_way == 0
        lost = len(stub.ledger) - known
        assert day.usd == pytest.approx((known + lost) * mean)


def test_a_client_that_leaves_before_a_plan_calls_anybody_is_charged_nothing(
    stub: StubUpstream, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, token = KeyFile(tmp_path).add("one", usd_per_day=100.0)
    with serving(stub, folder, tmp_path, keys="required") as served:
        access, waiting = served.gateway.access, threading.Event()
        turns = itertools.count()

        async def prepare(_: Client) -> None:
            if next(turns):  # for the second call of the first stage
                waiting.set()
                await asyncio.sleep(60)

        monkeypatch.setattr(access, "prepare", prepare)
        client = access.authorise({"authorization": f"Bearer {token}"})
        assert client.meter is not None
        with hanging_up(served, token):
            assert waiting.wait(10)
            assert client.meter.spending(time.time())[0].under_way == 1
        served.wait(lambda served: served.journal.records)
        assert client.meter.spending(time.time())[0].under_way == 0
    assert stub.ledger == []


def test_an_answer_comes_from_the_cache_again(
    stub: StubUpstream, folder: Path, tmp_path: Path
) -> None:
    with serving(stub, folder, tmp_path, cache={"entries": 10}) as served:
        first = ask(served, temperature=0).parse()
        paid = len(stub.ledger)
        again = ask(served, temperature=0)
        assert again.parse() == first
        assert len(stub.ledger) == paid
        ask(served, temperature=0, extra_body={"fusionfactory": {"metric": "contains"}})
        assert len(stub.ledger) > paid


def test_responses_run_plans_too(served: Served, stub: StubUpstream) -> None:
    reply = served.client().responses.create(model="careful", input="add the two numbers 3")
    assert reply.output_text == "The answer is 7"
    assert reply.usage is not None
    assert reply.usage.input_tokens == sum(call.input_tokens for call in stub.ledger)


def test_a_judge_picks_and_its_verdict_is_no_answer(stub: StubUpstream, tmp_path: Path) -> None:
    select = SelectPlan(
        judge="judge", candidates=["small-a", "small-b"], orders=1, log=str(tmp_path / "log.db")
    )
    train = answered_table(160, seed=1)
    collected(tmp_path / "log.db", select, train)
    save_plan(select.fit(train), tmp_path / "plan")
    say(stub, APART)
    stub.models["small-a"].latency_s = 0.2
    stub.models["judge"] = Knobs(text='{"reason": "it is so", "best": "B"}')
    models = (*MODELS, {"name": "judge", "endpoint": "stub"})
    with serving(stub, tmp_path / "plan", tmp_path, models=models) as served:
        raw = ask(served, max_tokens=50)
    lineup = Lineup.of(TEXT, ["It is 0", "It is 1"], [0, 1], turns=1, synthesis=False)
    assert lineup is not None
    (prompt,) = lineup.prompts()
    (verdict,) = [call for call in stub.ledger if call.model == "judge"]
    assert verdict.body == {"model": "judge", "messages": list(prompt)}
    picked = lineup.heard(['{"best": "B"}'])
    facts = told(raw.headers)
    assert raw.parse().choices[0].message.content == picked
    assert facts["plan-answer"] == NAMES[int(str(picked)[-1])]
    assert facts["plan-asked"] == "small-a,small-b;judge"
    assert raw.parse().usage.prompt_tokens == sum(call.input_tokens for call in stub.ledger)
    record = served.last
    assert record.plan is not None
    assert [said.arm for said in record.plan.said] == ["small-a", "small-b"]
    assert [attempt.arm for attempt in record.attempts] == ["small-a", "small-b", "judge"]


# Settings


def settings(folder: Path, *models: str, **serve: Any) -> Config:  # noqa: ANN401
    return Config.model_validate({
        "endpoints": [{"name": "stub", "base_url": "http://127.0.0.1:9/v1", "api_key_env": ""}],
        "models": [{"name": name, "endpoint": "stub"} for name in models],
        "serve": {"plans": [{"name": "careful", "path": str(folder)}], **serve},
    })  # fmt: skip


@pytest.mark.parametrize(
    ("models", "serve", "match"),
    [
        (NAMES[:4], {}, "asks the arm 'large', which the settings do not have"),
        ([*NAMES, "careful"], {}, "'careful' is that of a model"),
        (NAMES, {"routing": {"plan": "other"}}, "no plan 'other'.*there are: careful"),
        (NAMES, {"routing": {"plan": "careful", "cheap": "budget:1e-9"}}, "costs at least"),
    ],
)
def test_wrong_settings_are_found_at_the_start(
    models: list[str], serve: dict[str, Any], match: str, folder: Path
) -> None:
    config = settings(folder, *models, **serve)
    with pytest.raises(ConfigError, match=match):
        Plans.load(config, Fleet(config))


def test_a_plan_that_is_not_there_is_told(tmp_path: Path) -> None:
    config = settings(tmp_path / "nowhere", *NAMES)
    with pytest.raises(RouterFileError, match="no saved plan here"):
        Plans.load(config, Fleet(config))


def test_a_reload_shares_what_stayed_and_reads_what_was_saved_anew(
    plan: CascadePlan, tmp_path: Path
) -> None:
    save_plan(plan, tmp_path / "plan")
    config = settings(tmp_path / "plan", *NAMES)
    first = Plans.load(config, Fleet(config))
    same = Plans.load(config, Fleet(config), first)
    assert [id(served) for served in same] == [id(served) for served in first]
    routing = config.serve.routing.model_copy(update={"decide_within_s": 9.0})
    patient = config.model_copy(
        update={"serve": config.serve.model_copy(update={"routing": routing})}
    )
    assert {id(served) for served in Plans.load(patient, Fleet(patient), first)}.isdisjoint(
        id(served) for served in first
    )
    save_plan(plan.at(3), tmp_path / "plan")
    (new,) = Plans.load(config, Fleet(config), same)
    assert new.plan.step_ == 3  # type: ignore[attr-defined]
