"""The model level: one model trained on the best answers of all, and made one more arm."""

from __future__ import annotations

from fusionfactory.distill.selection import Example, Message, Pair, Selection

__all__ = ["Example", "Message", "Pair", "Selection"]
