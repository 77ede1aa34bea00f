"""The report on thought templates: page, Markdown, JSON, and comparisons gone wrong."""

from __future__ import annotations

import copy
import json
import math
import re
from typing import TYPE_CHECKING, Any

import pytest

from fusionfactory.errors import FormatError
from fusionfactory.report import render_html, render_markdown, write_report
from fusionfactory.report.radar import radar
from fusionfactory.report.row_words import gain_words
from fusionfactory.report.thoughts_document import read_thoughts
from fusionfactory.report.thoughts_words import figures_of, lead, remarks, rule_words
from fusionfactory.thoughts.gating.comparison import compare
from gated_table import TASKS, gated_table
from test_report import ATTACK, Page, sample

if TYPE_CHECKING:
    from pathlib import Path

GAINS = {
    "think": (0.1, 0, 0, 0),
    "format": (0, 0.05, 0.1, 0),
    "few-shot:3": (0.2, 0, 0.2, 0),
    "random:3": (0, -0.1, 0, 0),
    "thought:3": (0.3, -0.3, 0.25, 0),
    "thought-judge:3": (0.25, -0.3, 0.25, 0),
}


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return compare(gated_table(GAINS), draws=100).document


@pytest.fixture
def content(made: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(made)


def rows(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in content["models"][0]["rows"]}


# The page


def test_a_page_needs_nothing_from_outside(content: dict[str, Any]) -> None:
    html = render_html(content)
    page = Page(html)
    assert page.count("html") == page.count("h1") == 1
    for name, attributes in page.tags:
        assert name not in {"img", "link", "iframe", "object", "base"}
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith("#")
    assert "url(" not in html.replace("url(#", "")
    assert "Thought templates report" in page.text


def test_links_lead_to_sections(content: dict[str, Any]) -> None:
    page = Page(render_html(content))
    ids = [attributes.get("id") for _, attributes in page.tags if attributes.get("id")]
    links = [attributes["href"] for name, attributes in page.tags if name == "a"]
    assert links == ["#thoughts-0", "#thoughts-reading"]
    assert {str(link)[1:] for link in links} <= set(ids)
    assert len(ids) == len(set(ids))


def test_every_value_stands_in_a_table(content: dict[str, Any]) -> None:
    tables = re.findall("<table.*?</table>", render_html(content), re.DOTALL)
    told = Page(f"<div>{''.join(tables)}</div>").text
    for row in read_thoughts(content).models[0].rows:
        for cell in figures_of(row):
            assert cell in told
        for figures in (*row.tasks, *row.domains):
            known = "" if row.name == "direct" else f" {gain_words(figures.over('direct'))}"
            assert f"{figures.quality:.3f}{known}" in told


def test_claims_stand_at_the_top_true_or_not(content: dict[str, Any]) -> None:
    statements = content["models"][0]["statements"]
    statements[0] |= {"holds": False, "words": "gated is below zero-shot on one task."}
    statements[1] |= {"holds": None, "words": "gated has nothing to be held against."}
    page = Page(render_html(content))
    assert "Warning: gated is below zero-shot on one task." in page.text
    assert "Note: gated has nothing to be held against." in page.text
    assert f"Fine: {statements[2]['words']}" in page.text


def test_a_bar_per_row_and_domain_with_its_interval(content: dict[str, Any]) -> None:
    page = Page(render_html(content))
    count = len(content["models"][0]["rows"])
    assert page.count("section", "panel") == len(set(TASKS.values()))
    assert page.count("i", "fill") == 3 * count
    assert page.count("i", "zero-level") == 3 * count
    assert page.count("i", "span") == 3 * (count - 1)
    found = rows(content)["thought:3"]["domains"][0]
    styles = [attributes.get("style") for name, attributes in page.tags if name == "i"]
    assert f"width:{100 * found['quality']:.2f}%" in styles


def test_the_radar_shows_the_main_rows_and_says_when_two_are_one(content: dict[str, Any]) -> None:
    page = Page(render_html(content))
    assert page.count("svg", "radar") == 1
    same = rows(content)["gated"]["domains"] == rows(content)["gated-any"]["domains"]
    assert ("gated = gated-any" in page.text) is same
    first, second = (rows(content)[name]["domains"] for name in ("gated", "gated-any"))
    second[:] = copy.deepcopy(first)
    assert "gated = gated-any" in Page(render_html(content)).text
    second[0]["quality"] = 0.123
    assert "gated = gated-any" not in Page(render_html(content)).text


def test_no_radar_of_two_domains(content: dict[str, Any]) -> None:
    model = content["models"][0]
    del model["domains"][2:]
    for row in model["rows"]:
        del row["domains"][2:]
    page = Page(render_html(content))
    assert page.count("svg", "radar") == 0
    assert page.count("section", "panel") == 2


def test_a_radar_without_an_unknown_value_is_not_closed() -> None:
    drawn = radar(["a", "b", "c"], [("one", [0.2, 0.5, 0.6]), ("two", [0.3, None, 0.4])])
    page = Page(f"<div>{drawn}</div>")
    outlines = [
        name
        for name, attributes in page.tags
        if name.startswith("poly") and (attributes["class"] or "").startswith("curve")
    ]
    assert outlines == ["polygon", "polyline"]
    assert "one, b: 0.500" in page.text
    assert "two, b" not in page.text


def test_rings_are_round_values_around_what_is_shown() -> None:
    page = Page(f"<div>{radar(['a', 'b', 'c'], [('one', [0.62, 0.71, 0.78])])}</div>")
    labels = [float(text) for text in page.texts if text.replace(".", "").isdigit()]
    assert labels == sorted(labels)
    assert labels[0] >= 0.5
    assert labels[-1] == 0.8
    alike = Page(f"<div>{radar(['a', 'b', 'c'], [('one', [0.5, 0.5, 0.5])])}</div>")
    assert "NaN" not in str(alike.tags)


def test_gates_are_explained(content: dict[str, Any]) -> None:
    page = Page(render_html(content))
    for name in ("gated", "gated-any"):
        assert f"What {name} learnt on train" in page.text
    document = read_thoughts(content)
    gate = document.models[0].gates["gated"]
    assert rule_words(document.models[0], gate.rules[0]) == "zero-shot"
    near = gate.rules[0].model_copy(update={"near": "thought:3", "threshold": 0.625})
    assert rule_words(document.models[0], near) == "thought, 3 from similarity 0.62 on"


def test_names_from_data_are_escaped(content: dict[str, Any]) -> None:
    model = content["models"][0]
    model["model"] = model["tasks"][0]["name"] = model["domains"][0]["name"] = ATTACK
    model["rows"][1]["label"] = model["statements"][0]["words"] = ATTACK
    model["arms_left_out"] = {ATTACK: ATTACK}
    for render in (render_html, render_markdown):
        assert ATTACK not in render(content)


def test_two_models_have_two_sections(content: dict[str, Any]) -> None:
    content["models"].append(copy.deepcopy(content["models"][0]) | {"model": "second"})
    page = Page(render_html(content))
    assert page.count("section", "part") == 3
    assert "Thought templates: second" in page.text
    assert page.count("p", "lead") == 2


# Gaps


def test_nulls_everywhere_still_make_a_page(content: dict[str, Any]) -> None:
    def emptied(value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, dict):
            return {key: emptied(item) for key, item in value.items()}
        if isinstance(value, list):
            return [emptied(item) for item in value]
        return None if isinstance(value, float) else value

    for render in (render_html, render_markdown):
        text = render(emptied(content))
        assert "nan" not in text.lower()
        assert "None" not in text


def test_what_was_left_out_is_told(content: dict[str, Any]) -> None:
    model = content["models"][0]
    model["queries"] -= 8
    model["arms_left_out"] = {"gated-x": "no thought arm is scored on train queries"}
    model["tasks_left_out"] = {"lost": "zero-shot is scored on 0% of its test queries"}
    content["facts"]["cost_basis"] = "nominal"
    document = read_thoughts(content)
    told = [(note.kind, note.text) for note in remarks(document.models[0], document)]
    assert told[-4:] == [
        ("warn", "gated-x is not compared: no thought arm is scored on train queries."),
        ("warn", "The task lost is not compared: zero-shot is scored on 0% of its test queries."),
        ("info", "392 of 400 test queries were answered by all arms; the others count for none."),
        ("info", "Costs are nominal: list prices and guessed token counts."),
    ]


def test_without_gates_and_format_the_page_stands(content: dict[str, Any]) -> None:
    model = content["models"][0]
    model["gates"], model["statements"], model["lead"] = {}, [], None
    model["rows"] = [row for row in model["rows"] if row["name"] in {"direct", "think"}]
    for row in model["rows"]:
        for figures in (row, *row["tasks"], *row["domains"]):
            del figures["against"]["format"]
    page = Page(render_html(content))
    assert page.count("tr", "gate") == 0
    assert "gated" not in lead(read_thoughts(content).models[0])


# Other forms


def test_markdown_tables_have_one_shape(content: dict[str, Any]) -> None:
    text = render_markdown(content)
    for block in text.strip().split("\n\n"):
        if block.startswith("|"):
            assert len({line.replace("\\|", "").count("|") for line in block.split("\n")}) == 1
    assert text.startswith("# Thought templates report\n")
    assert "## Thought templates: m" in text
    assert "- ✓ gated is " in text
    assert "| thought, 3 | " in text


@pytest.mark.parametrize("suffix", [".html", ".md", ".json"])
def test_forms_are_chosen_by_suffix(tmp_path: Path, content: dict[str, Any], suffix: str) -> None:
    path = tmp_path / f"thoughts{suffix}"
    write_report(content, path)
    text = path.read_text(encoding="utf-8")
    assert {".html": "<!doctype", ".md": "# Tho", ".json": "{"}[suffix] in text[:12]
    if suffix == ".json":
        assert json.loads(text) == content


def test_a_routing_report_can_hold_the_section(content: dict[str, Any]) -> None:
    both = sample() | {"thoughts": content}
    page = Page(render_html(both))
    assert "Routing report" in page.text
    assert "Thought templates: m" in page.text
    assert page.count("section", "part") == 8
    assert "## Thought templates: m" in render_markdown(both)
    assert "Thought templates" not in render_html(sample())


# Comparisons gone wrong


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("models",), [], "field 'models': List should have at least 1 item"),
        (("models", 0, "rows"), "x", r"field 'models\[0\]\.rows': Input should be a valid list"),
        (("models", 0, "rows", 0, "quality"), "x", r"rows\[0\]\.quality': Input should be a valid"),
        (("models", 0, "rows", 0, "against", "direct", "ci95"), [1.0], "at least 2 items"),
        (("models", 0, "rows", 1, "tasks"), [], "the row 'think' has 0 tasks, expected 4"),
        (("models", 0, "domains"), [], "List should have at least 1 item"),
        (("facts", "draws"), 1e15, "is out of range"),
    ],
)
def test_a_malformed_comparison_names_its_key(
    content: dict[str, Any], place: tuple[str | int, ...], value: object, message: str
) -> None:
    part: Any = content
    for step in place[:-1]:
        part = part[step]
    part[place[-1]] = value
    for render in (render_html, render_markdown):
        with pytest.raises(FormatError, match=message) as error:
            render(content)
        assert "is this what `think evaluate --json` wrote?" in str(error.value)


def test_nan_is_unknown(content: dict[str, Any]) -> None:
    content["models"][0]["rows"][1]["cost_usd"] = math.nan
    assert read_thoughts(content).models[0].rows[1].cost_usd is None


def test_an_evaluation_with_a_bad_section_names_it(content: dict[str, Any]) -> None:
    content["models"] = []
    with pytest.raises(FormatError, match=r"field 'thoughts\.models'"):
        render_html(sample() | {"thoughts": content})
