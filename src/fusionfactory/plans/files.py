"""A plan on disk: `plan.json` and `plan.safetensors`; see `fusionfactory.sealed`."""

from __future__ import annotations

from pathlib import Path

from fusionfactory.errors import RouterFileError
from fusionfactory.estimator import Estimator
from fusionfactory.plans.base import Plan
from fusionfactory.sealed import SealedState

__all__ = ["SCHEMA_VERSION", "check_directory", "load_plan", "save_plan"]

SCHEMA_VERSION = 2
_FILES = SealedState("plan", SCHEMA_VERSION, RouterFileError)


def save_plan(plan: Plan, directory: str | Path) -> None:
    """Writes a fitted plan; an older one in the directory is replaced.

    Raises:
        NotFittedError: Before `fit`.
        RouterFileError: The directory holds something other than a plan.
    """
    plan.check_fitted()
    directory = Path(directory).resolve()
    check_directory(directory)
    state, tensors = plan.state()
    content = {
        "plan": plan.name,
        "arms": [arm.name for arm in plan.arms_],
        "table_fingerprint": plan.fingerprint_,
        "metrics": plan.metrics_,
        "state": state,
    }
    _FILES.write(directory, content, tensors)


def check_directory(directory: Path) -> None:
    """Raises RouterFileError where a plan may not be written: what is there is no plan."""
    _FILES.check_place(directory)


def load_plan(directory: str | Path, *, network: bool = False) -> Plan:
    """Reads a plan that `save_plan` wrote.

    Args:
        directory: Where it was saved.
        network: Whether its encoder may send queries to the endpoint that it names.

    Raises:
        RouterFileError: A file is missing, damaged, changed, of another version, or wants the
            network without leave.
    """
    directory = Path(directory)
    manifest, tensors = _FILES.read(directory, network=network)
    plan = Estimator.from_state(manifest.get("state"), tensors)
    if not isinstance(plan, Plan):
        msg = f"holds a {type(plan).__name__}, not a plan"
        raise RouterFileError(msg, file=directory / _FILES.manifest)
    return plan
