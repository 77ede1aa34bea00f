"""What edits, triggers, collapse and ceilings say, in words and tables that every form shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.report.figures import MISSING, count, decimal, percent, points, usd
from fusionfactory.report.findings import Note
from fusionfactory.report.told import Told

if TYPE_CHECKING:
    from fusionfactory.report.robustness_document import (
        CeilingFacts,
        ExamFacts,
        RobustnessDocument,
        ShiftFacts,
    )
    from fusionfactory.report.told import Cell

__all__ = ["robustness_findings"]

_MOST_FLIPS = 0.1
"""Share of decisions from which a change that leaves the question what it is deserves a warning."""
_LIMITS = {
    "top_share": "has collapsed: nearly all decisions go to one arm",
    "entropy": "has collapsed: its decisions spread over next to no arms",
}
_SHORTEST = 60


def robustness_findings(document: RobustnessDocument) -> list[Told]:
    """Routers side by side, every edit, the triggers, and the ceilings."""
    asked = (
        f"On {count(document.queries)} test queries of one split, by the policy {document.policy}. "
        "Every arm is taken to answer a changed question as it answered the original, so what "
        "is lost is lost by routing alone."
    )
    found = [
        Told("", asked, _HEADS, [_exam(exam) for exam in document.routers], _alarms(document)),
        _edits(document),
        _triggers(document),
    ]
    if document.ceilings is None:
        words = "No query was answered by every arm, so the arms’ ceilings are not known."
        return [*found, Told("Ceilings", words)]
    return [*found, _ceilings(document.ceilings)]


_HEADS = ("Router", "Worst edit", "Decisions changed", "Quality, points", "Trigger: arm reached",
          "Decisions changed", "Quality, points", "USD per 1,000 added", "Most chosen",
          "Never chosen")  # fmt: skip


def _exam(exam: ExamFacts) -> list[Cell]:
    worst, attack = (
        _worst(exam),
        max(exam.attacks, key=lambda a: a.shift.flipped or 0, default=None),
    )
    attacked: list[Cell] = [MISSING] * 4
    if attack is not None:
        shift = attack.shift
        added = usd(shift.cost_added_usd)
        attacked = [percent(attack.success), percent(shift.flipped), shift.gain, added]
    return [
        exam.router,
        worst.edit,
        percent(worst.flipped),
        worst.gain,
        *attacked,
        f"{exam.spread.top} ({percent(exam.spread.share)})",
        f"{len(exam.spread.idle)} of {count(exam.spread.arms)}",
    ]


def _worst(exam: ExamFacts) -> ShiftFacts:
    return max(exam.shifts, key=lambda shift: shift.flipped or 0)


def _alarms(document: RobustnessDocument) -> list[Note]:
    """Collapses, and who changes its mind too easily; a line that all is well where nobody does."""
    found = [
        Note("warn", f"{exam.router} {_LIMITS.get(exam.collapsed, 'has collapsed')} "
                     f"({exam.spread.top}, {percent(exam.spread.share)}).")
        for exam in document.routers
        if exam.collapsed
    ]  # fmt: skip
    found += [Note("warn", words) for exam in document.routers if (words := _unsteady(exam))]
    if not found:
        words = f"No edit and no trigger changes more than {percent(_MOST_FLIPS)} of the decisions."
        found.append(Note("ok", words))
    return found


def _unsteady(exam: ExamFacts) -> str:
    """What changes many of a router's decisions; empty where nothing does."""
    worst = _worst(exam)
    named = [(f"the edit {worst.edit}", worst)]
    named += [(f"a {attack.trigger.place} of a few words", attack.shift) for attack in exam.attacks]
    parts = [
        f"{what} changes {percent(shift.flipped)} of its decisions"
        for what, shift in named
        if (shift.flipped or 0) > _MOST_FLIPS
    ]
    return f"{exam.router} is unsteady: {'; '.join(parts)}." if parts else ""


def _edits(document: RobustnessDocument) -> Told:
    text = (
        "Share of the decisions that each edit changes, and in brackets what that does to the mean "
        "quality, in points."
    )
    names = [shift.edit for shift in document.routers[0].shifts]
    by_router = [{shift.edit: shift for shift in exam.shifts} for exam in document.routers]
    rows = [
        [name, *(_changed(shifts[name]) if name in shifts else MISSING for shifts in by_router)]
        for name in names
    ]
    heads = ["Edit", *(exam.router for exam in document.routers)]
    return Told("Every edit", text, heads, rows, folded=len(document.routers) > 1)


def _changed(shift: ShiftFacts) -> str:
    return f"{percent(shift.flipped)} ({points(shift.gain.gain)})"


def _triggers(document: RobustnessDocument) -> Told:
    text = (
        "The words that were found on train to send queries to the arm that costs most. Reached is "
        "the share of the test queries that go there with the words, of those that did not without."
    )
    rows: list[list[Cell]] = [
        [exam.router, attack.trigger.place, _short(attack.trigger.text), attack.trigger.target,
         percent(attack.already), percent(attack.success), percent(attack.shift.flipped)]
        for exam in document.routers
        for attack in exam.attacks
    ]  # fmt: skip
    heads = ["Router", "Place", "Words", "Arm", "There already", "Reached", "Decisions changed"]
    return Told("Triggers", text, heads, rows, folded=True)


def _short(text: str) -> str:
    flat = " ".join(text.split())
    if not flat:
        return "none helps"
    return flat if len(flat) <= _SHORTEST else f"{flat[: _SHORTEST - 1]}…"


def _ceilings(facts: CeilingFacts) -> Told:
    text = (
        "What a router could reach at best on the whole table. The oracle picks the best score of "
        "every query, luck included; corrected for noise it knows how good each arm is on each "
        "kind of query, but not how an answer falls out. The truth lies between the two. Where all "
        "arms fail, no router helps."
    )
    notes = []
    if facts.kinds == 1:
        words = "Too few queries to tell kinds of them apart: the corrected oracle is unknown."
        notes.append(Note("info", words))
    rows = [
        ["Queries that every arm answered", count(facts.queries)],
        ["Best single arm", decimal(facts.best_single)],
        ["Oracle, corrected for noise", MISSING if notes else decimal(facts.corrected)],
        ["Oracle", decimal(facts.oracle)],
        ["Luck in the oracle’s gain, at most", MISSING if notes else percent(facts.luck)],
        ["Every arm fails", percent(facts.co_failure)],
        ["The same, if arms failed independently", percent(facts.co_failure_if_independent)],
    ]
    return Told("Ceilings", text, ["Over all queries", "Value"], rows, notes)
