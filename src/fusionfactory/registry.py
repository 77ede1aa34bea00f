"""Names to classes, loaded on first use: what ships with the package and what plugins add.

A plugin registers through an entry point, for example in its `pyproject.toml`:

    [project.entry-points."fusionfactory.routers"]
    mine = "my_package.routers:MyRouter"
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from fusionfactory.errors import UnknownNameError

__all__ = ["Registry"]


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
