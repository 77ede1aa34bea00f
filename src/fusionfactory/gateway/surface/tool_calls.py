"""Tool calls in a stream: every call has an index of its own, and is named once."""

from __future__ import annotations

from typing import Any

from fusionfactory.gateway.log.record import new_id

__all__ = ["ToolCalls"]


class ToolCalls:
    """The tool calls of one choice.

    Some endpoints leave the index out, or say 0 for each of several calls; some name a call in each
    of its pieces, which clients then join to nonsense.
    """

    def __init__(self) -> None:
        self._by_id: dict[str, int] = {}
        self._by_index: dict[int, int] = {}
        self._used: set[int] = set()
        self._named: set[int] = set()
        self._last = 0

    def mend(self, calls: list[Any]) -> None:
        """Gives the pieces of a chunk their indexes, in place."""
        for call in calls:
            if type(call) is dict:
                self._mend(call)

    def _mend(self, call: dict[str, Any]) -> None:
        function = call.get("function")
        name = function.get("name") if isinstance(function, dict) else None
        index = self._known(call.get("id") or None, call.get("index"), is_named=bool(name))
        if index is None:
            index = self._begin(call)
        else:
            call.pop("id", None)
            call.pop("type", None)
            if isinstance(function, dict) and index in self._named:
                function.pop("name", None)
        call["index"] = self._last = index
        if name:
            self._named.add(index)

    def _known(self, id_: object, given: object, *, is_named: bool) -> int | None:
        """The index of a call that has begun; None for a new one."""
        if isinstance(id_, str):
            return self._by_id.get(id_)
        known = self._by_index.get(given) if type(given) is int else self._last
        is_other = is_named and known in self._named
        return None if is_other or known not in self._used else known

    def _begin(self, call: dict[str, Any]) -> int:
        given = call.get("index")
        index = given if type(given) is int and given >= 0 else -1
        if index < 0 or index in self._used:
            index = max(self._used, default=-1) + 1
        if type(given) is int:
            self._by_index[given] = index
        if not isinstance(call.get("id"), str) or not call["id"]:
            call["id"] = new_id("call")
        call.setdefault("type", "function")
        self._by_id[call["id"]] = index
        self._used.add(index)
        return index
