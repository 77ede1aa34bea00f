"""Answers that are given again to the same question of the same client.

An answer may be given again where the client asks for the same one each time: by `temperature: 0`,
which every client can say, so that no header of our own is needed; embeddings always are. The same
question is the same request, but for what cannot change the answer. A promoted router or changed
settings do not empty the cache: `ttl_s` says how long an answer may stand.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fusionfactory.policy import Policy
    from fusionfactory.serve_settings import CacheSettings

__all__ = ["AnswerCache"]

_BYTES = 64 * 2**20
_IRRELEVANT = frozenset({
    "metadata", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "service_tier",
    "store", "stream", "stream_options", "user",
})  # fmt: skip
_ALWAYS_THE_SAME = "embeddings"


class AnswerCache:
    """The answers of one worker; those that were asked for longest ago make room.

    Args:
        settings: How many are kept, and how long; none where `entries` is 0.
        most_bytes: What they may hold together, as JSON.
        clock: Seconds.
    """

    def __init__(
        self,
        settings: CacheSettings,
        *,
        most_bytes: int = _BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._most_bytes, self._clock = settings, most_bytes, clock
        self._answers: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self.bytes = 0
        """What the answers hold together."""

    def __len__(self) -> int:
        return len(self._answers)

    def key(
        self, client: str | None, path: str, body: Mapping[str, Any], policy: Policy | None = None
    ) -> str | None:
        """What the answer is kept under; None where it may not be given again.

        Args:
            client: Whose request it is: nobody gets what another was answered.
            path: What is asked: `chat/completions`, `embeddings`, ...
            body: Of the request.
            policy: The trade-off, where the client chose one.
        """
        if not self._settings.entries:
            return None
        temperature = body.get("temperature")
        if path != _ALWAYS_THE_SAME and (temperature is None or temperature != 0):
            return None
        asked = {name: value for name, value in body.items() if name not in _IRRELEVANT}
        whole = [client, path, repr(policy), asked]
        return sha256(orjson.dumps(whole, option=orjson.OPT_SORT_KEYS)).hexdigest()

    def get(self, key: str) -> dict[str, Any] | None:
        """The answer, a copy of its own for every caller; None where there is none, or no more."""
        found = self._answers.get(key)
        if found is None:
            return None
        until, answer = found
        if self._clock() >= until:
            self._drop(key)
            return None
        self._answers.move_to_end(key)
        document: dict[str, Any] = orjson.loads(answer)
        return document

    def put(self, key: str, answer: Mapping[str, Any]) -> None:
        """Keeps an answer, unless it would take more room than there is."""
        content = orjson.dumps(answer)
        if len(content) > self._most_bytes:
            return
        if key in self._answers:
            self._drop(key)
        self._answers[key] = (self._clock() + self._settings.ttl_s, content)
        self.bytes += len(content)
        while len(self._answers) > self._settings.entries or self.bytes > self._most_bytes:
            self._drop(next(iter(self._answers)))

    def _drop(self, key: str) -> None:
        _, content = self._answers.pop(key)
        self.bytes -= len(content)
