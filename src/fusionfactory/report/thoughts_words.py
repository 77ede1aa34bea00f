"""What a comparison of templates with controls says, in words and rows that every form shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.report.figures import (
    MISSING,
    count,
    decimal,
    percent,
    points,
    significant,
    usd,
)
from fusionfactory.report.row_words import Look, gain_words, row_remarks
from fusionfactory.thoughts.gating.gate import BASELINE
from fusionfactory.thoughts.gating.ground import FORMAT

if TYPE_CHECKING:
    from fusionfactory.report.findings import Note
    from fusionfactory.report.rows import RowFacts
    from fusionfactory.report.thoughts_document import (
        GateFacts,
        ModelFacts,
        RuleFacts,
        ThoughtsDocument,
    )

__all__ = [
    "HEADS", "LOOK", "MEANINGS", "THOUGHT_PROTOCOL", "figures_of", "gate_rows", "lead", "remarks",
    "rule_words", "thought_facts",
]  # fmt: skip

LOOK = Look(
    BASELINE,
    "zero-shot",
    colours={"direct": "k-zero", "thought": "k-thought", "gate": "k-gate"},
    key={"k-zero": "zero-shot", "k-control": "controls", "k-thought": "thought", "k-gate": "gates"},
)

HEADS = ("Row", "Quality", "vs zero-shot, points", "vs format-only, points", "USD per 1,000",
         "Tokens in", "Tokens out", "Worst task vs zero-shot, points")  # fmt: skip

THOUGHT_PROTOCOL = (
    "Every figure is a mean over test queries that all compared arms answered; a cell without a "
    "score is left out for all, never counted as 0. A task's mean is over its queries, a domain's "
    "over its tasks and the average over all tasks, so that a task weighs the same however many "
    "queries it has. An interval is a 95 % bootstrap interval of the paired difference: the same "
    "queries are drawn for both rows, near-duplicates together. Gates see train queries only; "
    "those were prompted without the templates that were written from themselves."
)

MEANINGS = {
    "zero-shot": "The question and the task's own instruction: the yardstick.",
    "think": "The same with “Let’s think step by step.”",
    "format-only": "The same with the closing words that templates come with, but no template: "
                   "what the answer's form alone is worth.",
    "few-shot, K": "The K nearest questions with their best answers.",
    "random templates, K": "K templates of other questions of the task, near or not.",
    "thought, K": "The K nearest questions with the templates that were written from their best "
                  "answers; by performance, judge or hybrid says how those were ranked.",
    "gated": "Zero-shot or thought, as train queries of the task say.",
    "gated-any": "Zero-shot, think, format-only, few-shot or thought, as train queries of the task "
                 "say.",
}  # fmt: skip


def lead(model: ModelFacts) -> str:
    """The main figures of a model in two or three sentences."""
    zero = model.row(BASELINE)
    told = [
        f"{model.model}: {count(model.queries)} test queries that all arms answered, on "
        f"{count(len(model.tasks))} task{'s' if len(model.tasks) > 1 else ''}."
    ]
    if zero is not None:
        told.append(f"Zero-shot has {decimal(zero.quality)} on average.")
    shown = [row for name in (model.lead, *model.gates) if (row := model.row(name))]
    parts = [
        f"{row.label} {decimal(row.quality)} ({gain_words(gain)})"
        for row in shown
        if (gain := row.over(BASELINE))
    ]
    if parts:
        told.append(f"Against it in points of .01, with 95 % intervals: {'; '.join(parts)}.")
    return " ".join(told)


def remarks(model: ModelFacts, document: ThoughtsDocument) -> list[Note]:
    """The claims, true or not, and what was left out."""
    return row_remarks(model, document.facts.cost_basis)


def figures_of(row: RowFacts) -> list[str]:
    """A row's cells under `HEADS`, as text."""
    is_baseline = row.name == BASELINE
    worst = f"{row.worst_task.name} {gain_words(row.worst_task)}"
    return [
        row.label,
        decimal(row.quality),
        MISSING if is_baseline else gain_words(row.over(BASELINE)),
        MISSING if row.name == FORMAT else gain_words(row.over(FORMAT)),
        usd(row.cost_usd),
        significant(row.input_tokens),
        significant(row.output_tokens),
        MISSING if is_baseline else worst,
    ]


def gate_rows(model: ModelFacts, gate: GateFacts) -> list[list[str]]:
    """A heading, then per task what the gate uses, and why: the candidates' gains on train."""
    heads = ["Task", "Train queries", "Uses", *map(model.label, gate.candidates)]
    rules = [(rule.task or "(no task)", rule) for rule in gate.rules]
    rows = [heads]
    for task, rule in (*rules, ("any other", gate.other)):
        known = [rule.evidence.get(name) for name in gate.candidates]
        pairs = [one.queries for one in known if one and one.queries is not None]
        told = [
            MISSING if one is None or one.error is None
            else f"{points(one.gain)} ± {decimal(100 * one.error, 1)}"
            for one in known
        ]  # fmt: skip
        rows.append([task, count(max(pairs, default=None)), rule_words(model, rule), *told])
    return rows


def rule_words(model: ModelFacts, rule: RuleFacts) -> str:
    """What a rule does: `thought, 3`, or that from a similarity on."""
    if rule.near is None or rule.threshold is None:
        return model.label(rule.strategy)
    return f"{model.label(rule.near)} from similarity {decimal(rule.threshold, 2)} on"


def thought_facts(document: ThoughtsDocument) -> list[tuple[str, str]]:
    """What was compared, as names and values."""
    facts = document.facts
    return [
        ("Queries of the table", count(facts.queries)),
        ("Tested on", facts.test_split or "unknown"),
        ("Gates learnt on", ", ".join(facts.train_splits) or "unknown"),
        ("Gates know the similarity of templates", "yes" if facts.similarity else "no"),
        ("Chance that a gate errs on a task", percent(facts.risk)),
        ("Least share of a task that an arm must have answered", percent(facts.min_coverage)),
        ("Bootstrap draws", count(facts.draws)),
        ("Costs", facts.cost_basis or "unknown"),
        ("Fingerprint of the table", facts.fingerprint or "unknown"),
    ]
