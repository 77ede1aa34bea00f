"""The dashboard's API: what it tells, whom it tells it, and what it changes."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from fusionfactory.errors import StoreAwayError, StoreError
from fusionfactory.gateway.access.access import Access
from fusionfactory.gateway.access.keys import KeyFile
from fusionfactory.gateway.dashboard.recent import Recent
from fusionfactory.gateway.dashboard.routes import routes
from fusionfactory.gateway.fleet import Fleet
from fusionfactory.gateway.gateway import Gateway
from fusionfactory.gateway.learning.versions import Versions
from fusionfactory.gateway.log.record import Attempt, new_id
from fusionfactory.gateway.log.traffic import Traffic
from fusionfactory.gateway.planning.plans import Plans
from fusionfactory.gateway.upstream.upstreams import Upstreams
from fusionfactory.store import Store
from gateway_dashboard import XSS, configured, fill, record, two_versions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fusionfactory.gateway.log.record import Record

API = "/dashboard/api"
LOCAL = "http://127.0.0.1:8377"
CHANGE = {"x-fusionfactory-dashboard": "1"}


class Dashboard:
    """A gateway's parts as the dashboard uses them, and clients of it."""

    def __init__(self, folder: Path, **serve: Any) -> None:  # noqa: ANN401
        self.folder = folder
        self.config = configured(folder, "http://127.0.0.1:9/v1", **serve)
        self.settings = self.config.serve
        self.store = Store(str(self.config.store))
        self.versions = Versions(self.settings.state)
        fleet = Fleet(self.config)
        parts: dict[str, Any] = dict.fromkeys(
            ("decider", "prompts", "journal", "cache", "metrics"), None
        )
        self.app = Starlette(routes=routes())
        self.app.state.gateway = Gateway(
            settings=self.settings,
            config=self.config,
            fleet=fleet,
            upstreams=Upstreams(fleet, self.settings.upstream),
            access=Access(self.settings, self.settings.state),
            traffic=Traffic(self.store),
            versions=self.versions,
            plans=Plans.load(self.config, fleet),
            **parts,
        )

    def client(
        self, base_url: str = "http://127.0.0.1:8377", peer: str = "127.0.0.1"
    ) -> TestClient:
        return TestClient(self.app, base_url=base_url, client=(peer, 50_000))

    def fill(self, *records: Record, scores: dict[str, float] | None = None) -> None:
        fill(self.store, self.folder / "journal", self.settings.log, list(records), scores)

    def get(self, path: str, **headers: str) -> Any:  # noqa: ANN401
        answer = self.client().get(f"{API}/{path}", headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def dashboard(tmp_path: Path) -> Iterator[Dashboard]:
    made = Dashboard(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Dashboard]:
    made = Dashboard(tmp_path, keys="required")
    yield made
    made.store.close()


# What it tells


def test_an_empty_store_is_told_as_it_is(dashboard: Dashboard) -> None:
    live = dashboard.get("live?window=900")
    assert live["summary"]["requests"] == 0
    assert live["summary"]["saved_usd"] is None
    assert live["summary"]["arms"] == {}
    assert len(live["series"]) in {15, 16}
    assert live["step_s"] == 60
    assert dashboard.get("decisions")["decisions"] == []
    assert dashboard.get("errors")["errors"] == []
    assert dashboard.get("versions") == {"current": None, "previous": None, "versions": []}


def test_figures_of_some_requests(dashboard: Dashboard) -> None:
    good = [record(number) for number in range(10)]
    failed = record(
        20, arm=None, status=503, error="every arm failed", response=None, cost_usd=None,
        attempts=[Attempt("small", 0.1, 503, "503")],
    )  # fmt: skip
    dashboard.fill(*good, failed, scores={item.id: 1.0 for item in good[:8]})
    live = dashboard.get("live?window=900")
    summary = live["summary"]
    assert (summary["requests"], summary["errors"]) == (11, 1)
    assert summary["cost_usd"] == pytest.approx(2e-4)
    assert summary["best_single"] == "large"
    assert summary["saved_usd"] == pytest.approx(10 * (3e-4 - 2e-5))
    assert summary["arms"]["small"]["judged"] == 8
    low, high = summary["arms"]["small"]["ci95"]
    assert low < summary["arms"]["small"]["quality"] <= high
    assert sum(point["requests"] for point in live["series"]) == 11
    assert sum(point["errors"] for point in live["series"]) == 1
    (error,) = dashboard.get("errors")["errors"]
    assert (error["id"], error["error"]) == (failed.id, "every arm failed")


def test_a_collapse_to_one_arm_raises_an_alarm(dashboard: Dashboard) -> None:
    assert dashboard.get("alarms") == {"alarms": [], "window": 1000}
    time.sleep(1.1)  # what was told a moment ago is told again
    dashboard.fill(*(record(number) for number in range(200)))
    (alarm,) = dashboard.get("alarms")["alarms"]
    assert (alarm["kind"], alarm["arm"]) == ("top_share", "small")
    assert "small got 100.0% of the latest 200 decisions" in alarm["message"]


def test_decisions_come_in_pages_newest_first(dashboard: Dashboard) -> None:
    records = [record(number) for number in range(7)]
    dashboard.fill(*records)
    first = dashboard.get("decisions?limit=4")
    assert [item["id"] for item in first["decisions"]] == [item.id for item in records[:4]]
    second = dashboard.get(f"decisions?limit=4&before={first['next']}")
    assert [item["id"] for item in second["decisions"]] == [item.id for item in records[4:]]
    assert second["next"] is None
    assert dashboard.get("decisions?arm=large")["decisions"] == []


def test_a_decision_is_explained_with_all_that_is_known(dashboard: Dashboard) -> None:
    said = record(text=XSS, excluded={"large": "its window is too small"}, shadow={"v2-x": "large"})
    dashboard.fill(said, scores={said.id: 0.5})
    found = dashboard.get(f"decisions/{said.id}")
    assert found["text"] == XSS
    assert found["estimates"]["large"] == [0.9, pytest.approx(3e-4)]
    assert found["propensities"] == {"small": 0.95, "large": 0.05}
    assert found["excluded"] == {"large": "its window is too small"}
    assert found["shadow"] == {"v2-x": "large"}
    assert found["attempts"][0]["arm"] == "small"
    assert found["feedback"][0]["score"] == 0.5


def test_endpoints_are_told_by_model(dashboard: Dashboard) -> None:
    states = dashboard.get("upstreams")["upstreams"]
    assert [state["name"] for state in states] == ["stub/small", "stub/large"]
    assert {state["breaker"] for state in states} == {"closed"}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("live?window=17", "`window` is '17'; expected one of 900, 3600"),
        ("live?window=-1", "`window` is '-1'"),
        ("decisions?limit=9999", "expected a number from 1 to 200"),
        ("decisions?before=yesterday", "`before` is 'yesterday'; expected Unix seconds"),
        ("decisions?before=nan", "`before` is 'nan'"),
    ],
)
def test_a_question_it_does_not_understand(dashboard: Dashboard, path: str, message: str) -> None:
    answer = dashboard.client().get(f"{API}/{path}")
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]


