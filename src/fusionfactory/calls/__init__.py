"""Many paid calls: concurrent per endpoint, within a budget, each answer durable before it counts.

The collector and the judge differ only in what they ask and what they make of an answer: both hand
their calls to a `Runner`, with a sink that writes a batch of answers to the store. Answers are
written as they come, so that a killed run loses only what no sink had returned for. `run_calls` is
the runner of one process; `scale.calls` has the one of a Ray cluster.
"""

from __future__ import annotations

from fusionfactory.calls.base import Answer, Call, Progress, Runner, Summary
from fusionfactory.calls.run import run_calls

__all__ = ["Answer", "Call", "Progress", "Runner", "Summary", "run_calls"]
