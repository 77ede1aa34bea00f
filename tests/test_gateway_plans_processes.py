"""A plan in the real gateway: from the settings to an answer, the dashboard, and a reload."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from answered_table import answered_table
from fusionfactory.plans import save_plan
from fusionfactory.plans.cascade import CascadePlan
from gateway_process import serving
from stub_upstream import Knobs, StubUpstream, stub_upstream
from test_gateway_dashboard_page import browser, visiting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from gateway_process import Serving

__all__ = ["browser"]

STAGES = [["small-a", "small-b"], ["large"]]
NAMES = [name for stage in STAGES for name in stage]


@pytest.fixture(scope="module")
def stub() -> Iterator[StubUpstream]:
    with stub_upstream() as made:
        made.models |= {name: Knobs(text="The answer is 7") for name in NAMES}
        made.models["small-b"].text = "It is 8"
        yield made


@pytest.fixture(scope="module")
def plan() -> CascadePlan:
    return CascadePlan(stages=STAGES).fit(answered_table(160, seed=1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, stub: StubUpstream, plan: CascadePlan) -> Path:
    made = tmp_path_factory.mktemp("planned")
    save_plan(plan, made / "plan")
    models = "".join(
        f'[[models]]\nname = "{name}"\nendpoint = "stub"\ninput_price = 1.0\noutput_price = 2.0\n'
        for name in NAMES
    )
    (made / "fusionfactory.toml").write_text(
        'store = "log.db"\n'
        f'[[endpoints]]\nname = "stub"\nbase_url = "{stub.url}"\napi_key_env = ""\n{models}'
        '[serve]\nport = 0\n[serve.routing]\nauto = "price:0.00005"\nplan = "careful"\n'
        '[[serve.plans]]\nname = "careful"\npath = "plan"\n'
    )
    return made


@pytest.fixture(scope="module")
def gateway(folder: Path) -> Iterator[Serving]:
    with serving(folder) as made:
        made.wait(lambda made: made.ask("GET", "/ready").status == 200)
        yield made


def test_auto_runs_the_plan_and_everything_shows_it_as_an_arm(gateway: Serving) -> None:
    assert "arms: small-a, small-b, large, careful" in gateway.line
    reply = gateway.chat("add the two numbers 3")
    assert reply.json["model"] == "careful"
    assert reply.headers["x-fusionfactory-why"] == "plan"
    assert reply.headers["x-fusionfactory-plan-asked"] == "small-a,small-b;large"
    place = f"/v1/decisions/{reply.headers['x-request-id']}"
    gateway.wait(lambda made: made.ask("GET", place).status == 200)
    found: dict[str, Any] = gateway.ask("GET", place).json
    assert found["plan"]["answer"] == reply.headers["x-fusionfactory-plan-answer"]
    assert [attempt["arm"] for attempt in found["attempts"]] == NAMES
    live = gateway.ask("GET", "/dashboard/api/live").json
    assert live["summary"]["arms"]["careful"]["requests"] >= 1
    assert live["summary"]["by_why"]["plan"] >= 1
    assert "careful" in gateway.ask("GET", "/dashboard/api/session").json["arms"]
    metrics = gateway.ask("GET", "/metrics").body.decode()
    assert 'fusionfactory_requests_total{api="chat",arm="careful",status="200"}' in metrics
    (line,) = [line for line in gateway.log if line.get("id") == reply.headers["x-request-id"]]
    assert (line["arm"], len(line["attempts"])) == ("careful", 3)


def test_the_page_tells_how_the_plan_went(browser: Browser, gateway: Serving) -> None:
    id_ = gateway.chat("add the two numbers 4").headers["x-request-id"]
    with visiting(browser, gateway.url) as site:
        dialog = site.open(f"decisions/{id_}").locator("dialog")
        dialog.get_by_text("careful was chosen: the plan that auto runs").wait_for()
        told = dialog.locator("dl.facts").first.inner_text()
        assert "small-a, small-b; then large" in told
        site.shoot("plan")
        page = site.open("playground")
        page.locator("#prompt").fill("add the two numbers 5")
        page.keyboard.press("Control+Enter")
        page.locator(".tags", has_text="small-a,small-b;large").wait_for()
        site.shoot("plan-playground")


def test_a_plan_that_was_saved_anew_counts_from_the_next_reload(
    gateway: Serving, folder: Path, plan: CascadePlan
) -> None:
    save_plan(plan.at(len(plan.price_) - 1), folder / "plan")
    gateway.workers()
    before = len(gateway.events("the new settings are in force"))
    gateway.process.send_signal(signal.SIGHUP)
    gateway.wait(lambda made: len(made.events("the new settings are in force")) > before)
    reply = gateway.chat("add the two numbers 3", model="careful")
    assert ";" not in reply.headers["x-fusionfactory-plan-asked"]
    (folder / "plan" / "plan.json").write_text("{}")
    gateway.process.send_signal(signal.SIGHUP)
    gateway.wait(lambda made: made.events("the settings are wrong, so the old ones stay"))
    assert gateway.chat("add the two numbers 3", model="careful").status == 200
