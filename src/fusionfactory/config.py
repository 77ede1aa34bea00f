"""`fusionfactory.toml`: defaults of the command line, checked on reading.

An option counts in the order flag, environment (`FUSIONFACTORY_VERB_OPTION`), this file, default.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fusionfactory.errors import ConfigError

__all__ = ["CONFIG_NAME", "TEMPLATE", "Config", "read_config"]

CONFIG_NAME = "fusionfactory.toml"

TEMPLATE = """\
# FusionFactory settings. A flag on the command line counts before an environment variable
# (FUSIONFACTORY_EVALUATE_SEEDS=3), which counts before this file. Secrets never stand here: name
# the environment variable that holds them.

[evaluate]
# Routers to compare; `fusionfactory evaluate --help` lists them.
router = [
    "stack", "trees", "ridge", "knn", "clusters", "factor", "mlp", "svm", "elo", "task",
    "knn-paper", "svm-paper", "mlp-paper",
]
# Trade-offs: performance, balance, cost, judge, price:USD_PER_POINT, budget:USD_PER_1000_QUERIES,
# each with an optional ,max:USD_PER_QUERY.
scenario = ["performance", "balance", "cost", "judge"]
# Splits to average over.
seeds = 1
# text needs no model; or minilm, static, hashing, st:NAME, endpoint:MODEL@URL, or minilm+text.
encoder = "text"
# Share of the queries that routers are tested on.
test_share = 0.3
# Arms that are scored on a smaller share of the queries are left out.
min_coverage = 0.9

[fit]
router = "stack"
encoder = "text"
seed = 0
# Share of the queries held out to measure the router and what each price of quality spends.
holdout = 0.2

[route]
# A trade-off as above. Unless it is set, a router that was fitted under one policy decides by that,
# any other by performance.
# policy = "balance"
"""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EvaluateSection(_Section):
    """Defaults of `fusionfactory evaluate`."""

    router: tuple[str, ...] | None = None
    scenario: tuple[str, ...] | None = None
    seeds: int | None = Field(default=None, ge=1)
    encoder: str | None = None
    test_share: float | None = Field(default=None, gt=0, lt=1)
    min_coverage: float | None = Field(default=None, ge=0, le=1)


class FitSection(_Section):
    """Defaults of `fusionfactory fit`."""

    router: str | None = None
    encoder: str | None = None
    seed: int | None = None
    holdout: float | None = Field(default=None, ge=0, lt=1)


class RouteSection(_Section):
    """Defaults of `fusionfactory route`."""

    policy: str | None = None


class Config(_Section):
    """The whole file."""

    evaluate: EvaluateSection = EvaluateSection()
    fit: FitSection = FitSection()
    route: RouteSection = RouteSection()

    def default_map(self) -> dict[str, dict[str, Any]]:
        """Verb to the options that the file sets."""
        return self.model_dump(exclude_none=True)


def read_config(path: Path | None = None) -> Config:
    """Reads a settings file.

    Args:
        path: The file; None reads `fusionfactory.toml` in the working directory if it is there.

    Raises:
        ConfigError: The file is missing, no TOML, or holds an unknown or malformed setting.
    """
    if path is None:
        path = Path(CONFIG_NAME)
        if not path.exists():
            return Config()
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        msg = "no such file"
        raise ConfigError(msg, file=path) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(str(error), file=path) from None
    try:
        return Config.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        msg = f"{first['msg']} (got {first['input']!r})"
        raise ConfigError(msg, file=path, field=place) from None
