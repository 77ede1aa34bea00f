"""The report on students: page, Markdown, JSON, loss curves, and comparisons gone wrong."""

from __future__ import annotations

import copy
import json
import math
import re
from typing import TYPE_CHECKING, Any

import pytest

from fusionfactory.distill.comparison import compare_students
from fusionfactory.errors import FormatError
from fusionfactory.report import render_html, render_markdown, write_report
from fusionfactory.report.distill_document import read_distill
from fusionfactory.report.distill_words import (
    distill_lead,
    distill_remarks,
    figures_of,
    flip_rows,
    source_rows,
)
from fusionfactory.report.row_words import gain_words
from student_table import BEFORE, ROLES, student_table
from test_report import ATTACK, Page, sample

if TYPE_CHECKING:
    from pathlib import Path

BEST = "small-best"
MADE = {
    "base": "SmolLM2", "method": "sft", "criterion": "best", "device": "cpu", "examples": 1200,
    "tokens": 900_000, "steps": 300, "epochs": 2.0, "seconds": 1230.0,
    "settings": {"rank": 16, "learning_rate": None},
    "loss": [[step, 1 / step] for step in range(5, 301, 5)],
    "validation": [[0, 2.0], [150, 0.8], [300, 0.72]],
    "selection": {
        "fingerprint": "abc123",
        "questions": {"asked": 400, "covered": 380, "uncovered": 20},
        "sources": [{"arm": "large", "answers": 1000, "taken": 800}, {"arm": "label", "taken": 4}],
        "lengths": {"min": 1, "median": 20.0, "p95": None},
        "rejected": {"not right": 17},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return compare_students(student_table(), draws=100, records={BEST: MADE}, **ROLES)


@pytest.fixture
def content(made: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(made)


def told(content: dict[str, Any]) -> list[tuple[str, str]]:
    return [(note.kind, note.text) for note in distill_remarks(read_distill(content))]


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
    assert "Distillation report" in page.text


def test_links_lead_to_sections(content: dict[str, Any]) -> None:
    page = Page(render_html(content))
    ids = [attributes.get("id") for _, attributes in page.tags if attributes.get("id")]
    links = [attributes["href"] for name, attributes in page.tags if name == "a"]
    assert links == ["#distill", "#distill-made", "#distill-reading"]
    assert {str(link)[1:] for link in links} <= set(ids)
    assert len(ids) == len(set(ids))


def test_every_value_stands_in_a_table(content: dict[str, Any]) -> None:
    document = read_distill(content)
    tables = re.findall("<table.*?</table>", render_html(content), re.DOTALL)
    text = Page(f"<div>{''.join(tables)}</div>").text
    for row in document.rows:
        for cell in figures_of(row, document):
            assert cell in text
        for figures in (*row.tasks, *row.domains):
            known = "" if row.name == BEFORE else f" {gain_words(figures.over(BEFORE))}"
            assert f"{figures.quality:.3f}{known}" in text
    for line in flip_rows(document):
        for cell in line:
            assert cell in text
    for alarm in document.alarms:
        assert f"{alarm.verdict} {gain_words(alarm)} {alarm.queries}" in text


def test_bars_and_radar_show_students_beside_the_model_before(content: dict[str, Any]) -> None:
    page = Page(render_html(content))
    assert page.count("svg", "radar") == 1
    assert page.count("section", "panel") == 3
    assert page.count("i", "fill") == 3 * 5
    assert page.count("i", "span") == 3 * 4
    kinds = [attributes.get("class") for name, attributes in page.tags if name == "i"]
    assert kinds.count("fill k-thought") == 3 * 2
    assert "The dashed line is the model before training;" in page.text


def test_the_recommended_row_is_marked(content: dict[str, Any]) -> None:
    assert Page(render_html(content)).count("tr", "gate") == 0
    content["recommended"] = BEST
    assert Page(render_html(content)).count("tr", "gate") == 1
    assert "small-top5" not in distill_lead(read_distill(content))


# Words


def test_claims_and_alarms_stand_at_the_top_true_or_not(content: dict[str, Any]) -> None:
    content["statements"][0] |= {"holds": False, "words": "small-best ends below zero-shot."}
    content["statements"][1] |= {"holds": None, "words": "It is open."}
    content["statements"][2] |= {"holds": True, "words": "It holds."}
    page = Page(render_html(content))
    assert "Warning: small-best ends below zero-shot." in page.text
    assert "Note: It is open." in page.text
    assert "Fine: It holds." in page.text
    assert "Warning: Alarm for small-best, in points on queries: worse than before: world (" in (
        page.text
    )


def test_alarms_of_a_student_are_one_remark(content: dict[str, Any]) -> None:
    figure = {"gain": -0.03, "ci95": [-0.09, 0.02], "queries": 50, "words": ""}
    alarm = {"row": "small-top5", "name": "average", "scope": "average", **figure}
    content["alarms"] = [
        alarm | {"verdict": "perhaps worse"},
        alarm | {"verdict": "perhaps worse", "name": "quiz", "scope": "task"},
    ]
    assert told(content)[8:10] == [
        ("ok", "small-best raises no alarm: it is nowhere clearly worse than before, and on no "
               "task or domain by more than 2.0 points."),
        ("info", "Alarm for small-top5, in points on queries: perhaps worse than before: overall "
                 "(−3.0 on 50), quiz (−3.0 on 50)."),
    ]  # fmt: skip
    content["alarms"].append(alarm | {"verdict": "worse", "name": "sums", "scope": "task"})
    kind, words = told(content)[9]
    assert kind == "warn"
    assert words.endswith("quiz (−3.0 on 50); worse than before: sums (−3.0 on 50).")


def test_luck_is_told(content: dict[str, Any]) -> None:
    luck = [text for kind, text in told(content) if kind == "info"][-2:]
    assert luck == [
        "16 intervals of students were looked at; without any true difference one in twenty would "
        "leave out 0.",
        "No student was named beforehand: the best of these 2 was found on the test queries "
        "themselves, so some of its lead may be luck.",
    ]
    content["recommended"] = BEST
    assert not any("beforehand" in text for _, text in told(content))


def test_what_was_left_out_is_told(content: dict[str, Any]) -> None:
    content["queries"] -= 8
    content["arms_left_out"] = {"gone": "scored on 5% of the test queries of sums"}
    content["tasks_left_out"] = {"lost": "small (before) is scored on 0% of its test queries"}
    content["facts"]["cost_basis"] = "nominal"
    content["rows"][0]["missing"] = 8
    for sentence in (
        "gone is not compared: scored on 5% of the test queries of sums.",
        "The task lost is not compared: small (before) is scored on 0% of its test queries.",
        "392 of 400 test queries were answered by all arms; the others count for none. Without a "
        "score are of small (before) 8.",
        "Costs are nominal: list prices and guessed token counts.",
    ):
        assert sentence in [text for _, text in told(content)]


def test_a_p_value_is_never_0(content: dict[str, Any]) -> None:
    flips = content["flips"][BEST]
    flips[0] |= {"won": 40, "lost": 3, "p_holm": 1e-9}
    flips[1] |= {"won": 12, "lost": 9, "p_holm": 0.25}
    flips[2] |= {"p_holm": None}
    cells = [row[2] for row in flip_rows(read_distill(content))]
    assert cells[1:3] == ["+40 / −3, p < 0.001", "+12 / −9, p 0.250"]
    assert cells[3].endswith("p –")


# How students were made


def test_a_loss_curve_per_student_with_held_out_marks(content: dict[str, Any]) -> None:
    content["students"]["small-label"] = copy.deepcopy(MADE)
    page = Page(render_html(content))
    drawings = re.findall("<svg.*?</svg>", render_html(content), re.DOTALL)
    drawn = [drawing for drawing in drawings if "Loss by step" in drawing]
    assert len(drawn) == 2
    for drawing in drawn:
        assert drawing.count("<polyline") == 2
        assert "small-label (label only), training" in drawing
        assert "small-best, held out, step 150: 0.800" in drawing
    assert "What small-best learnt from" in page.text


def test_without_a_loss_there_is_no_plot(content: dict[str, Any]) -> None:
    content["students"][BEST]["loss"] = content["students"][BEST]["validation"] = []
    html = render_html(content)
    assert "Loss by step" not in html
    assert "How the students were made" in html
    content["students"] = {}
    assert "How the students were made" not in render_html(content)


def test_one_point_is_enough_for_a_plot(content: dict[str, Any]) -> None:
    content["students"][BEST] |= {"loss": [], "validation": [[0, 2.0]]}
    html = render_html(content)
    assert "held out, step 0: 2.000" in html
    assert "nan" not in html.lower()


def test_what_a_student_learnt_from_is_told() -> None:
    content = compare_students(student_table(), draws=50, records={BEST: MADE}, **ROLES)
    assert source_rows(read_distill(content).students[BEST]) == [
        ("From large", "800 of 1,000 answers"),
        ("From label", "4"),
        ("Questions with an answer", "380 of 400"),
        ("Tokens of an answer", "min 1.00, median 20.0, p95 –"),
        ("Turned away: not right", "17"),
        ("Base", "SmolLM2"),
        ("rank", "16"),
        ("learning_rate", "–"),
        ("Fingerprint of the selection", "abc123"),
    ]
    for render in (render_html, render_markdown):
        assert "800 of 1,000 answers" in render(content)


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


def test_without_a_control_the_page_stands() -> None:
    content = compare_students(student_table(), before=BEFORE, students=[BEST], draws=50)
    document = read_distill(content)
    assert [figures_of(row, document)[3] for row in document.rows] == ["–", "–"]
    assert "How the students were made" not in render_html(content)


def test_a_domain_without_a_name_is_no_task(content: dict[str, Any]) -> None:
    content["tasks"][0]["name"] = content["domains"][0]["name"] = ""
    for render in (render_html, render_markdown):
        text = render(content)
        assert "(no task)" in text
        assert "(no domain)" in text


def test_names_from_data_are_escaped(content: dict[str, Any]) -> None:
    content["rows"][2]["label"] = content["statements"][0]["words"] = ATTACK
    content["tasks"][0]["name"] = content["domains"][0]["name"] = content["before"] = ATTACK
    content["arms_left_out"] = {ATTACK: ATTACK}
    made = content["students"][BEST]
    made["criterion"] = made["base"] = made["device"] = ATTACK
    made["settings"] = {ATTACK: ATTACK}
    made["selection"]["sources"][0]["arm"] = ATTACK
    for render in (render_html, render_markdown):
        assert ATTACK not in render(content)


# Other forms


def test_markdown_tables_have_one_shape(content: dict[str, Any]) -> None:
    text = render_markdown(content)
    for block in text.strip().split("\n\n"):
        if block.startswith("|"):
            assert len({line.replace("\\|", "").count("|") for line in block.split("\n")}) == 1
    assert text.startswith("# Distillation report\n")
    assert "## Students of small" in text
    assert "### Alarms" in text
    assert "| small-label (label only) | " in text


@pytest.mark.parametrize("suffix", [".html", ".md", ".json"])
def test_forms_are_chosen_by_suffix(tmp_path: Path, content: dict[str, Any], suffix: str) -> None:
    path = tmp_path / f"students{suffix}"
    write_report(content, path)
    text = path.read_text(encoding="utf-8")
    assert {".html": "<!doctype", ".md": "# Dist", ".json": "{"}[suffix] in text[:12]
    if suffix == ".json":
        assert json.loads(text) == content


def test_a_routing_report_can_hold_the_section(content: dict[str, Any]) -> None:
    both = sample() | {"distill": content}
    page = Page(render_html(both))
    assert "Routing report" in page.text
    assert "Students of small" in page.text
    assert page.count("section", "part") == 9
    assert "## Students of small" in render_markdown(both)
    assert "Students of" not in render_html(sample())


# Comparisons gone wrong


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("rows",), [], "field 'rows': List should have at least 1 item"),
        (("rows", 0, "quality"), "x", r"rows\[0\]\.quality': Input should be a valid"),
        (("rows", 1, "tasks"), [], "the row 'small-label' has 0 tasks, expected 4"),
        (("flips", BEST, 0, "won"), "x", r"flips\.small-best\[0\]\.won': Input should be"),
        (("students", BEST, "loss"), [[1]], "should have at least 2 items"),
        (("alarms", 0, "verdict"), 3, r"alarms\[0\]\.verdict': Input should be a valid string"),
        (("before",), None, "field 'before': Input should be a valid string"),
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
        assert "is this what `distill evaluate --json` wrote?" in str(error.value)


def test_nan_is_unknown(content: dict[str, Any]) -> None:
    content["rows"][1]["cut_share"] = math.nan
    assert read_distill(content).rows[1].cut_share is None


def test_an_evaluation_with_a_bad_section_names_it(content: dict[str, Any]) -> None:
    content["rows"] = []
    with pytest.raises(FormatError, match=r"field 'distill\.rows'"):
        render_html(sample() | {"distill": content})
