"""Where a gateway's settings come from, so that every one of its processes reads the same."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from fusionfactory.config import CONFIG_NAME, read_config
from fusionfactory.gateway.fleet import Fleet

if TYPE_CHECKING:
    from fusionfactory.config import Config

__all__ = ["FIXED", "FileStamp", "Source"]

FIXED = (
    "host", "port", "workers", "state", "max_concurrency", "drain_s", "log_level", "log_prompts",
    "dashboard",
)  # fmt: skip
"""Settings of `[serve]` that count from the next start, not from a reload."""

FileStamp: TypeAlias = tuple[int, int, int] | None
"""Of the settings file; another one means that it changed; None where there is no file."""


@dataclass(frozen=True)
class Source:
    """A settings file, and what the command line says instead.

    Attributes:
        file: The settings file; None for `fusionfactory.toml` in the working directory, if any.
        given: Of `[serve]`, with `store`: the values of options that were given.
    """

    file: Path | None = None
    given: dict[str, Any] = field(default_factory=dict)

    def read(self) -> Config:
        """The settings as they are now.

        Raises:
            ConfigError: They are wrong, or nobody can be asked by them.
            UnsupportedError: A model has an unknown strategy.
        """
        config = read_config(self.file)
        given = dict(self.given)
        store = given.pop("store", config.store)
        serve = type(config.serve).model_validate({**config.serve.model_dump(), **given})
        config = config.model_copy(update={"store": store, "serve": serve})
        Fleet(config)
        return config

    def stamp(self) -> FileStamp:
        """Costs one `stat`."""
        try:
            found = (self.file or Path(CONFIG_NAME)).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size

    def to_json(self) -> str:
        """For the command line of a process."""
        return json.dumps({"file": None if self.file is None else str(self.file)} | self.given)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` wrote."""
        given = json.loads(text)
        file = given.pop("file")
        return cls(None if file is None else Path(file), given)
