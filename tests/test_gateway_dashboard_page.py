"""The dashboard in a real browser, against the real gateway and a stub of an endpoint."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fusionfactory.gateway.access.keys import KeyFile
from fusionfactory.gateway.learning.versions import Versions
from fusionfactory.routers import load_router
from gateway_dashboard import XSS, estimated
from gateway_process import router_that_prefers, serving, settings
from stub_upstream import Knobs, stub_upstream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, ConsoleMessage, Locator, Page

    from gateway_process import Serving
    from stub_upstream import StubUpstream

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SHOTS = os.environ.get("FUSIONFACTORY_SHOTS")
"""Folder of screenshots to look at; none are kept without it."""

TABS = ["overview", "decisions", "routers", "upstreams", "playground"]
HOSTILE = "Say <img src=x onerror='window.pwned=1'><script>window.pwned=1</script>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None and os.environ.get("CI") != "true":
        pytest.skip("there is no Chromium here")
    with playwright.sync_playwright() as started:
        made = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture(scope="module")
def stub() -> Iterator[StubUpstream]:
    with stub_upstream() as made:
        made.models["arm-2"] = Knobs(text=f"Certainly. {XSS}")
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, stub: StubUpstream) -> Path:
    made = tmp_path_factory.mktemp("gateway")
    (made / "fusionfactory.toml").write_text(settings(stub.url))
    router_that_prefers("arm-1", made / "router")
    return made


@pytest.fixture(scope="module")
def gateway(folder: Path) -> Iterator[Serving]:
    with serving(folder, "--router", "router") as made:
        for number in range(20):
            assert made.chat(f"What is {number} times 8?").status == 200
        assert made.chat(HOSTILE).status == 200
        assert made.chat("Nobody has this", model="arm-9").status == 404
        yield made


class Site:
    """A page, and all that it complained of."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.root = re.sub(r"/v1/?$", "", url).rstrip("/") + "/"
        self.complaints: list[str] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, message: ConsoleMessage) -> None:
        # Chromium itself logs an answer of 401 or 409, which the page shows in its own words.
        if message.type in {"error", "warning"} and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def open(self, tab: str = "overview") -> Page:
        self.page.goto(f"{self.root}#/{tab}")
        self.page.locator(f"#tab-{tab.partition('/')[0]}[aria-selected=true]").wait_for()
        return self.page

    def shoot(self, name: str) -> None:
        if SHOTS:
            self.page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)


@contextmanager
def visiting(browser: Browser, url: str, **context: Any) -> Iterator[Site]:  # noqa: ANN401
    made = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context})
    site = Site(made.new_page(), url)
    try:
        yield site
        assert site.complaints == []
        assert site.page.evaluate("window.pwned") is None
    finally:
        made.close()


@pytest.fixture
def site(browser: Browser, gateway: Serving) -> Iterator[Site]:
    with visiting(browser, gateway.url) as made:
        yield made


def test_it_loads_and_tells_the_traffic(site: Site) -> None:
    page = site.open()
    page.get_by_text("Live", exact=True).wait_for()
    page.locator(".place.lead").get_by_text(re.compile(r"\d+ requests")).wait_for()
    assert "arm-1" in page.locator(".place.arms").inner_text()
    assert page.locator("svg.chart path.s0").first.get_attribute("d")
    site.shoot("overview")


def test_an_interval_stays_in_its_column(browser: Browser, gateway: Serving) -> None:
    for score in (0.0, 1.0, 1.0):
        id_ = gateway.chat("How good is this?").headers["x-request-id"]
        said = gateway.ask("POST", "/v1/feedback", {"id": id_, "score": score})
        assert said.status == 200
    with visiting(browser, gateway.url, viewport={"width": 700, "height": 900}) as site:
        cell = site.open().locator(".place.arms td.gain", has_text="[").first
        cell.wait_for()
        needed, room = cell.evaluate("node => [node.scrollWidth, node.clientWidth]")
    assert needed <= room


