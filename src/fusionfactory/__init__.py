"""FusionFactory turns the log of many LLMs into better and cheaper answers.

    from fusionfactory import OutcomeTable, Policy, make_router

    table = OutcomeTable.read("log.parquet")
    router = make_router("stack").fit(table)
    decision = router.decide(["What is 7 * 8?"], Policy.price(0.001))[0]

The nouns load with the package; routers, encoders and the evaluation load on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fusionfactory.policy import SCENARIOS, Policy
from fusionfactory.table import OutcomeTable
from fusionfactory.types import Arm, Decision, Estimates, Outcome, Query, Score
from fusionfactory.version import __version__

if TYPE_CHECKING:
    from fusionfactory.encoders import make_encoder
    from fusionfactory.evaluation import Evaluation, evaluate
    from fusionfactory.exporters import export_table
    from fusionfactory.importers import import_table
    from fusionfactory.routers import Router, load_router, make_router, save_router
    from fusionfactory.store import Store

__all__ = [
    "SCENARIOS",
    "Arm",
    "Decision",
    "Estimates",
    "Evaluation",
    "Outcome",
    "OutcomeTable",
    "Policy",
    "Query",
    "Router",
    "Score",
    "Store",
    "__version__",
    "evaluate",
    "export_table",
    "import_table",
    "load_router",
    "make_encoder",
    "make_router",
    "save_router",
]

_LATE = {
    "Evaluation": "evaluation",
    "Router": "routers",
    "Store": "store",
    "evaluate": "evaluation",
    "export_table": "exporters",
    "import_table": "importers",
    "load_router": "routers",
    "make_encoder": "encoders",
    "make_router": "routers",
    "save_router": "routers",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401  a class or a function
    if name not in _LATE:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"fusionfactory.{_LATE[name]}"), name)
