"""A student becomes one more model of the settings."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from fusionfactory.atomic import write_atomically
from fusionfactory.config import ModelSettings, read_config
from fusionfactory.distill.selection import LABEL_ARM
from fusionfactory.distill.settings_block import model_block
from fusionfactory.distill.training.record import StudentRecord
from fusionfactory.distill.training.student import BASE
from fusionfactory.errors import ConfigError, DistillError
from fusionfactory.types import Arm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.config import Config

__all__ = ["describe_student", "register", "student_settings"]

_NAMED_SOURCES = 3
_COPIED = (
    "strategies", "input_price", "output_price", "price_as", "params", "strategy_params",
    "threads", "context_tokens",
)  # fmt: skip


def student_settings(
    student: Path,
    name: str,
    config: Config,
    *,
    like: str | None = None,
    endpoint: str | None = None,
    strategies: Sequence[str] = (),
    input_price: float | None = None,
    output_price: float | None = None,
    description: str | None = None,
    untrained: bool = False,
) -> ModelSettings:
    """The settings of a student: those of the model it was made of, unless told otherwise.

    Args:
        student: Its folder. The path is written as it is given: paths in the settings count from
            the working directory.
        name: What the model is to be called.
        config: The settings there are.
        like: Name of the model whose strategies, prices and parameters are copied; without it the
            model with the base's file, if there is one.
        endpoint: Where the student is served; without it the student's GGUF file is run here.
        strategies: How it is to be asked.
        input_price: USD per million tokens.
        output_price: USD per million tokens.
        description: For routers that read it; made from the student's record by default.
        untrained: Settings of the base as it was: see `write_untrained`.

    Raises:
        DistillError: The folder holds no finished student, or nothing that can be run here.
        ConfigError: The name is taken, `like` or `endpoint` is not in the settings, or a setting is
            none that a model can have.
        InputError: The name cannot be one of a model.
    """
    record = StudentRecord.load(student)
    Arm(name)
    if name in (taken := [model.name for model in config.models]):
        msg = f"the settings have a model {name!r} already, of {', '.join(taken)}: "
        msg += "give the student another name"
        raise ConfigError(msg, field="name")
    base = _model(config, like) if like is not None else _base_model(config, record)
    copied = {} if base is None else {key: getattr(base, key) for key in _COPIED}
    describe = _describe_base if untrained else describe_student
    given: dict[str, Any] = {
        "strategies": tuple(strategies) or None,
        "input_price": input_price,
        "output_price": output_price,
    }
    place = _place(student, record, config, endpoint, untrained=untrained)
    try:
        return ModelSettings(
            name=name,
            **place,
            **copied | {key: value for key, value in given.items() if value is not None},
            description=description or describe(record),
        )
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or None
        raise ConfigError(first["msg"], field=field) from None


def register(settings: ModelSettings, path: Path) -> str:
    """Adds a model to a settings file, at its end; nothing that is there changes.

    Returns:
        The block that was added.

    Raises:
        ConfigError: There is no such file, or it could not be read with the block.
    """
    if not path.is_file():
        msg = "no such file: make it by `fusionfactory init`"
        raise ConfigError(msg, file=path)
    path = path.resolve()
    before = path.read_bytes()
    block = model_block(settings)
    end = "\r\n" if b"\r\n" in before else "\n"
    gap = "" if not before else "\n" if before.endswith(b"\n") else "\n\n"
    added = (gap + block).replace("\n", end).encode("utf-8")

    def write(to: Path) -> None:
        to.write_bytes(before + added)
        shutil.copymode(path, to)
        try:
            read_config(to)
        except ConfigError as error:
            msg = f"no block [[models]] can follow what is there ({error.message}): add it by hand"
            raise ConfigError(msg, file=path) from None

    write_atomically(path, write)
    return block


def describe_student(record: StudentRecord) -> str:
    """What a student is, in a sentence."""
    if record.data.sources.keys() == {LABEL_ARM}:
        return f"{record.base.name} fine-tuned on {record.data.sources[LABEL_ARM]} labels alone"
    sources = sorted(record.data.sources.items(), key=lambda item: (-item[1], item[0]))
    named = [f"{count} of {arm}" for arm, count in sources[:_NAMED_SOURCES]]
    if others := sum(count for _, count in sources[_NAMED_SOURCES:]):
        named.append(f"{others} of others")
    how = "preferences" if record.method == "dpo" else "answers"
    text = f"{record.base.name} fine-tuned on {sum(record.data.sources.values())} {how} "
    text += f"chosen by {record.data.criterion}"
    return f"{text}: {', '.join(named)}" if named else text


def _describe_base(record: StudentRecord) -> str:
    return f"{record.base.name} before any training, stored as its students are"


def _place(
    student: Path, record: StudentRecord, config: Config, endpoint: str | None, *, untrained: bool
) -> dict[str, Any]:
    if endpoint is not None:
        if endpoint not in (known := [item.name for item in config.endpoints]):
            msg = f"no endpoint {endpoint!r} in the settings; known: {', '.join(known) or 'none'}"
            raise ConfigError(msg, field="endpoint")
        return {"endpoint": endpoint}
    if record.files.gguf is None:
        msg = "the student has no GGUF file to run here: serve it, and name the endpoint"
        raise DistillError(msg, file=student)
    return {"gguf": student / (BASE if untrained else record.files.gguf)}


def _model(config: Config, name: str) -> ModelSettings:
    for model in config.models:
        if model.name == name:
            return model
    known = ", ".join(model.name for model in config.models) or "none"
    msg = f"no model {name!r} in the settings; known: {known}"
    raise ConfigError(msg, field="like")


def _base_model(config: Config, record: StudentRecord) -> ModelSettings | None:
    base = record.base.path
    for model in config.models:
        if model.gguf is not None and model.gguf.resolve() == Path(base).resolve():
            return model
        if model.gguf is None and (model.model or model.name) in {base, record.base.name}:
            return model
    return None