def test_gateways_of_a_store_are_listed_where_there_are_several(site: Site) -> None:
    page = site.open("upstreams")
    page.get_by_text("Failures in a row").wait_for()
    assert page.get_by_text("Gateways of this store").count() == 0
    seen = [
        {"id": f"one-{XSS}", "address": "10.0.0.1:8377", "started": 1.7e9, "silent_s": 0.4},
        {"id": "two", "address": "10.0.0.2:8377", "started": 1.7e9, "silent_s": 42.0},
    ]
    found = {"here": "two", "gateways": seen}
    page.route("**/dashboard/api/gateways", lambda route: route.fulfill(json=found))
    page.get_by_text("two (this one)").wait_for()
    rows = page.get_by_role("region", name="Gateways").locator("tbody tr").all_inner_texts()
    assert [("there" in row, "silent" in row) for row in rows] == [(True, False), (False, True)]
    site.shoot("gateways")


def test_tabs_by_arrow_keys(site: Site) -> None:
    page = site.open()
    page.locator("#tab-overview").focus()
    for name in [*TABS[1:], "overview"]:
        page.keyboard.press("ArrowRight")
        page.locator(f"#tab-{name}[aria-selected=true]").wait_for()
        assert page.evaluate("document.activeElement.id") == f"tab-{name}"
        assert page.locator(f"#{name}").is_visible()
        assert page.locator("[role=tabpanel]:visible").count() == 1
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
    page.keyboard.press("End")
    page.locator("#playground").wait_for()
    page.keyboard.press("Home")
    page.locator("#overview").wait_for()


def test_the_figures_at_a_chart_are_not_cut_off(site: Site) -> None:
    page = site.open()
    found = page.evaluate("""async () => {
      const { Chart } = await import("/dashboard/charts.js");
      const line = { name: "a", colour: "s0", of: (point) => point.value };
      const chart = new Chart({ title: "", lines: [line], text: () => "500 ms" });
      document.querySelector("#overview .charts").append(chart.node);
      chart.update([{ at: 1, value: 1 }, { at: 2, value: 2 }]);
      return [...chart.node.querySelectorAll("text")].map((text) => text.getBBox().x);
    }""")
    assert min(found) >= 0


def test_a_chart_tells_its_figures_by_keyboard(site: Site) -> None:
    page = site.open()
    page.locator(".place.lead").get_by_text(re.compile(r"\d+ requests")).wait_for()
    page.locator("svg.chart").first.focus()
    page.keyboard.press("End")
    readout = page.locator(".readout").first
    assert re.search(r"\d\d:\d\d:\d\d: all [\d.,]+, errors", readout.inner_text())


def test_a_decision_is_explained_and_an_attack_stays_text(site: Site) -> None:
    page = site.open("decisions")
    page.locator(".decisions tbody tr", has_text="Say <img").first.wait_for()
    site.shoot("decisions")
    first = page.locator(".decisions tbody a").first
    first.focus()
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.closest('tr').rowIndex") == 2
    page.locator(".decisions tbody tr", has_text="Say <img").locator("a").first.click()
    dialog = page.locator("dialog")
    dialog.get_by_text("was chosen: best by the policy").wait_for()
    assert HOSTILE in dialog.locator("pre").all_inner_texts()
    assert dialog.locator("img, pre script").count() == 0
    assert dialog.locator("tr.chosen").inner_text().startswith("arm-1")
    site.shoot("decision")
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    assert page.url.endswith("#/decisions")


def test_promote_force_and_roll_back(site: Site, folder: Path, gateway: Serving) -> None:
    versions = Versions(folder / "gateway")
    first = str(versions.current)
    second = versions.add(load_router(router_that_prefers("arm-2", folder / "router-2")))
    page = site.open("routers")
    row = page.locator("tbody tr", has_text=second)
    row.get_by_role("button", name="Promote").click()
    page.locator("dialog").get_by_text("No estimate from the log").wait_for()
    site.shoot("promote")
    page.locator("dialog").get_by_role("button", name="Cancel").click()
    assert versions.current == first
    row.get_by_role("button", name="Promote").click()
    page.locator("dialog").get_by_role("button", name="Promote", exact=True).click()
    page.locator("dialog h2", has_text="Promote without evidence?").wait_for()
    assert versions.current == first
    site.shoot("promote-force")
    page.locator("dialog").get_by_role("button", name="Promote all the same").click()
    page.get_by_text(f"{second} decides now").wait_for()
    assert versions.current == second
    gateway.wait(lambda it: it.chat("again").headers["x-fusionfactory-arm"] == "arm-2")
    site.button("Roll back").click()
    page.locator("dialog").get_by_role("button", name="Roll back").click()
    page.get_by_text(f"{first} decides again").wait_for()
    assert versions.current == first
    gateway.wait(lambda it: it.chat("once more").headers["x-fusionfactory-arm"] == "arm-1")


