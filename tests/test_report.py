"""Reports: every form, whole pages that need nothing from outside, and evaluations gone wrong."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from fusionfactory.errors import ConfigError, FormatError
from fusionfactory.evaluation import evaluate
from fusionfactory.leaderboard import BASELINE_ROWS
from fusionfactory.report import check_path, figures, render_html, render_markdown, write_report
from fusionfactory.report.document import read
from fusionfactory.report.findings import audit_notes, collapses, headline, notes
from fusionfactory.report.labels import Anchor, place, shorten, spread
from fusionfactory.report.markup import Markup, tag
from fusionfactory.report.scales import Scale
from fusionfactory.table import QUERY_COLUMNS, OutcomeTable
from fusionfactory.types import Arm

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VOID = {"meta", "br", "hr", "col"}
ATTACK = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Checks that tags are balanced and collects what a test asks about."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs), (tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in {"script", "style"}:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def count(self, tag: str, class_: str = "") -> int:
        return sum(
            name == tag and class_ in ["", *(attrs.get("class") or "").split()]
            for name, attrs in self.tags
        )


def row(router: str, quality: float | None, cost: float | None, **more: object) -> dict[str, Any]:
    gain = None if quality is None else quality - 0.6
    return {
        "router": router,
        "quality": quality,
        "cost_usd": cost,
        "reward": quality,
        "ci95": [None, None] if gain is None else [gain - 0.01, gain + 0.01],
        "verdict": "significantly better than the best single arm",
        "gap_closed": 0.4,
        "cost_save": 0.5,
        "cost_save_1pt": 0.7,
        "aiq": 0.62,
        "apgr": None,
        "entropy": 1.25,
        "top_share": 0.5,
        "scored_share": 1.0,
        "quality_sd": 0.004,
        "fit_s": 1.5,
        "route_us_per_query": 42.0,
        "decide_p50_ms": 0.12,
    } | more


def sample(
    arms: int = 4, tasks: int = 3, routers: tuple[str, ...] = ("trees", "knn")
) -> dict[str, Any]:
    """An evaluation as `Evaluation.to_json()` gives it; arm 0 is the best single one."""
    names = [f"arm-{i}" for i in range(arms)]
    board = [row(name, 0.66 - 0.01 * i, 1e-4) for i, name in enumerate(routers)]
    board += [row(name, 0.6, 3e-4) for name in BASELINE_ROWS]
    single = next(r for r in board if r["router"] == "best_single")
    single |= {"ci95": [0.0, 0.0], "verdict": "the single arm that was best on train"}
    counts = [[10 if a == t % arms else 2 for a in range(arms)] for t in range(tasks)]
    curve = [[2e-5 * (k + 1), 0.5 + 0.01 * k] for k in range(12)]
    content = {
        "table": {
            "queries": 900,
            "arms": arms,
            "tasks": tasks,
            "fingerprint": "f" * 64,
            "cost_basis": "measured",
            "has_judge": False,
            "observed_share": 1.0,
            "coverage": dict.fromkeys(names, 1.0),
            "arms_without_scores": [],
            "near_duplicate_queries": 2,
            "queries_in_train_and_test": 0,
            "encoder": "text",
            "seeds": 2,
            "test_share": 0.3,
            "train_queries": 630,
            "test_queries": 270,
        },
        "scenarios": {"performance": board, "cost": board},
        "skipped": {"judge": "the table has no judge scores"},
        "details": {
            "arms": [
                {"name": n, "quality": 0.6 - 0.3 * i / arms, "cost_usd": 3e-4 / (i + 1)}
                | {"input_price": 0.2, "output_price": None}
                for i, n in enumerate(names)
            ],
            "tasks": [{"name": f"task-{t}", "queries": 300} for t in range(tasks)],
            "task_quality": [[(a + t) % 10 / 10 for a in range(arms)] for t in range(tasks)],
            "shares": dict.fromkeys((*routers, "task_best"), counts)
            | {"best_single": [[14] + [0] * (arms - 1) for _ in range(tasks)]},
            "curves": dict.fromkeys((*routers, "zero", "oracle"), curve)
            | {"random": [[1e-4, 0.4]], "task_best": [[1e-4, 0.6], [5e-5, 0.5]]},
            "calibration": {name: [[0.2, 0.1, 50.0], [0.8, 0.9, 50.0]] for name in routers},
            "encode_us_per_query": {"text": 400.0},
        },
    }
    plain: dict[str, Any] = json.loads(json.dumps(content))
    return plain


@pytest.fixture
def evaluation() -> dict[str, Any]:
    return sample()


def blank(value: Any) -> Any:  # noqa: ANN401  any JSON value
    """The same with null for every number that may be one."""
    if isinstance(value, dict):
        return {k: v if k == "shares" else blank(v) for k, v in value.items()}
    if isinstance(value, list):
        return [blank(item) for item in value]
    return None if isinstance(value, int | float) and not isinstance(value, bool) else value


# A real evaluation


def test_what_evaluate_returns_can_be_reported(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    size = 80
    columns = {name: [f"{name} {i}" for i in range(size)] for name in QUERY_COLUMNS}
    columns["task"] = ["sums" if i % 2 else "words" for i in range(size)]
    columns["query"] = [f"{columns['task'][i]} number {rng.integers(1 << 30)}" for i in range(size)]
    blanks = np.full((size, 3), np.nan)
    table = OutcomeTable(
        pl.DataFrame(columns),
        tuple(Arm(name) for name in ("small", "middle", "big")),
        quality=rng.random((size, 3)),
        judge=blanks,
        cost_usd=np.tile([1e-5, 1e-4, 1e-3], (size, 1)),
        input_tokens=blanks,
        output_tokens=blanks,
        latency_s=blanks,
    )
    found = evaluate(table, ["knn"], encoder="hashing:64", draws=50).to_json()
    page = Page(render_html(found))
    assert page.count("section", "scenario") == 3
    assert "knn has the highest reward of 1 router" in page.text
    assert "judge was not run: the table has no judge scores" in page.text
    assert "No query is on both the train and the test side." in page.text
    write_report(found, tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text()) == json.loads(json.dumps(found))


# HTML


def test_page_holds_every_part(evaluation: dict[str, Any]) -> None:
    page = Page(render_html(evaluation, title="Routers of May"))
    for heading in (
        "Routers of May",
        "Leaderboard",
        "Cost and quality",
        "Quality of every arm on every task",
        "Who gets what",
        "Calibration",
        "Coverage and leak audit",
        "How to read this",
    ):
        assert heading in page.text
    assert page.count("table", "board") == 2
    assert page.count("svg", "whiskers") == 2 * (2 + len(BASELINE_ROWS) - 1)
    assert page.count("polyline", "zero") == page.count("polyline", "oracle") > 0
    assert page.count("figure") == 2
    assert page.count("td", "top") == 3
    assert page.count("section", "panel") == 3
    assert page.count("a") == 7
    targets = {attrs.get("id") for _, attrs in page.tags}
    assert all((attrs["href"] or "")[1:] in targets for name, attrs in page.tags if name == "a")


def test_ids_are_unique(evaluation: dict[str, Any]) -> None:
    ids = [attrs["id"] for _, attrs in Page(render_html(evaluation)).tags if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_page_asks_for_nothing_from_outside(evaluation: dict[str, Any]) -> None:
    html = render_html(evaluation)
    assert not re.search(r"https?:|//[a-z]|@import|src=|url\((?!#)|<link|<img|<iframe", html)
    page = Page(html)
    policy = next(a["content"] for t, a in page.tags if t == "meta" and "http-equiv" in a) or ""
    script = html.partition("<script>")[2].partition("</script>")[0]
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; ")
    assert f"script-src 'sha256-{digest}'" in policy
    assert page.count("script") == 1


@pytest.mark.parametrize("render", [render_html, render_markdown])
def test_names_from_data_are_escaped(render: Callable[..., str]) -> None:
    evaluation = sample(routers=(ATTACK, '"><img src=x onerror=alert(1)>'))
    evaluation["details"]["arms"][0]["name"] = ATTACK
    evaluation["details"]["tasks"][0]["name"] = ATTACK
    evaluation["table"] |= {"encoder": ATTACK, "fingerprint": ATTACK, "coverage": {ATTACK: 0.5}}
    evaluation["table"]["arms_without_scores"] = [ATTACK]
    evaluation["skipped"] = {ATTACK: ATTACK}
    evaluation["scenarios"][ATTACK] = evaluation["scenarios"]["cost"]
    evaluation["scenarios"]["performance"][0]["verdict"] = '" onmouseover="alert(1)'
    text = render(evaluation, title=ATTACK)
    assert ATTACK not in text
    assert "<img" not in text
    if render is render_html:
        page = Page(text)
        assert page.count("script") == 1
        assert page.text.count(ATTACK) > 10
        assert not any(key.startswith("on") for _, attrs in page.tags for key in attrs)


def test_odd_characters_do_not_break_the_page(tmp_path: Path) -> None:
    evaluation = sample(routers=("tab\there\x00\x1b", "lone \ud800"))
    Page(render_html(evaluation))
    write_report(evaluation, tmp_path / "r.md")
    assert "lone ?" in (tmp_path / "r.md").read_text(encoding="utf-8")


def test_nulls_everywhere_still_make_a_page(evaluation: dict[str, Any]) -> None:
    empty = blank(evaluation)
    Page(render_html(empty))
    assert "| trees | – |" in render_markdown(empty)


def test_without_details_the_charts_say_so(evaluation: dict[str, Any]) -> None:
    evaluation["details"] = {}
    page = Page(render_html(evaluation))
    assert page.text.count("carries no details for this chart") == 3
    assert "No router of this evaluation expects a quality" in page.text
    assert "## Who gets what" not in render_markdown(evaluation)


def test_table_without_costs_has_no_cost_axis(evaluation: dict[str, Any]) -> None:
    evaluation["table"]["cost_basis"] = "missing"
    for arm in evaluation["details"]["arms"]:
        arm["cost_usd"] = None
    for rows in evaluation["scenarios"].values():
        for line in rows:
            line["cost_usd"] = None
    for points in evaluation["details"]["curves"].values():
        points[:] = [[None, quality] for _, quality in points]
    page = Page(render_html(evaluation))
    assert "No costs are known" in page.text
    assert "nothing here is about cost" in page.text
    assert page.count("svg", "plot") == 0
    assert page.count("span", "meter") == 4 + 2 + len(BASELINE_ROWS)


def test_one_task_forty_arms_many_routers() -> None:
    routers = tuple(f"router-{i}-with-quite-a-long-name:{i}" for i in range(20))
    page = Page(render_html(sample(arms=40, tasks=1, routers=routers)))
    assert page.count("svg", "wide") == page.count("svg", "narrow")
    names = [attrs for name, attrs in page.tags if name == "text"]
    assert len(names) > 80
    assert "32 other arms" in page.text


def test_free_arms_stand_at_the_edge_of_a_log_axis(evaluation: dict[str, Any]) -> None:
    evaluation["details"]["arms"][1]["cost_usd"] = 0.0
    evaluation["details"]["arms"][2]["cost_usd"] = 1.0
    page = Page(render_html(evaluation))
    assert "USD per 1,000 queries (logarithmic scale)" in page.text


def test_equal_arms_and_single_points_have_axes(evaluation: dict[str, Any]) -> None:
    for arm in evaluation["details"]["arms"]:
        arm |= {"quality": 0.5, "cost_usd": 0.0}
    evaluation["details"]["curves"] = {"trees": [[0.0, 0.5]]}
    Page(render_html(evaluation))


# What it says


def test_headline_names_winner_gain_cost_and_rivals(evaluation: dict[str, Any]) -> None:
    evaluation["scenarios"]["performance"][3] |= {"quality": 0.7}  # task_best
    text = " ".join(headline(read(evaluation)))
    assert "In the scenario performance, trees has the highest reward of 2 routers." in text
    assert "the best single arm (arm-0) has 0.600" in text
    assert "significantly better (+6.0, 95 % interval [+5.0, +7.0], in points of .01)" in text
    assert "USD 0.100 per 1,000 queries, 67 % less than the best single arm's USD 0.300" in text
    assert "it saves 70 % of the cost." in text
    assert "Of 2 routers, 2 are significantly better" in text
    assert "0.700, no less than the winner." in text


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ([-0.01, 0.02], "not significantly different"),
        ([-0.04, -0.02], "significantly worse"),
        ([None, None], "There is no interval"),
    ],
)
def test_headline_claims_no_more_than_the_interval(
    evaluation: dict[str, Any], pair: list[float | None], words: str
) -> None:
    for line in evaluation["scenarios"]["performance"][:2]:
        line |= {"ci95": pair, "cost_save_1pt": 0.0, "cost_usd": 4e-4}
    text = " ".join(headline(read(evaluation)))
    assert words in text
    assert "none is significantly better" in text
    assert "33 % more than" in text
    assert "Nowhere on its curve" in text


def test_unscored_picks_are_not_compared_by_their_means(evaluation: dict[str, Any]) -> None:
    evaluation["scenarios"]["performance"][0]["scored_share"] = 0.874
    document = read(evaluation)
    assert document.gain("performance", document.scenarios["performance"][0]) is None
    text = " ".join([*headline(document), *(note.text for note in notes(document))])
    assert "only 87 % of its picks were scored" in text
    assert "(95 % interval [+5.0, +7.0], in points of .01)" in text
    assert "1 row rests on picks" in text
    assert "read with care" in text
    page = Page(render_html(evaluation))
    assert page.text.count("87 % ⚠") == 1
    evaluation["scenarios"]["performance"][0]["gain"] = 0.031
    assert "(+3.1, 95 %" in " ".join(headline(read(evaluation)))


def test_nothing_to_compare_is_said(evaluation: dict[str, Any]) -> None:
    evaluation["scenarios"] = {"cost": evaluation["scenarios"]["cost"][2:]}
    assert headline(read(evaluation)) == [
        "Scenario cost compares no router with a best single arm."
    ]
    Page(render_html(evaluation))
    render_markdown(evaluation)


def test_limits_are_noted(evaluation: dict[str, Any]) -> None:
    evaluation["table"] |= {
        "cost_basis": "nominal",
        "nominal_output_tokens": 256.0,
        "test_queries": 40,
        "seeds": 1,
    }
    text = " ".join(note.text for note in notes(read(evaluation)))
    assert "Costs are nominal, not measured" in text
    assert "256 output tokens" in text
    assert "Only 40 test queries" in text
    assert "One split only" in text
    assert "Scenario judge was not run: the table has no judge scores." in text
    assert "best of 2 on the test side" in text


def test_leaks_and_gaps_are_warnings(evaluation: dict[str, Any]) -> None:
    evaluation["table"] |= {
        "queries_in_train_and_test": 3,
        "observed_share": 0.9996,
        "arms_without_scores": ["mute"],
        "coverage": {"arm-0": 1.0, "arm-1": 0.25},
    }
    kinds = {note.text: note.kind for note in audit_notes(read(evaluation))}
    assert kinds["3 queries are on both sides: results are too good."] == "warn"
    assert (
        kinds["99.9 % of the cells have a score. Missing cells are left out, never counted as 0."]
        == "warn"
    )
    assert kinds["Left out, because no answer of theirs is scored: mute."] == "warn"
    text = Page(render_html(evaluation)).text
    assert "1 of 2 arms have a score for every query." in text
    assert "arm-1 25 %" in text


def test_collapse_is_told(evaluation: dict[str, Any]) -> None:
    evaluation["details"]["shares"]["knn"] = [[0, 97, 0, 0], [0, 99, 1, 0], [0, 100, 0, 0]]
    assert collapses(read(evaluation)) == [("knn", "arm-1", 296 / 297)]
    message = "knn has collapsed: it sends 99.6 % of the queries to arm-1."
    assert message in Page(render_html(evaluation)).text
    assert message in render_markdown(evaluation)


def test_router_without_curve_is_still_drawn(evaluation: dict[str, Any]) -> None:
    del evaluation["details"]["curves"]["knn"]
    html = render_html(evaluation)
    assert "knn: 0.650, USD 0.100 per 1,000" in html


# Markdown and files


def test_markdown_tables_have_one_shape() -> None:
    evaluation = sample(routers=("a|b", "back\\slash `code` _x_ *y*"))
    text = render_markdown(evaluation, title="T\n# not a heading")
    blocks = [block.split("\n") for block in text.split("\n\n") if block.startswith("|")]
    assert len(blocks) == 8
    for lines in blocks:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in lines}
        assert len(widths) == 1, lines
        assert set(lines[1]) <= set("|:- ")
    assert "a\\|b" in text
    assert "back\\\\slash \\`code\\` \\_x\\_ \\*y\\*" in text
    assert "best_single (baseline)" in text
    assert text.startswith("# T \\# not a heading\n")
    assert re.search(r"^\| task-0 \| 300 \| .*\*\*0\.30\*\* \|$", text, re.MULTILINE)


@pytest.mark.parametrize("suffix", [".html", ".md", ".json", ".HTML"])
def test_forms_are_chosen_by_suffix(
    evaluation: dict[str, Any], tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / "deep" / f"report{suffix}"
    write_report(evaluation, path)
    text = path.read_text(encoding="utf-8")
    begin = {".html": "<!doctype html>", ".md": "# ", ".json": "{"}[suffix.lower()]
    assert text.startswith(begin)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_json_form_is_strict_json(evaluation: dict[str, Any], tmp_path: Path) -> None:
    evaluation["scenarios"]["cost"][0]["apgr"] = float("nan")
    write_report(evaluation, tmp_path / "r.json")
    content = json.loads((tmp_path / "r.json").read_text(), parse_constant=pytest.fail)
    assert content["scenarios"]["cost"][0]["apgr"] is None
    assert content["table"] == evaluation["table"]


def test_unknown_suffix_writes_nothing(evaluation: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"suffix '\.pdf'; expected \.html, \.md, \.json"):
        write_report(evaluation, tmp_path / "report.pdf")
    with pytest.raises(ConfigError, match="no report form has the suffix ''"):
        check_path(tmp_path / "report")
    assert list(tmp_path.iterdir()) == []


# Malformed evaluations


def set_at(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    """An edit that puts a value, or for `...` nothing, at a dotted path."""

    def edit(evaluation: dict[str, Any]) -> None:
        *parents, last = [int(p) if p.isdigit() else p for p in path.split(".")]
        place: Any = evaluation
        for parent in parents:
            place = place[parent]
        if value is ...:
            del place[last]
        else:
            place[last] = value

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (set_at("table", ...), "'table': Field required"),
        (set_at("scenarios", ...), "'scenarios': Field required"),
        (set_at("scenarios", {}), "scenarios holds no leaderboard"),
        (set_at("scenarios", []), r"'scenarios': .*dictionary, got \[\]"),
        (set_at("scenarios.cost.1.quality", ...), r"cost\[1\]\.quality': Field required"),
        (set_at("scenarios.cost.0.quality", "good"), r"cost\[0\]\.quality': .*number, got 'good'"),
        (set_at("scenarios.cost.0.quality", True), r"cost\[0\]\.quality': .*number, got True"),
        (set_at("scenarios.cost.0.quality", 10**400), r"cost\[0\]\.quality': is out of range"),
        (set_at("scenarios.cost.0.ci95", [0.1]), "cost: ci95 of 'trees' needs two numbers"),
        (set_at("scenarios.cost.0.router", None), r"cost\[0\]\.router': .*string, got None"),
        (set_at("table.queries", 1.5), r"'table\.queries': .*integer, got 1\.5"),
        (set_at("table.coverage", [1.0]), r"'table\.coverage': .*dictionary"),
        (set_at("skipped", "judge"), "'skipped': .*dictionary"),
        (set_at("details.task_quality", [[0.5]]), r"1 rows of \[1\] values, expected 3 of 4"),
        (set_at("details.shares.knn", [[1, 2]]), r"shares\.knn has 1 rows of \[2\]"),
        (set_at("details.shares.knn.0.0", None), r"'details\.shares\.knn\[0\]\[0\]': .*integer"),
        (set_at("details.shares.knn.0.0", -3), r"shares\.knn\[0\]\[0\]': .*equal to 0"),
        (set_at("details.curves.knn.0", [1.0]), r"curves\.knn has 12 rows of \[1, 2\] values"),
        (set_at("details.calibration.knn", [[0.1, 0.2]]), r"calibration\.knn has 1 rows"),
        (set_at("details.arms.0", "gpt"), r"'details\.arms\[0\]': .*dictionary.*got 'gpt'"),
    ],
)  # fmt: skip
def test_malformed_evaluations_name_the_key(
    evaluation: dict[str, Any], edit: Callable[[dict[str, Any]], None], message: str
) -> None:
    edit(evaluation)
    for render in (render_html, render_markdown):
        with pytest.raises(FormatError, match=message):
            render(evaluation)


def test_something_else_than_an_object_is_refused() -> None:
    with pytest.raises(FormatError, match="a JSON object, got list"):
        render_html([])  # type: ignore[arg-type]


def test_malformed_evaluations_write_nothing(tmp_path: Path) -> None:
    for suffix in (".html", ".md", ".json"):
        with pytest.raises(FormatError, match="'table': Field required"):
            write_report({}, tmp_path / f"r{suffix}")
    assert list(tmp_path.iterdir()) == []


# Parts


def test_markup_escapes_children_and_attributes() -> None:
    assert tag("p", "<b>", Markup("<i>"), None, class_='"x"', hidden=True, id=None) == (
        '<p class="&quot;x&quot;" hidden>&lt;b&gt;<i></p>'
    )
    assert tag("line", x1=1.0, x2=2.345) == '<line x1="1" x2="2.35"/>'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (figures.percent(0.0004), "0.0 %"),
        (figures.percent(0.9996), "99.9 %"),
        (figures.percent(1.0), "100 %"),
        (figures.percent(-0.14), "−14 %"),
        (figures.percent(-0.001), "0 %"),
        (figures.points(0.043), "+4.3"),
        (figures.points(-0.00001), "0.0"),
        (figures.interval((-0.01, 0.02)), "[−1.0, +2.0]"),
        (figures.usd(0.0000332), "0.0332"),
        (figures.usd(2.5), "2,500"),
        (figures.significant(9.999e-4), "0.00100"),
        (figures.significant(1e-9), "1.00e-09"),
        (figures.significant(0.0), "0"),
        (figures.tick(0.05), "0.05"),
        (figures.tick(20.0), "20"),
        (figures.decimal(-0.0001), "0.000"),
        (figures.decimal(None), "–"),
    ],
)
def test_numbers_as_text(text: str, expected: str) -> None:
    assert text == expected


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("values", [[0.1, 0.11], [1e-5, 3.0], [5.0, 5.0], [1e-12, 1e12]])
def test_ticks_lie_on_the_axis(values: list[float], log: bool) -> None:
    scale = Scale.around(values, 0, 100, log=log)
    ticks = scale.ticks(8)
    assert len(ticks) <= 8
    assert ticks == sorted(ticks)
    assert all(-0.01 <= scale(tick) <= 100.01 for tick in ticks)
    assert all(0 <= scale(value) <= 100 for value in values)


def test_labels_stay_inside_and_apart() -> None:
    rng = np.random.default_rng(1)
    spots = rng.uniform(40, 700, (40, 2)).tolist()
    anchors = [Anchor(x, y, f"model-number-{i}") for i, (x, y) in enumerate(spots)]
    boxes = place(anchors, (0, 0, 900, 760))
    for i, a in enumerate(boxes):
        assert a.left >= 0
        assert a.right <= 900
        assert a.top >= 0
        assert a.bottom <= 760
        for b in boxes[:i]:
            assert a.right <= b.left or b.right <= a.left or a.bottom <= b.top or b.bottom <= a.top
    assert place([], (0, 0, 1, 1)) == []


def test_names_in_a_margin_keep_order_and_distance() -> None:
    spots = spread([50, 52, 51, 10, 99], 10, 0, 100)
    assert sorted(range(5), key=lambda i: spots[i]) == [3, 0, 2, 1, 4]
    assert np.diff(sorted(spots)).min() >= 10 - 1e-9
    assert min(spots) >= 0
    assert max(spots) <= 100
    assert np.ptp(spread([5] * 30, 10, 0, 100)) <= 100


def test_shortened_names_keep_both_ends() -> None:
    assert shorten("provider/model-instruct-v12", 15) == "provider/m…-v12"
    assert shorten("short", 15) == "short"
