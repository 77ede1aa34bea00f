"""Writing templates: from which answers, by whom, what of a reply is kept, and the bank."""

from __future__ import annotations

__all__: list[str] = []