@pytest.mark.parametrize(("better", "sign"), [("arm-2", "+"), ("arm-1", "−")])
def test_the_estimate_is_shown_before_a_promotion(
    browser: Browser, stub: StubUpstream, tmp_path: Path, better: str, sign: str
) -> None:
    (tmp_path / "fusionfactory.toml").write_text(settings(stub.url, workers=1))
    first, second = (
        load_router(router_that_prefers(arm, tmp_path / arm)) for arm in ("arm-1", "arm-2")
    )
    quality = {"arm-1": 0.3, "arm-2": 0.3} | {better: 0.8}
    versions = Versions(tmp_path / "gateway")
    old = versions.promote(versions.add(first))
    estimate = estimated(second, first, quality)
    new = versions.add(second, {"against": old, "estimate": estimate, "answers": 400})
    with serving(tmp_path) as gateway, visiting(browser, gateway.url) as site:
        page = site.open("routers")
        row = page.locator("tbody tr", has_text=new)
        assert f"{sign}" in row.locator(".gain").inner_text()
        row.get_by_role("button", name="Promote").click()
        dialog = page.locator("dialog")
        told = dialog.locator("dd").first.inner_text()
        assert told.startswith(f"{sign}{abs(100 * estimate['utility']['value']):.1f} [")
        site.shoot(f"estimate-{better}")
        dialog.get_by_role("button", name="Promote", exact=True).click()
        if better == "arm-2":
            page.get_by_text(f"{new} decides now").wait_for()
            assert versions.current == new
        else:
            page.locator("dialog h2", has_text="Promote without evidence?").wait_for()
            page.keyboard.press("Escape")
            assert versions.current == old


def test_an_estimate_without_bounds_says_so(
    browser: Browser, gateway: Serving, folder: Path
) -> None:
    versions = Versions(folder / "gateway")
    first, second = (
        load_router(router_that_prefers(arm, folder / arm)) for arm in ("arm-1", "arm-2")
    )
    estimate = estimated(second, first, {"arm-1": 0.3, "arm-2": 0.8})
    for name in ("utility", "quality", "cost_usd"):
        estimate[name] |= {"low": None, "high": None}
    new = versions.add(second, {"against": versions.current, "estimate": estimate})
    with visiting(browser, gateway.url) as site:
        page = site.open("routers")
        row = page.locator("tbody tr", has_text=new)
        assert "[−∞, +∞]" in row.locator(".gain").inner_text()
        row.get_by_role("button", name="Promote").click()
        told = page.locator("dialog dd").all_inner_texts()
        assert all(text.endswith("[−∞, +∞]") for text in told[:3])


def test_the_playground_streams_and_says_why(site: Site, stub: StubUpstream) -> None:
    stub.models["arm-1"] = Knobs(chunk_s=0.05)
    page = site.open("playground")
    page.locator("#model option[value='arm-0']").wait_for(state="attached")
    page.fill("#prompt", f"Word by word {HOSTILE}")
    lengths: list[int] = []
    page.expose_function("heard", lambda text: lengths.append(len(text)))
    page.evaluate(
        "new MutationObserver(() => heard(document.querySelector('.answer')?.textContent ?? ''))"
        ".observe(document.querySelector('.turns'), {subtree: true, childList: true, "
        "characterData: true})"
    )
    page.keyboard.press("Control+Enter")
    page.get_by_text("Why this arm").wait_for()
    assert len(set(lengths)) > 3, "it came in one piece"
    assert page.locator(".answer").inner_text().startswith("arm-1 says: Word by word")
    assert page.locator(".turn img, .turn script").count() == 0
    tags = page.locator(".tags").inner_text()
    assert "arm-1" in tags
    assert "best by the policy" in tags
    assert page.locator(".why tr.chosen").inner_text().startswith("arm-1")
    site.shoot("playground")
    page.select_option("#model", "arm-2")
    page.fill("#prompt", "And now?")
    page.get_by_role("checkbox", name="Stream").uncheck()
    site.button("Send").click()
    page.locator(".turn").nth(1).get_by_text("the client named it").first.wait_for()
    assert page.locator(".answer").nth(1).inner_text() == f"Certainly. {XSS}"
    assert [m["role"] for m in stub.ledger[-1].body["messages"]] == ["user", "assistant", "user"]


