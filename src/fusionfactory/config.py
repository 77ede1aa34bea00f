"""`fusionfactory.toml`: defaults of the command line, checked on reading.

An option counts in the order flag, environment (`FUSIONFACTORY_VERB_OPTION`), this file, default.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from fusionfactory.endpoints import check_url
from fusionfactory.errors import ConfigError, InputError
from fusionfactory.serve_settings import ServeSection

__all__ = [
    "CONFIG_NAME",
    "Config",
    "DistillSection",
    "EndpointSettings",
    "ModelSettings",
    "ScaleSection",
    "TaskSettings",
    "ThinkSection",
    "read_config",
]

CONFIG_NAME = "fusionfactory.toml"

_STORE_VERBS = ("collect", "score", "judge", "serve", "learn", "promote")
_ENGINE_VERBS = ("collect", "score", "judge", "evaluate")
_GROUPED_STORE_VERBS = (
    ("think", "build"), ("think", "evaluate"), ("distill", "select"), ("distill", "evaluate"),
)  # fmt: skip
_DISTILL_VERBS = {
    "select": {
        "before": "student", "criterion": "criterion", "top_k": "top_k",
        "source_arm": "source_arms", "strategy": "strategy",
    },
    "train": {"base": "base"},
    "evaluate": {
        "before": "before", "control": "control", "recommended": "recommended",
        "strategy": "strategy",
    },
}  # fmt: skip
_THINK_VERBS = {
    "build": {"bank", "writer", "criterion", "source_arm", "budget_usd"},
    "index": {"bank", "encoder", "allow_endpoint"},
    "apply": {"bank", "strategy", "token_budget", "allow_endpoint"},
    "evaluate": {"bank", "allow_endpoint"},
}
_SECRET_FIELDS = {"api_key_env", "base_url"}


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


class EndpointSettings(_Section):
    """An OpenAI-compatible endpoint. Holds the name of the key's variable, never the key."""

    name: str = Field(min_length=1)
    base_url: str
    api_key_env: str = "OPENAI_API_KEY"
    concurrency: int = Field(default=16, ge=1)
    requests_per_minute: float | None = Field(default=None, gt=0)
    tokens_per_minute: float | None = Field(default=None, gt=0)
    timeout_s: float = Field(default=120.0, gt=0)
    retries: int = Field(default=5, ge=0)
    backoff_s: float = Field(default=0.5, ge=0)
    provider: str | None = None

    @field_validator("api_key_env")
    @classmethod
    def _name_of_a_variable(cls, value: str) -> str:
        if value and not (value.isidentifier() and value.isascii()):
            msg = "expected the name of an environment variable that holds the key, not the key"
            raise ValueError(msg)
        return value

    @field_validator("base_url")
    @classmethod
    def _plain_url(cls, value: str) -> str:
        try:
            check_url(value)
        except InputError as error:
            raise ValueError(error.message) from None
        return value


class ModelSettings(_Section):
    """A model, at an endpoint or in a GGUF file, and how it is asked.

    Attributes:
        name: In arms and logs, and what clients of the gateway ask for.
        endpoint: Name of where it is asked; or else `gguf`.
        gguf: File of the weights; the model runs here.
        model: Its name at the endpoint; None for `name`.
        price_as: Its name in the price list; None for that at the endpoint.
        strategies: How it is asked; each is an arm.
        input_price: USD per million tokens of prompts; None for the price list's.
        output_price: USD per million tokens of answers; likewise.
        description: What routers that read descriptions know of it.
        params: Fields of every request, as far as a client of the gateway leaves them open.
        strategy_params: Likewise, of one strategy; these count before `params`.
        logprobs: For `collect` and for plans: ask for the log-probabilities of the answer's tokens.
        threads: Of a GGUF file: for one call.
        context_tokens: Of a GGUF file: longest prompt and answer together.
        window_tokens: For the gateway: longest prompt and answer together; None for
            `context_tokens` of a GGUF file, and for any length at an endpoint.
        can: For the gateway: all that it can beyond plain text; None for everything.
        embeds: For the gateway: it serves `/v1/embeddings`, and no chats by `auto`.
    """

    name: str = Field(min_length=1)
    endpoint: str | None = None
    gguf: Path | None = None
    model: str | None = None
    price_as: str | None = None
    strategies: tuple[str, ...] = ("direct",)
    input_price: float | None = Field(default=None, ge=0)
    output_price: float | None = Field(default=None, ge=0)
    description: str | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    strategy_params: dict[str, dict[str, Any]] = Field(default_factory=dict)
    logprobs: bool = False
    threads: int = Field(default=2, ge=1)
    context_tokens: int = Field(default=4096, ge=256)
    window_tokens: int | None = Field(default=None, ge=256)
    can: tuple[Literal["tools", "images", "json", "logprobs", "n"], ...] | None = None
    embeds: bool = False

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.endpoint is None) == (self.gguf is None):
            msg = f"the model {self.name!r} needs either `endpoint` or `gguf`"
            raise ValueError(msg)
        twice = next((s for s in self.strategies if self.strategies.count(s) > 1), None)
        if twice is not None:
            msg = f"the model {self.name!r} has the strategy {twice!r} twice"
            raise ValueError(msg)
        return self


