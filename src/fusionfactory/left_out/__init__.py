"""What a router does where nothing was learnt: on tasks left out, and with arms left out."""

from __future__ import annotations

from fusionfactory.left_out.arms import LABELS, leave_arms_out
from fusionfactory.left_out.tasks import leave_tasks_out, parts_of

__all__ = ["LABELS", "leave_arms_out", "leave_tasks_out", "parts_of"]