def test_a_stream_that_breaks_is_said(site: Site, stub: StubUpstream) -> None:
    stub.models["arm-0"] = Knobs(fault="cut")
    page = site.open("playground")
    page.locator("#model option[value='arm-0']").wait_for(state="attached")
    page.select_option("#model", "arm-0")
    page.fill("#prompt", "Break off please, after some words of this")
    site.button("Send").click()
    page.locator(".answer .note.bad").wait_for()


def test_the_theme_follows_the_system_or_the_button(browser: Browser, gateway: Serving) -> None:
    with visiting(browser, gateway.url, color_scheme="dark") as site:
        page = site.open()
        colour = "getComputedStyle(document.body).backgroundColor"
        assert page.evaluate(colour) == "rgb(18, 21, 26)"
        page.locator(".place.lead").get_by_text(re.compile(r"\d+ requests")).wait_for()
        site.shoot("dark")
        site.button("Theme: system").click()
        assert page.evaluate(colour) == "rgb(255, 255, 255)"
        page.reload()
        assert page.evaluate(colour) == "rgb(255, 255, 255)"
        site.button("Theme: light").click()
        assert page.evaluate(colour) == "rgb(18, 21, 26)"


@pytest.mark.parametrize("tab", TABS)
def test_a_narrow_screen_scrolls_down_only(browser: Browser, gateway: Serving, tab: str) -> None:
    with visiting(browser, gateway.url, viewport={"width": 380, "height": 800}) as site:
        page = site.open(tab)
        page.wait_for_timeout(600)
        assert page.evaluate("document.documentElement.scrollWidth") <= 380
        site.shoot(f"phone-{tab}")


def test_figures_come_in_without_moving_the_page(browser: Browser, gateway: Serving) -> None:
    with visiting(browser, gateway.url) as site:
        site.page.add_init_script(
            "window.shift = 0; new PerformanceObserver((list) => { for (const e of "
            "list.getEntries()) window.shift += e.value; })"
            ".observe({type: 'layout-shift', buffered: true});"
        )
        page = site.open()
        page.locator(".place.lead").get_by_text(re.compile(r"\d+ requests")).wait_for()
        before = page.evaluate("window.shift")
        gateway.chat("one more")
        page.wait_for_timeout(2600)
        assert page.evaluate("window.shift") - before < 0.01


def test_a_hidden_page_asks_for_nothing(site: Site) -> None:
    page = site.open()
    page.get_by_text("Live", exact=True).wait_for()
    asked: list[str] = []
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    page.get_by_text("Paused", exact=True).wait_for()
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(2600)
    assert asked == []
    page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    page.get_by_text("Live", exact=True).wait_for()
    assert asked


def test_with_keys_an_administrators_key_is_asked_for_and_kept_in_the_tab(
    browser: Browser, stub: StubUpstream, tmp_path: Path
) -> None:
    (tmp_path / "fusionfactory.toml").write_text(
        settings(stub.url, 'keys = "required"\n', workers=1)
    )
    _, plain = KeyFile(tmp_path / "gateway").add("team")
    _, admin = KeyFile(tmp_path / "gateway").add("boss", admin=True)
    with serving(tmp_path) as gateway, visiting(browser, gateway.url) as site:
        page = site.page
        page.goto(site.root)
        page.get_by_text("wants a key in the header").wait_for()
        site.shoot("gate")
        for key, said in (("ff-wrong", "none of this gateway's"), (plain, "no administrator's")):
            page.fill("#gate-key", key)
            page.keyboard.press("Enter")
            page.get_by_text(said).wait_for()
        page.fill("#gate-key", admin)
        page.keyboard.press("Enter")
        page.get_by_text("No request in this time").wait_for()
        site.shoot("empty-overview")
        kept = page.evaluate("[JSON.stringify(sessionStorage), JSON.stringify(localStorage)]")
        assert admin in kept[0]
        assert admin not in kept[1]
        assert page.context.cookies() == []
        for tab, words in (
            ("decisions", "No request has been logged yet"),
            ("routers", "No version yet"),
            ("playground", "Nothing asked yet"),
        ):
            page.locator(f"#tab-{tab}").click()
            page.locator(f"#{tab}").get_by_text(words).wait_for()
            site.shoot(f"empty-{tab}")
        page.locator("#playground #model option[value='arm-0']").wait_for(state="attached")
        site.button("Forget the key").click()
        page.get_by_text("wants a key in the header").wait_for()
        assert page.evaluate("sessionStorage.length") == 0
