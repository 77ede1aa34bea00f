"""What an evaluation says, in sentences: the headline, and what a reader must know to trust it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fusionfactory.report.figures import count, decimal, interval, percent, points, usd
from fusionfactory.report.streamed_words import streamed_sentences

if TYPE_CHECKING:
    from fusionfactory.report.document import Document, Row, TableFacts

__all__ = [
    "Note",
    "arm_name",
    "audit_notes",
    "collapses",
    "headline",
    "notes",
    "sentence",
    "streamed_notes",
]

COLLAPSE_SHARE = 0.97
_FEW_QUERIES = 200


@dataclass(frozen=True)
class Note:
    """One remark.

    Attributes:
        kind: `ok`, `info` or `warn`.
        text: A sentence or two.
    """

    kind: Literal["ok", "info", "warn"]
    text: str


def headline(document: Document) -> list[str]:
    """Who wins the first scenario, by how much, at what cost, and against which easy rivals."""
    scenario = document.first
    routers = document.routers(scenario)
    best = document.row(scenario, "best_single")
    if not routers or best is None:
        return [f"Scenario {scenario} compares no router with a best single arm."]
    winner = routers[0]
    sentences = [_result(document, scenario, winner, best, len(routers))]
    sentences += _cost(winner, best)
    return [" ".join(sentences), *_rivals(document, scenario, routers)]


def _result(document: Document, scenario: str, winner: Row, best: Row, rivals: int) -> str:
    gain, pair = document.gain(scenario, winner), winner.interval
    arm = arm_name(document, document.best_single_arm)
    single = f"the best single arm{f' ({arm})' if arm else ''} has {decimal(best.quality)}"
    text = (
        f"In the scenario {scenario}, {winner.router} has the highest reward of "
        f"{rivals} router{'s' if rivals > 1 else ''}. Its quality is {decimal(winner.quality)}; "
        f"{single}."
    )
    if not winner.fully_scored:
        text += (
            f" But only {percent(winner.scored_share)} of its picks were scored, so the two means "
            "are not over the same queries."
        )
    if pair is None:
        return f"{text} There is no interval for the difference."
    size = "" if gain is None else f"{points(gain)}, "
    return (
        f"{text} On the same queries it is {_verdict(pair)} "
        f"({size}95 % interval {interval(pair)}, in points of .01)."
    )


def _verdict(pair: tuple[float, float]) -> str:
    if pair[0] > 0:
        return "significantly better"
    if pair[1] < 0:
        return "significantly worse"
    return "not significantly different"


def _cost(winner: Row, best: Row) -> list[str]:
    if winner.cost_usd is None or best.cost_usd is None or best.cost_usd <= 0:
        return []
    change = winner.cost_usd / best.cost_usd - 1
    compared = (
        "about the same"
        if abs(change) < 0.005
        else f"{percent(abs(change))} {'more' if change > 0 else 'less'}"
    )
    text = (
        f"It costs USD {usd(winner.cost_usd)} per 1,000 queries, {compared} than the best single "
        f"arm's USD {usd(best.cost_usd)}."
    ).replace("about the same than", "about the same as")
    saved = winner.cost_save_1pt
    if saved is None:
        return [text]
    if saved <= 0:
        return [text, "Nowhere on its curve is it cheaper at that quality less one point."]
    caution = "" if winner.fully_scored else " (by scored picks alone; read with care)"
    return [
        text,
        f"Where its curve first comes within one point of that quality, it saves {percent(saved)} "
        f"of the cost{caution}.",
    ]


def _rivals(document: Document, scenario: str, routers: list[Row]) -> list[str]:
    pairs = [row.interval for row in routers]
    better = sum(pair is not None and pair[0] > 0 for pair in pairs)
    worse = sum(pair is not None and pair[1] < 0 for pair in pairs)
    text = (
        f"Of {len(routers)} router{'s' if len(routers) > 1 else ''}, {better or 'none'} "
        f"{'is' if better < 2 else 'are'} significantly better in quality than the best single "
        f"arm, {worse or 'none'} significantly worse."
    )
    winner = routers[0]
    parts = [text]
    known = document.row(scenario, "task_best")
    if known is not None and None not in {known.quality, winner.quality} and winner.fully_scored:
        text = (
            f"Looking up the best arm by the true task label alone gives {decimal(known.quality)}"
        )
        ahead = (known.quality or 0) >= (winner.quality or 0)
        text += ", no less than the winner." if ahead else "."
        parts.append(text)
    oracle = document.row(scenario, "oracle")
    if oracle is not None and oracle.quality is not None and winner.gap_closed is not None:
        text = f"The oracle, which picks after the fact, reaches {decimal(oracle.quality)}"
        closed = f"; the winner closes {percent(winner.gap_closed)} of that gap in reward."
        parts.append(text + (closed if winner.fully_scored else "."))
    return [" ".join(parts)]


def notes(document: Document) -> list[Note]:
    """What limits the result: costs that are no measurements, gaps, few queries, skipped runs."""
    facts = document.table
    found = [_basis(facts)]
    found += streamed_notes(facts)
    for name, reason in document.skipped.items():
        found.append(Note("info", f"Scenario {name} was not run: {reason}."))
    partly = [row for row in document.scenarios[document.first] if not row.fully_scored]
    if partly:
        least = min(row.scored_share or 0.0 for row in partly)
        found.append(
            Note(
                "warn",
                f"{_rows(len(partly))} on picks that the table holds no score for (down to "
                f"{percent(least)} scored). Their quality, reward and savings are means over other "
                "queries than the best single arm's; trust their intervals, which are paired.",
            )
        )
    if facts.test_queries is not None and facts.test_queries < _FEW_QUERIES:
        found.append(Note("warn", f"Only {facts.test_queries} test queries: intervals are wide."))
    if facts.seeds == 1:
        found.append(Note("info", "One split only; more seeds show how much of this is the split."))
    routers = document.routers(document.first)
    if len(routers) > 1:
        found.append(
            Note(
                "info",
                f"The winner is the best of {len(routers)} on the test side, so its lead over the "
                "other routers, and a little of its gain, may be luck.",
            )
        )
    return [note for note in found if note]


def streamed_notes(facts: TableFacts) -> list[Note]:
    """What was learned from what, where the table was read from disk."""
    if facts.streamed is None:
        return []
    told = streamed_sentences(facts.streamed, facts.train_queries, facts.test_queries)
    return [Note("info", text) for text in told]


def _rows(number: int) -> str:
    return "1 row rests" if number == 1 else f"{number} rows rest"


def _basis(facts: TableFacts) -> Note | None:
    if facts.cost_basis == "nominal":
        length = facts.nominal_output_tokens
        written = f"{count(length)} output tokens" if length else "one fixed output length"
        return Note(
            "warn",
            "Costs are nominal, not measured: list prices for the query's length and "
            f"{written} for every answer. They rank arms by price and know nothing of how much an "
            "arm writes.",
        )
    if facts.cost_basis == "missing":
        return Note("warn", "The table has neither costs nor prices: nothing here is about cost.")
    return None


def collapses(document: Document) -> list[tuple[str, str, float]]:
    """(router, arm, share) of the routers that send more than 97 % of the queries to one arm."""
    found = []
    for router in document.router_names:
        totals = document.arm_totals(router)
        if not any(totals):
            continue
        top = max(totals)
        share = top / sum(totals)
        if share > COLLAPSE_SHARE:
            found.append((router, arm_name(document, totals.index(top)), share))
    return found


def audit_notes(document: Document) -> list[Note]:
    """Whether something of the test side was seen in training, and what is not covered."""
    facts = document.table
    found = []
    shared, twins = facts.queries_in_train_and_test, facts.near_duplicate_queries
    if shared is not None:
        found.append(
            Note("ok", "No query is on both the train and the test side.")
            if shared == 0
            else Note("warn", f"{count(shared)} queries are on both sides: results are too good.")
        )
    if twins is not None:
        found.append(
            Note("ok", "No query is a near-duplicate of another.")
            if twins == 0
            else Note(
                "ok",
                f"{count(twins)} near-duplicate{'s' if twins > 1 else ''} of other queries; each "
                "stays on the side of its original.",
            )
        )
    if facts.observed_share is not None:
        full = facts.observed_share >= 1
        text = "Every cell has" if full else f"{percent(facts.observed_share)} of the cells have"
        gaps = "" if full else " Missing cells are left out, never counted as 0."
        found.append(Note("ok" if full else "warn", f"{text} a score.{gaps}"))
    if facts.arms_without_scores:
        names = ", ".join(facts.arms_without_scores)
        found.append(Note("warn", f"Left out, because no answer of theirs is scored: {names}."))
    if not facts.has_judge and facts.has_judge is not None:
        found.append(Note("info", "The table has no judge scores."))
    return found


def sentence(collapse: tuple[str, str, float]) -> str:
    """A collapse in words."""
    router, arm, share = collapse
    return f"{router} has collapsed: it sends {percent(share)} of the queries to {arm}."


def arm_name(document: Document, column: int | None) -> str:
    """Name of a column's arm; empty where unknown."""
    return "" if column is None else document.details.arms[column].name
