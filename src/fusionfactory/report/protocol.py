"""How the numbers came about, in words."""

from __future__ import annotations

__all__ = ["BASELINES", "DISTILL_TITLE", "FUSE_TITLE", "LEFT_OUT", "PROTOCOL", "ROBUSTNESS",
           "THOUGHTS_TITLE", "TITLE"]  # fmt: skip

TITLE = "Routing report"
THOUGHTS_TITLE = "Thought templates report"
DISTILL_TITLE = "Distillation report"
FUSE_TITLE = "Fusion report"
ROBUSTNESS = "How steady decisions are"
LEFT_OUT = "What was left out of training"

PROTOCOL = (
    "Queries are split at random, by seed, into a train and a test side; a near-duplicate stays on "
    "the side of its original. Routers are fitted on the train side, which is also where the best "
    "single arm, the best arm per task, the mixtures of the Zero router and the scaling of quality "
    "and cost are chosen. Every figure is a mean over the test side, averaged over seeds. An "
    "interval is a 95 % bootstrap interval of the paired difference to the best single arm: the "
    "same queries are drawn for both, near-duplicates together, over all seeds. A verdict says "
    "significantly better or worse where that interval leaves out 0. Cells without a score are "
    "left out, never counted as 0."
)

BASELINES = {
    "best_single": "The arm with the best mean quality on train, for every query: the yardstick.",
    "task_best": "Per true task label the arm with the best reward on train.",
    "random": "An arm at random for every query.",
    "cheapest": "The cheapest arm for every query.",
    "dearest": "The dearest arm for every query.",
    "zero": "The best mixture of arms that does not look at the query (RouterBench).",
    "oracle": "Per query the arm that turned out best; no router can do better.",
}
