"""The model level: one model trained on the best answers of all, and made one more arm."""

from __future__ import annotations

from fusionfactory.distill.comparison import compare_students
from fusionfactory.distill.exporting.export import export
from fusionfactory.distill.router_arm import join_router
from fusionfactory.distill.selecting.select import select
from fusionfactory.distill.selecting.settings import (
    ContaminationSettings,
    PairSettings,
    SelectSettings,
)
from fusionfactory.distill.selection import Example, Message, Pair, Selection
from fusionfactory.distill.serving import serve_commands
from fusionfactory.distill.training.forecast import forecast
from fusionfactory.distill.training.record import StudentRecord
from fusionfactory.distill.training.settings import TrainSettings
from fusionfactory.distill.training.train import Trained, train

__all__ = [
    "ContaminationSettings",
    "Example",
    "Message",
    "Pair",
    "PairSettings",
    "SelectSettings",
    "Selection",
    "StudentRecord",
    "TrainSettings",
    "Trained",
    "compare_students",
    "export",
    "forecast",
    "join_router",
    "select",
    "serve_commands",
    "train",
]
