"""How far judges can be trusted, as tables on a terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from fusionfactory.judge import Agreement, Figure, PairReport

__all__ = ["print_agreement", "print_pairs"]


def print_agreement(where: Console, rows: Sequence[Agreement]) -> None:
    """Every judge against itself and against the metric."""
    for row in rows:
        where.print()
        shares = ", ".join(f"{level:g}: {share:.0%}" for level, share in row.levels.items())
        where.print(f"{_who(row.judge, row.version)}: {row.graded} grades ({shares})", markup=False)
        if row.retest is not None:
            again = row.retest
            where.print(
                f"against itself: {again.n} grades repeated, {again.exact:.1%} the same, mean "
                f"difference {again.mean_difference:.3f}, weighted kappa {_figure(again.kappa)}, "
                f"rank correlation {_number(again.spearman)}"
            )
        if row.metric:
            _print_metric(where, row)


def _print_metric(where: Console, row: Agreement) -> None:
    headings = ("task", "n", "judged right", "right", "accuracy", "kappa", "AUC")
    table = _table("against the metric (95 % intervals over queries)", headings)
    for part in row.metric:
        figures = (part.accuracy, part.kappa, part.auc)
        shares = (f"{part.judged_right:.1%}", f"{part.right:.1%}")
        table.add_row(part.task or "all", str(part.n), *shares, *map(_figure, figures))
    where.print(table, markup=False)


def print_pairs(where: Console, rows: Sequence[PairReport]) -> None:
    """Position bias, wins and ratings of every judge that compared pairs."""
    for row in rows:
        where.print()
        said = f"{_who(row.judge, row.version)}: {row.n} pairs, both ways round"
        if row.half:
            said += f", and {row.half} one way only, which do not count"
        where.print(said, markup=False)
        if not row.n:
            continue
        where.print(
            f"position bias: the two verdicts contradict each other in {row.flipped:.1%} of the "
            f"pairs; the first shown won both times in {row.first:.1%}, the second in "
            f"{row.second:.1%}"
        )
        table = _table("", ("arm", "against", "n", "wins", "ties", "losses", "win rate"))
        for pair in row.battles:
            rate = f"{pair.win_rate:.3f} [{pair.ci95[0]:.3f}, {pair.ci95[1]:.3f}]"
            counts = (pair.n, pair.wins, pair.ties, pair.losses)
            table.add_row(pair.arm, pair.other, *map(str, counts), rate)
        where.print(table, markup=False)
        table = _table("", ("arm", "Elo", "pairs", "win rate"))
        for rating in row.ratings:
            table.add_row(rating.arm, f"{rating.elo:.0f}", str(rating.n), f"{rating.win_rate:.3f}")
        where.print(table, markup=False)


def _table(title: str, headings: Sequence[str]) -> Table:
    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD)
    for heading in headings:
        text = heading in {"task", "arm", "against"}
        table.add_column(heading, justify="left" if text else "right", overflow="fold")
    return table


def _who(judge: str | None, version: str | None) -> str:
    return f"{judge or 'a judge without a name'} ({version or 'no version'})"


def _figure(figure: Figure) -> str:
    if math.isnan(figure.low):
        return _number(figure.value)
    return f"{_number(figure.value)} [{figure.low:.3f}, {figure.high:.3f}]"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
