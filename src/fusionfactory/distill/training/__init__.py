"""From a selection and a base to a student: LoRA by TRL and PEFT, on a CPU or a GPU."""

from __future__ import annotations

from fusionfactory.distill.training.progress import Progress
from fusionfactory.distill.training.record import StudentRecord
from fusionfactory.distill.training.settings import TrainSettings
from fusionfactory.distill.training.train import Trained, train

__all__ = ["Progress", "StudentRecord", "TrainSettings", "Trained", "train"]
