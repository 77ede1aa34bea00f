"""Names to classes, loaded on first use: what ships with the package and what plugins add.

A plugin registers through an entry point, for example in its `pyproject.toml`:

    [project.entry-points."fusionfactory.routers"]
    mine = "my_package.routers:MyRouter"
"""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from fusionfactory.errors import ConfigError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Registry", "split_specs"]

_SETTING = re.compile(r"\s*\w+\s*=")


@dataclass(frozen=True)
class Registry:
    """One kind of plugin.

    Attributes:
        kind: Singular noun for messages, for example `router`.
        builtin: Name to `module:attribute` of what ships with the package.
    """

    kind: str
    builtin: dict[str, str]

    @cached_property
    def _plugins(self) -> dict[str, str]:
        return {entry.name: entry.value for entry in entry_points(group=self.group)}

    @property
    def group(self) -> str:
        """The entry point group, for example `fusionfactory.routers`."""
        return f"fusionfactory.{self.kind}s"

    def names(self) -> list[str]:
        """All names, those of the package first."""
        return [*self.builtin, *(name for name in self._plugins if name not in self.builtin)]

    def load(self, name: str) -> Any:  # noqa: ANN401  a class or a function, by kind
        """Imports what the name stands for.

        Raises:
            UnknownNameError: Nothing of that name is registered.
        """
        target = self.builtin.get(name) or self._plugins.get(name)
        if target is None:
            msg = f"unknown {self.kind} {name!r}; known: {', '.join(self.names())}"
            raise UnknownNameError(msg, field=self.kind)
        module, _, attribute = target.partition(":")
        return getattr(import_module(module), attribute)

    def make(self, spec: str, **params: Any) -> Any:  # noqa: ANN401  an instance, by kind
        """Builds what a specification stands for.

        Args:
            spec: A name, perhaps with settings: `knn:k=20,encoder=minilm`. A value that is JSON is
                read as such, so lists and commas inside them are fine: `vote:voters=["a","b"]`.
            params: Defaults for the parameters that the class has and the spec does not set.

        Raises:
            UnknownNameError: Nothing of that name is registered, or it has no such parameter.
            ConfigError: A parameter that is a number, or true or false, is given something else.
        """
        name, _, settings = spec.partition(":")
        made = self.load(name)
        signature = inspect.signature(made).parameters
        known = {p.name: p.default for p in signature.values() if p.kind is p.KEYWORD_ONLY}
        given = _settings(settings)
        for key, value in given.items():
            if key not in known:
                msg = f"{self.kind} {name!r} has no parameter {key!r}; it has {', '.join(known)}"
                raise UnknownNameError(msg, field=self.kind)
            _check_value(f"{name}:{key}", known[key], value)
        return made(**{k: v for k, v in params.items() if k in known} | given)


def split_specs(text: str) -> list[str]:
    """Specifications between commas: `cascade,vote:most=5,seed=1` are two, the other has settings.

    A comma inside brackets, or before another setting, parts nothing.
    """
    found: list[str] = []
    for part in filter(str.strip, _parts(text)):
        if found and ":" in found[-1] and _SETTING.match(part):
            found[-1] += f",{part.strip()}"
        else:
            found.append(part.strip())
    return found


def _settings(text: str) -> dict[str, Any]:
    """`a=1,b=["x","y"],c=d` as names and values."""
    found = {}
    for part in filter(str.strip, _parts(text)):
        key, _, value = part.partition("=")
        found[key.strip()] = _value(value.strip())
    return found


def _parts(text: str) -> Iterator[str]:
    """What stands between the commas, but for those inside brackets."""
    depth = start = 0
    for place, sign in enumerate(text):
        depth += (sign in "[{") - (sign in "]}")
        if sign == "," and not depth:
            yield text[start:place]
            start = place + 1
    yield text[start:]


def _value(text: str) -> Any:  # noqa: ANN401  a number, a list, or the text itself
    try:
        return json.loads(text)
    except ValueError:
        return text


def _check_value(field: str, default: object, value: object) -> None:
    """Raises ConfigError where a parameter whose default is a number or a truth has another."""
    if isinstance(default, bool) and not isinstance(value, bool):
        msg = f"{value!r} is neither true nor false"
        raise ConfigError(msg, field=field)
    if isinstance(default, int | float) and not isinstance(value, int | float):
        msg = f"{value!r} is no number"
        raise ConfigError(msg, field=field)