def test_a_store_that_fails_is_said_and_not_remembered(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        msg = "the disk is gone"
        raise StoreError(msg)

    with monkeypatch.context() as patched:
        patched.setattr(Traffic, "summary", broken)
        answer = dashboard.client().get(f"{API}/live")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    assert dashboard.get("live")["summary"]["requests"] == 0


def test_why_the_store_cannot_be_asked_is_not_for_clients(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        msg = "postgresql://10.0.0.7/log: the server cannot be reached"
        raise StoreAwayError(msg)

    monkeypatch.setattr(Traffic, "decision", away)
    answer = dashboard.client().get(f"/v1/decisions/{new_id('req')}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_unavailable")
    assert "10.0.0.7" not in answer.text
    assert answer.headers["retry-after"] == "1"


# The page


def test_the_page_and_its_files_come_with_a_strict_policy(dashboard: Dashboard) -> None:
    client = dashboard.client()
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "style=" not in page.text
    assert "http" not in page.text.replace("http-equiv", "")
    for name in ("app.js", "style.css", "theme.js", "icon.svg"):
        answer = client.get(f"/dashboard/{name}")
        assert answer.status_code == 200, name
        again = client.get(f"/dashboard/{name}", headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "name", ["nothing.js", "..%2froutes.py", "%2e%2e/routes.py", "__init__.py"]
)
def test_no_other_file_is_served(dashboard: Dashboard, name: str) -> None:
    answer = dashboard.client().get(f"/dashboard/{name}")
    assert answer.status_code == 404
    assert "import" not in answer.text


def test_without_the_dashboard_decisions_are_still_told() -> None:
    assert [getattr(route, "path", "") for route in routes(dashboard=False)] == [
        "/v1/decisions/{id}"
    ]


# Who may see it, without keys


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "127.0.0.1.evil.example:8377"},
        {"host": "localhost@evil.example"},
        {"host": ""},
        {"host": "192.168.1.7:8377"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"x-forwarded-for": "203.0.113.5"},
    ],
)
def test_other_sites_and_names_are_turned_away(
    dashboard: Dashboard, headers: dict[str, str]
) -> None:
    answer = dashboard.client().get(f"{API}/live", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not_local")


@pytest.mark.parametrize(
    ("base_url", "peer"),
    [
        ("http://127.0.0.1:8377", "127.0.0.1"),
        ("http://localhost:9000", "127.0.0.1"),
        ("http://[::1]:8377", "::1"),
        ("http://localhost:8377", "::ffff:127.0.0.1"),
    ],
)
def test_this_machine_gets_in(dashboard: Dashboard, base_url: str, peer: str) -> None:
    headers = {"origin": base_url, "sec-fetch-site": "same-origin"}
    answer = dashboard.client(base_url, peer).get(f"{API}/session", headers=headers)
    assert answer.status_code == 200
    assert answer.json()["needs_keys"] is False


def test_another_machine_needs_keys(dashboard: Dashboard) -> None:
    answer = dashboard.client(peer="192.168.1.20").get(f"{API}/session")
    assert answer.status_code == 403
    assert "the request comes from 192.168.1.20" in answer.json()["error"]["message"]


def test_a_change_needs_the_header_that_no_form_can_send(dashboard: Dashboard) -> None:
    two_versions(dashboard.versions)
    answer = dashboard.client().post(f"{API}/rollback", json={})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "no_change_header")


