"""`fusionfactory fuse --save`: what a gateway needs for the fused choice, and its settings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from fusionfactory.fuse import Fused

__all__ = ["print_saved", "saved_facts"]


def saved_facts(fused: Fused, folder: Path) -> dict[str, Any]:
    """What was saved where, and the lines of `fusionfactory.toml` that serve it."""
    from fusionfactory.fuse.saved import PLAN_FOLDER, ROUTER_FOLDER

    plans = {name: str(folder / PLAN_FOLDER / name) for name in fused.plans}
    lines = ["[serve.routing]", f"auto = {json.dumps(fused.policy.name)}"]
    for name, path in plans.items():
        lines += ["", "[[serve.plans]]", f"name = {json.dumps(name)}", f"path = {json.dumps(path)}"]
    return {"router": str(folder / ROUTER_FOLDER), "plans": plans, "settings": lines}


def print_saved(where: Console, facts: dict[str, Any], folder: Path) -> None:
    """Where the router and the plans lie, and how a gateway gets them."""
    plans = ", ".join(["all arms", *facts["plans"]])
    text = (
        f"saved in {folder}: a router that chooses among {plans}; fitted on the whole table. "
        f"fusionfactory serve --router {facts['router']} serves it, with these settings:"
    )
    where.print()
    where.print(text, markup=False, soft_wrap=True)
    where.print("\n".join(facts["settings"]), markup=False, highlight=False, soft_wrap=True)