class TaskSettings(_Section):
    """A known task with its source, or, where `metric` is set, a user's own questions."""

    name: str = Field(min_length=1)
    source: str = "package"
    test_source: str | None = None
    train: int | None = Field(default=None, ge=0)
    test: int | None = Field(default=None, ge=0)
    metric: str | None = None
    path: Path | None = None
    question: str = "question"
    target: str = "target"
    id: str | None = None
    domain: str = "own"
    instruction: str = ""
    description: str = ""

    @model_validator(mode="after")
    def _own_or_known(self) -> Self:
        if (self.metric is None) != (self.path is None):
            msg = (
                f"the task {self.name!r} is your own with both `path` and `metric`, or a known one"
            )
            raise ValueError(msg)
        return self


class CollectSection(_Section):
    """Defaults of `fusionfactory collect`."""

    train: int | None = Field(default=None, ge=0)
    test: int | None = Field(default=None, ge=0)
    seed: int | None = Field(default=None, ge=0)
    samples: int | None = Field(default=None, ge=1)
    budget_usd: float | None = Field(default=None, gt=0)


class JudgeSection(_Section):
    """Defaults of `fusionfactory judge`."""

    model: str | None = None
    budget_usd: float | None = Field(default=None, gt=0)


class ThinkSection(_Section):
    """Defaults of `fusionfactory think`, and where `fusionfactory collect` finds templates."""

    bank: Path | None = None
    writer: str | None = None
    criterion: tuple[Literal["performance", "judge", "hybrid"], ...] | None = None
    source_arm: tuple[str, ...] | None = None
    encoder: str | None = None
    strategy: str | None = None
    token_budget: int | None = Field(default=None, ge=1)
    budget_usd: float | None = Field(default=None, gt=0)
    allow_endpoint: bool | None = None

    def options(self) -> dict[str, dict[str, Any]]:
        """Sub-verb to the options that the section sets."""
        return {
            verb: self.model_dump(include=names, exclude_none=True)
            for verb, names in _THINK_VERBS.items()
        }

    def prompting(self) -> dict[str, Any]:
        """What `Prompter.load` is told beside the bank."""
        told = self.model_dump(include={"token_budget"}, exclude_none=True)
        return told | {"network": bool(self.allow_endpoint)}


class DistillSection(_Section):
    """Defaults of `fusionfactory distill`."""

    before: str | None = None
    base: str | None = None
    criterion: Literal["best", "performance", "judge", "hybrid", "label"] | None = None
    top_k: int | None = Field(default=None, ge=1)
    source_arm: tuple[str, ...] | None = None
    strategy: str | None = None
    control: str | None = None
    recommended: str | None = None

    def options(self) -> dict[str, dict[str, Any]]:
        """Sub-verb to the options that the section sets."""
        told = self.model_dump(exclude_none=True)
        return {
            verb: {option: told[name] for name, option in names.items() if name in told}
            for verb, names in _DISTILL_VERBS.items()
        }


class ScaleSection(_Section):
    """Where batch work runs, and how much of it at a time.

    Attributes:
        engine: `local`, or `ray` for a Ray cluster.
        address: Of the cluster that this machine belongs to: `auto`, or `host:port` where it is in
            several; None starts one on this machine for as long as the verb runs.
        workers: Processes that work at a time; None for one per two CPUs of the cluster.
        shards: Folder, or URL of a bucket, where work is laid out in Parquet: every node has to
            reach it; None for a folder beside the store, which serves a single machine.
        shard_rows: Rows of a shard at most.
    """

    engine: Literal["local", "ray"] = "local"
    address: str | None = None
    workers: int | None = Field(default=None, ge=1)
    shards: str | None = None
    shard_rows: int = Field(default=1_000, ge=1)


class Config(_Section):
    """The whole file."""

    store: str | None = None
    endpoints: tuple[EndpointSettings, ...] = ()
    models: tuple[ModelSettings, ...] = ()
    tasks: tuple[TaskSettings, ...] = ()
    collect: CollectSection = CollectSection()
    judge: JudgeSection = JudgeSection()
    think: ThinkSection = ThinkSection()
    distill: DistillSection = DistillSection()
    evaluate: EvaluateSection = EvaluateSection()
    fit: FitSection = FitSection()
    route: RouteSection = RouteSection()
    serve: ServeSection = ServeSection()
    scale: ScaleSection = ScaleSection()

    def default_map(self) -> dict[str, dict[str, Any]]:
        """Verb to the options that the file sets."""
        verbs = {name: section for name, section in self if isinstance(section, _Section)}
        del verbs["scale"]
        options = {name: section.model_dump(exclude_none=True) for name, section in verbs.items()}
        options["think"] = self.think.options()
        options["distill"] = self.distill.options()
        options["serve"] = self.serve.options()
        if self.store is not None:
            grouped = [options[group][verb] for group, verb in _GROUPED_STORE_VERBS]
            for section in [options.setdefault(verb, {}) for verb in _STORE_VERBS] + grouped:
                section["store"] = self.store
        if "engine" in self.scale.model_fields_set:
            engaged = [options.setdefault(verb, {}) for verb in _ENGINE_VERBS]
            for section in [*engaged, options["think"]["build"]]:
                section["engine"] = self.scale.engine
        return options


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
        # What is unknown may be a secret, such as `api_key = "sk-..."`, and a table may hold one.
        secret = first["type"] == "extra_forbidden" or first["loc"][-1] in _SECRET_FIELDS
        shown = not secret and not isinstance(first["input"], dict)
        msg = f"{first['msg']} (got {first['input']!r})" if shown else first["msg"]
        raise ConfigError(msg, file=path, field=place) from None
