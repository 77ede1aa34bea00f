"""Selections out, as the training data of other trainers.

A format is a `TrainingFormat`; a plugin adds one through the entry point group
`fusionfactory.training_formats`.
"""

from __future__ import annotations

from fusionfactory.distill.exporting.export import FORMATS, Exported, export
from fusionfactory.distill.exporting.format import TrainingFormat
from fusionfactory.distill.exporting.settings import ExportSettings

__all__ = ["FORMATS", "ExportSettings", "Exported", "TrainingFormat", "export"]
