"""Where a gateway's settings come from, so that every one of its processes reads the same."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from fusionfactory.config import CONFIG_NAME, read_config
from fusionfactory.gateway.fleet import Fleet

if TYPE_CHECKING:
    from fusionfactory.config import Config
    from fusionfactory.serve_settings import ServeSection

__all__ = ["FIXED", "FileStamp", "Source"]

FIXED = (
    "host", "port", "workers", "state", "max_concurrency", "drain_s", "log_level", "log_prompts",
    "dashboard",
)  # fmt: skip
"""Settings of `[serve]` that count from the next start, not from a reload."""

_VARIABLE = "FUSIONFACTORY_GATEWAY_SOURCE"

FileStamp: TypeAlias = tuple[int, int, int] | None
"""Of the settings file; another one means that it changed; None where there is no file."""


@dataclass(frozen=True)
class Source:
    """A settings file, and what the command line says instead.

    Attributes:
        file: The settings file; None for `fusionfactory.toml` in the working directory, if any.
        given: Of `[serve]`, with `store`: the values of options that were given.
        fixed: Of `[serve]`: what stays as it was at the start, whatever the file says by now.
    """

    file: Path | None = None
    given: dict[str, Any] = field(default_factory=dict)
    fixed: dict[str, Any] = field(default_factory=dict)

    def read(self) -> Config:
        """The settings as they are now.

        Raises:
            ConfigError: They are wrong, or nobody can be asked by them.
            UnsupportedError: A model has an unknown strategy.
        """
        config = self._read()
        Fleet(config)
        return config.model_copy(update={"serve": _changed(config.serve, self.fixed)})

    def started(self, settings: ServeSection) -> Self:
        """The same source for processes that begin or begin again under these settings."""
        return replace(self, fixed=settings.model_dump(mode="json", include=set(FIXED)))

    def postponed(self) -> list[str]:
        """Names of settings that have changed but count from the next start only.

        Raises:
            ConfigError: The settings are wrong.
        """
        now = self._read().serve.model_dump(mode="json", include=set(FIXED))
        return [name for name in FIXED if now[name] != self.fixed.get(name, now[name])]

    def stamp(self) -> FileStamp:
        """Costs one `stat`."""
        try:
            found = (self.file or Path(CONFIG_NAME)).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size

    def environment(self) -> dict[str, str]:
        """Hands it to a process: everybody can read command lines, and it may name a password."""
        return {_VARIABLE: self.to_json()}

    @classmethod
    def inherited(cls) -> Self:
        """What this process was handed; what it starts itself is not."""
        return cls.from_json(os.environ.pop(_VARIABLE))

    def to_json(self) -> str:
        """As text."""
        file = None if self.file is None else str(self.file)
        return json.dumps({"file": file, "given": self.given, "fixed": self.fixed})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` wrote."""
        facts = json.loads(text)
        file = facts.pop("file")
        return cls(None if file is None else Path(file), **facts)

    def _read(self) -> Config:
        config = read_config(self.file)
        given = dict(self.given)
        store = given.pop("store", config.store)
        return config.model_copy(update={"store": store, "serve": _changed(config.serve, given)})


def _changed(settings: ServeSection, values: dict[str, Any]) -> ServeSection:
    return type(settings).model_validate({**settings.model_dump(), **values})