# Who may see it, with keys


def test_an_administrators_key_opens_it_and_no_other(guarded: Dashboard) -> None:
    keys = KeyFile(guarded.settings.state)
    admin, plain = _add(keys, "boss", admin=True), _add(keys, "team")
    guarded.app.state.gateway.access = Access(guarded.settings, guarded.settings.state)
    client = guarded.client("https://gateway.example", "203.0.113.9")
    assert client.get("/").status_code == 200
    assert client.get(f"{API}/live").status_code == 401
    refused = client.get(f"{API}/live", headers={"authorization": f"Bearer {plain}"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_admin")
    good = client.get(f"{API}/session", headers={"authorization": f"Bearer {admin}"})
    assert good.json()["needs_keys"] is True


def test_a_key_sees_its_own_decisions_only(guarded: Dashboard) -> None:
    keys = KeyFile(guarded.settings.state)
    mine, other, admin = _add(keys, "mine"), _add(keys, "other"), _add(keys, "boss", admin=True)
    guarded.app.state.gateway.access = Access(guarded.settings, guarded.settings.state)
    asked = record(key="mine")
    guarded.fill(asked)
    path = f"/v1/decisions/{asked.id}"

    def status(key: str) -> int:
        headers = {"authorization": f"Bearer {key}"}
        return guarded.client("https://g.example").get(path, headers=headers).status_code

    assert [status(key) for key in (mine, admin, other, "ff-wrong")] == [200, 200, 404, 401]


# Decisions by id


def test_a_decision_that_was_just_made_is_waited_for(dashboard: Dashboard) -> None:
    asked = record()
    late = threading.Timer(0.3, dashboard.fill, [asked])
    late.start()
    answer = dashboard.client().get(f"/v1/decisions/{asked.id}")
    late.join()
    assert answer.status_code == 200
    assert answer.json()["chosen"] == "small"


@pytest.mark.parametrize("id_", ["nothing", "req_zz", f"req_{0:012x}00", "req_" + "f" * 300])
def test_an_id_that_is_not_young_is_not_waited_for(
    dashboard: Dashboard, id_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = Traffic.decision

    def counted(self: Traffic, id: str) -> dict[str, Any] | None:
        asked.append(id)
        return real(self, id)

    monkeypatch.setattr(Traffic, "decision", counted)
    answer = dashboard.client().get(f"/v1/decisions/{id_}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "decision_not_found")
    assert len(asked) == 1


def test_a_young_id_that_never_comes_is_given_up(dashboard: Dashboard) -> None:
    assert dashboard.client().get(f"/v1/decisions/{new_id('req')}").status_code == 404


# Versions


def test_versions_are_told_with_their_states(dashboard: Dashboard) -> None:
    first, second = two_versions(dashboard.versions, queries=40)
    dashboard.versions.shadow(second)
    state = dashboard.get("versions")
    assert (state["current"], state["previous"]) == (first, None)
    told = [(item["id"], item["state"]) for item in state["versions"]]
    assert told == [(second, "shadow"), (first, "current")]
    assert state["versions"][0]["facts"] == {"queries": 40}


def test_promotion_wants_evidence_or_force_and_can_be_taken_back(dashboard: Dashboard) -> None:
    first, second = two_versions(dashboard.versions)
    client = dashboard.client()
    refused = client.post(f"{API}/versions/{second}/promote", json={}, headers=CHANGE)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "not_shown_better")
    assert dashboard.versions.current == first
    forced = client.post(f"{API}/versions/{second}/promote", json={"force": True}, headers=CHANGE)
    assert forced.json()["current"] == second
    assert dashboard.get("versions")["current"] == second
    back = client.post(f"{API}/rollback", json={}, headers=CHANGE)
    assert back.json()["current"] == first
    again = client.post(f"{API}/rollback", json={}, headers=CHANGE)
    assert again.status_code == 409
    assert "there is no earlier version" in again.json()["error"]["message"]


def test_an_estimate_without_objections_is_evidence_against_the_version_it_names(
    dashboard: Dashboard,
) -> None:
    first, second = two_versions(dashboard.versions)
    client = dashboard.client()

    def promote(**facts: Any) -> Any:  # noqa: ANN401
        dashboard.versions.note(second, facts)
        return client.post(f"{API}/versions/{second}/promote", json={}, headers=CHANGE)

    doubtful = {"objections": ["its gain may be nothing"]}
    refused = promote(against=first, estimate=doubtful)
    assert "its gain may be nothing" in refused.json()["error"]["message"]
    refused = promote(against="v0-gone", estimate={"objections": []})
    assert f"nobody has estimated {second} against {first}" in refused.json()["error"]["message"]
    assert dashboard.versions.current == first
    assert promote(against=first).json()["current"] == second


@pytest.mark.parametrize(
    ("content", "status"), [(b"[1]", 400), (b"{", 400), (b"x" * 5000, 413), (b"\xff", 400)]
)
def test_a_malformed_change_is_refused(dashboard: Dashboard, content: bytes, status: int) -> None:
    _, second = two_versions(dashboard.versions)
    path = f"{API}/versions/{second}/promote"
    answer = dashboard.client().post(path, content=content, headers=CHANGE)
    assert answer.status_code == status


def test_an_unknown_version_is_named(dashboard: Dashboard) -> None:
    two_versions(dashboard.versions)
    path = f"{API}/versions/v9-none/promote"
    answer = dashboard.client().post(path, json={"force": True}, headers=CHANGE)
    assert answer.status_code == 409
    assert "there is no version 'v9-none'" in answer.json()["error"]["message"]


# Recent


def test_many_pages_cost_what_one_does() -> None:
    made: list[float] = []
    now = [100.0]

    def slow() -> int:
        made.append(time.monotonic())
        time.sleep(0.02)
        return len(made)

    async def ask() -> None:
        recent = Recent(clock=lambda: now[0])
        found: list[int] = []

        async def one() -> None:
            found.append(await recent.get("key", slow))

        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(one)
        assert found == [1] * 50
        now[0] += 0.9
        assert await recent.get("key", slow) == 1
        now[0] += 0.2
        assert await recent.get("key", slow) == 2

    anyio.run(ask)


def test_answers_are_forgotten_beyond_some() -> None:
    async def ask() -> None:
        recent = Recent(most=2, clock=lambda: 0.0)
        made: list[str] = []
        for key in ("a", "b", "c", "c", "b", "a"):
            await recent.get(key, lambda key=key: made.append(key))  # type: ignore[misc]
        assert made == ["a", "b", "c", "a"]

    anyio.run(ask)


def _add(keys: KeyFile, name: str, *, admin: bool = False) -> str:
    return keys.add(name, admin=admin)[1]
