"""FusionFactory turns the log of many LLMs into better and cheaper answers."""

from __future__ import annotations

__version__ = "0.1.0"
