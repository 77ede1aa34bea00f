"""The thought level: templates from the best past answers, put into the prompts they help."""

from __future__ import annotations

__all__: list[str] = []
