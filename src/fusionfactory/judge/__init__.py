"""The LLM judge: grades, repeated grades, comparisons of two answers, and how far to trust them."""

from __future__ import annotations

from fusionfactory.judge.asking import Judge, JudgeSummary
from fusionfactory.judge.battles import PairReport, pair_report
from fusionfactory.judge.concordance import Figure
from fusionfactory.judge.grade import judge
from fusionfactory.judge.pairwise import compare
from fusionfactory.judge.reliability import Agreement, agreement
from fusionfactory.judge.repetition import retest
from fusionfactory.judge.rubric import LEVELS

__all__ = [
    "LEVELS",
    "Agreement",
    "Figure",
    "Judge",
    "JudgeSummary",
    "PairReport",
    "agreement",
    "compare",
    "judge",
    "pair_report",
    "retest",
]
