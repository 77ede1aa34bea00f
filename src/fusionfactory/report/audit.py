"""Where the numbers come from: the table, its coverage, the split, and what could have leaked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.report.figures import count, percent, significant
from fusionfactory.report.findings import Note, audit_notes
from fusionfactory.report.markup import Markup, tag

if TYPE_CHECKING:
    from fusionfactory.report.document import Document

__all__ = ["audit", "facts", "note_list"]

_SIGNS = {"ok": "✓", "info": "i", "warn": "!"}
_WORDS = {"ok": "Fine: ", "info": "Note: ", "warn": "Warning: "}
_FULL = 0.9995


def facts(document: Document) -> list[tuple[str, str]]:
    """What was evaluated, as names and values."""
    table, details = document.table, document.details
    rows = [
        ("Queries", count(table.queries)),
        ("Arms", count(table.arms)),
        ("Tasks", count(table.tasks)),
        ("Train / test queries", f"{count(table.train_queries)} / {count(table.test_queries)}"),
        ("Test share", percent(table.test_share)),
        ("Seeds (splits)", count(table.seeds)),
        ("Queries on both sides", count(table.queries_in_train_and_test)),
        ("Near-duplicate queries", count(table.near_duplicate_queries)),
        ("Scored cells", percent(table.observed_share)),
        ("Costs", table.cost_basis or "unknown"),
        ("Encoder", table.encoder or "unknown"),
    ]
    for name, micros in details.encode_us_per_query.items():
        rows.append((f"Encoding with {name}", f"{significant(micros)} µs per query"))
    return [*rows, ("Fingerprint of the table", table.fingerprint or "unknown")]


def audit(document: Document) -> Markup:
    """Remarks, facts, and the share of queries that each arm has a score for."""
    listed = (
        item for name, value in facts(document) for item in (tag("dt", name), tag("dd", value))
    )
    return tag(
        "div",
        note_list(audit_notes(document)),
        tag("div", tag("dl", *listed, class_="facts"), _coverage(document), class_="columns"),
    )


def note_list(remarks: list[Note]) -> Markup | None:
    """Remarks, each with a sign that needs no colour."""
    if not remarks:
        return None
    items = (
        tag(
            "li",
            tag("span", _SIGNS[note.kind], class_="sign", aria_hidden="true"),
            tag("span", tag("span", _WORDS[note.kind], class_="unseen"), note.text),
            class_=f"note {note.kind}",
        )
        for note in remarks
    )
    return tag("ul", *items, class_="notes")


def _coverage(document: Document) -> Markup | None:
    shares = {name: share or 0.0 for name, share in document.table.coverage.items()}
    if not shares:
        return None
    partial = sorted(
        (name for name in shares if shares[name] < _FULL), key=lambda name: shares[name]
    )
    full = len(shares) - len(partial)
    rows = [
        tag(
            "tr",
            tag("th", name, scope="row"),
            tag(
                "td",
                tag("span", tag("i", style=f"width:{100 * shares[name]:.1f}%"), class_="meter"),
            ),
            tag("td", percent(shares[name])),
        )
        for name in partial
    ]
    text = f"{full} of {len(shares)} arms have a score for every query."
    table = tag("table", tag("tbody", *rows), class_="coverage") if rows else None
    return tag("div", tag("h3", "Coverage per arm"), tag("p", text), table)
