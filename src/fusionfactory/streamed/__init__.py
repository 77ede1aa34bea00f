"""Fitting and evaluating on tables that memory does not hold."""

from __future__ import annotations

from fusionfactory.streamed.evaluation import STREAMED, evaluate_large
from fusionfactory.streamed.fitting import fit_large
from fusionfactory.streamed.training import SAMPLE_QUERIES, Training

__all__ = ["SAMPLE_QUERIES", "STREAMED", "Training", "evaluate_large", "fit_large"]
