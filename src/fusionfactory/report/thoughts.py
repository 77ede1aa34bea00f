"""Thought templates against their controls: claims, table, domains as radar and bars, and gates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.report.audit import note_list
from fusionfactory.report.figures import MISSING, count, decimal, points
from fusionfactory.report.heatmap import task_name
from fusionfactory.report.markup import Markup, join, tag
from fusionfactory.report.radar import LEAST_AXES, radar
from fusionfactory.report.shell import Section, whole_page
from fusionfactory.report.thoughts_words import (
    HEADS,
    MEANINGS,
    THOUGHT_PROTOCOL,
    figures_of,
    gain_words,
    gate_rows,
    lead,
    remarks,
    thought_facts,
)
from fusionfactory.report.whiskers import whisker, whisker_scale

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fusionfactory.report.scales import Scale
    from fusionfactory.report.thoughts_document import (
        DomainFacts,
        Figures,
        GainFacts,
        ModelFacts,
        RowFacts,
        TaskFacts,
        ThoughtsDocument,
    )

__all__ = ["thought_sections", "thoughts_page"]

_USES = 2
_BARS = (
    "Mean quality by domain. The dashed line is zero-shot; the thin bar is the 95 % interval of "
    "the paired difference to it: a row whose thin bar crosses the line is not clear of chance."
)
_RADAR = (
    "Mean quality by domain of the main rows. Of the thought rows it shows the one that was best "
    "on train. The centre is not 0: see the rings."
)


def thoughts_page(document: ThoughtsDocument, title: str) -> str:
    """A page of its own."""
    opening = join(*(tag("p", lead(model), class_="lead") for model in document.models))
    reading = Section("thoughts-reading", "How to read this", _reading(document))
    return whole_page(title, opening, [*thought_sections(document), reading])


def thought_sections(document: ThoughtsDocument | None) -> list[Section]:
    """One section per model; none without a comparison."""
    if document is None:
        return []
    return [
        Section(f"thoughts-{number}", f"Thought templates: {model.model}", _model(model, document))
        for number, model in enumerate(document.models)
    ]


def _model(model: ModelFacts, document: ThoughtsDocument) -> Markup:
    return join(
        note_list(remarks(model, document)),
        tag("h3", "All rows on average"),
        _table(model),
        _domains(model),
        tag("h3", "Tasks"),
        _numbers(model, model.tasks, [row.tasks for row in model.rows]),
        *(_gate(model, name) for name in model.gates),
    )


def _scroll(table: Markup) -> Markup:
    return tag("div", table, class_="scroll", tabindex="0")


def _table(model: ModelFacts) -> Markup:
    gains = [(row.gain, row.format_gain) for row in model.rows]
    scales = [
        whisker_scale([g.interval for g in column if g and g.interval and g.interval != (0.0, 0.0)])
        for column in zip(*gains, strict=True)
    ]
    rows = [_row(row, scales) for row in model.rows]
    head = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in HEADS)))
    return _scroll(tag("table", head, tag("tbody", *rows), class_="controls"))


def _row(row: RowFacts, scales: Sequence[Scale]) -> Markup:
    name, *cells = figures_of(row)
    made = [tag("th", tag("span", "", class_=f"dab {_colour(row)}"), name, scope="row")]
    quality, gain, format_gain, *others, worst = cells
    made += [
        tag("td", quality),
        _gain(gain, row.gain, scales[0]),
        _gain(format_gain, row.format_gain, scales[1]),
        *(tag("td", cell) for cell in others),
        tag("td", worst, class_="words"),
    ]
    return tag("tr", *made, class_="gate" if row.kind == "gate" else None)


def _gain(words: str, gain: GainFacts | None, scale: Scale) -> Markup:
    pair = gain.interval if gain else None
    if words == MISSING or gain is None or pair is None:
        return tag("td", words, class_="gain")
    size, _, rest = words.partition(" ")
    told = tag("span", tag("b", size, class_=_verdict(gain)), f" {rest}", class_="figure")
    return tag("td", whisker(pair, gain.gain, scale), told, class_="gain")


def _verdict(gain: GainFacts | None) -> str | None:
    """A class for what is clear of chance."""
    pair = gain.interval if gain else None
    if pair is None or pair[0] <= 0 <= pair[1]:
        return None
    return f"verdict {'better' if pair[0] > 0 else 'worse'}"


def _colour(row: RowFacts) -> str:
    kinds = {"direct": "k-zero", "thought": "k-thought", "gate": "k-gate"}
    return kinds.get(row.kind, "k-control")


def _domains(model: ModelFacts) -> Markup:
    names = [task_name(domain.name) for domain in model.domains]
    parts: list[Markup] = []
    shown = [
        row for name in ("direct", "format", model.lead, *model.gates) if (row := model.row(name))
    ]
    if len(names) >= LEAST_AXES:
        parts.append(tag("figure", tag("p", _RADAR), radar(names, _lines(shown)), class_="around"))
    panels = (_panel(model, place, domain) for place, domain in enumerate(model.domains))
    return join(
        tag("h3", "Domains"),
        *parts,
        tag("p", _BARS),
        _key(),
        tag("div", *panels, class_="panels"),
        tag(
            "details",
            tag("summary", "The domains in numbers"),
            _numbers(model, model.domains, [row.domains for row in model.rows]),
        ),
    )


def _lines(rows: Sequence[RowFacts]) -> list[tuple[str, list[float | None]]]:
    """Names and values by domain; rows that are the same everywhere share a line."""
    found: list[tuple[str, list[float | None]]] = []
    for row in rows:
        values = [figures.quality for figures in row.domains]
        same = next((i for i, (_, others) in enumerate(found) if others == values), None)
        if same is None:
            found.append((row.label, values))
        else:
            found[same] = (f"{found[same][0]} = {row.label}", values)
    return found


def _key() -> Markup:
    kinds = (("k-zero", "zero-shot"), ("k-control", "controls"), ("k-thought", "thought"),
             ("k-gate", "gates"))  # fmt: skip
    items = (tag("li", tag("span", "", class_=f"dab {kind}"), name) for kind, name in kinds)
    return tag("ul", *items, class_="key")


def _panel(model: ModelFacts, place: int, domain: DomainFacts) -> Markup:
    zero = next((row.domains[place].quality for row in model.rows if row.is_baseline), None)
    lines = (part for row in model.rows for part in _bar(row, row.domains[place], zero))
    tasks = f"{count(domain.tasks)} task{'' if domain.tasks == 1 else 's'}"
    return tag(
        "section",
        tag(
            "h4", task_name(domain.name), tag("small", f" {tasks}, {count(domain.queries)} queries")
        ),
        tag("div", *lines, *_axis(), class_="levels"),
        class_="panel",
    )


def _bar(row: RowFacts, figures: Figures, zero: float | None) -> Iterable[Markup]:
    """Name, bar and value of one row: three cells of a grid."""
    parts = []
    if figures.quality is not None:
        parts.append(
            tag("i", class_=f"fill {_colour(row)}", style=f"width:{_share(figures.quality)}")
        )
    if zero is not None:
        parts.append(tag("i", class_="zero-level", style=f"left:{_share(zero)}"))
    pair = figures.gain.interval if figures.gain else None
    if zero is not None and pair is not None and not row.is_baseline:
        low, high = (min(1.0, max(0.0, zero + end)) for end in pair)
        style = f"left:{_share(low)};width:{_share(high - low)}"
        parts.append(tag("i", class_="span", style=style))
    gain = figures.gain.gain if figures.gain and not row.is_baseline else None
    change = tag("small", f" {points(gain)}") if gain is not None else None
    title = f"{row.label}: {decimal(figures.quality)}, {gain_words(figures.gain)} against zero-shot"
    yield tag("span", row.label, class_="level name")
    yield tag("span", *parts, class_="level track", title=title)
    yield tag("span", decimal(figures.quality), change, class_="level value")


def _axis() -> list[Markup]:
    ends = (tag("span", "0"), tag("span", "1"))
    return [tag("span"), tag("span", *ends, class_="level ends", aria_hidden="true"), tag("span")]


def _share(value: float) -> str:
    return f"{100 * value:.2f}%"


def _numbers(
    model: ModelFacts,
    columns: Sequence[TaskFacts] | Sequence[DomainFacts],
    figures: Sequence[Sequence[Figures]],
) -> Markup:
    """Rows down and tasks or domains across: quality, and under it the gain over zero-shot."""
    head = tag(
        "tr",
        tag("th", "Row", scope="col"),
        *(
            tag(
                "th", task_name(column.name), tag("small", f" {count(column.queries)}"), scope="col"
            )
            for column in columns
        ),
    )
    rows = (
        tag("tr", tag("th", row.label, scope="row"), *(_number(row, part) for part in parts))
        for row, parts in zip(model.rows, figures, strict=True)
    )
    table = tag("table", tag("thead", head), tag("tbody", *rows), class_="numbers gains")
    text = (
        "Quality, and below it the gain over zero-shot in points with its 95 % interval; beside "
        "each name the number of queries."
    )
    return join(tag("p", text), _scroll(table))


def _number(row: RowFacts, figures: Figures) -> Markup:
    if row.is_baseline:
        return tag("td", tag("b", decimal(figures.quality)))
    words = tag("small", gain_words(figures.gain), class_=_verdict(figures.gain))
    return tag("td", tag("b", decimal(figures.quality)), tag("br"), words)


def _gate(model: ModelFacts, name: str) -> Markup:
    gate = model.gates[name]
    heads, *rows = gate_rows(model, gate)
    lines = (
        tag(
            "tr",
            tag("th", row[0], scope="row"),
            tag("td", row[1]),
            tag("td", tag("b", row[2]), class_="words"),
            *(tag("td", cell) for cell in row[3:]),
        )
        for row in rows
    )
    named = (
        tag("th", head, scope="col", class_="words" if place == _USES else None)
        for place, head in enumerate(heads)
    )
    table = tag(
        "table",
        tag("thead", tag("tr", *named)),
        tag("tbody", *lines),
        class_="numbers",
    )
    text = (
        "Gains over zero-shot on train in points, drawn towards the other tasks’, ± their standard "
        f"error. A candidate is used where its gain exceeds {decimal(gate.margin, 2)} of those."
    )
    return join(tag("h3", f"What {name} learnt on train"), tag("p", text), _scroll(table))


def _reading(document: ThoughtsDocument) -> Markup:
    meanings = (
        item for name, told in MEANINGS.items() for item in (tag("dt", name), tag("dd", told))
    )
    facts = (
        item
        for name, value in thought_facts(document)
        for item in (tag("dt", name), tag("dd", value))
    )
    return join(
        tag("p", THOUGHT_PROTOCOL),
        tag("h3", "Rows"),
        tag("dl", *meanings, class_="meanings"),
        tag("h3", "Facts"),
        tag("dl", *facts, class_="facts"),
    )
