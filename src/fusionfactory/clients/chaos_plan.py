"""What goes wrong at the chaos endpoint, and what it answers: by a seed and the request alone."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fusionfactory.clients.chaos_stream import LATE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fusionfactory.clients.base import Message
    from fusionfactory.clients.chaos_stream import Progress

__all__ = ["FATAL", "LATE", "TRANSIENT", "Chaos", "request_key"]

TRANSIENT = ("429", "500", "hang", "reset", "malformed", "html")
"""Faults that a request meets first: too many requests, an error, silence, a cut, no JSON, HTML."""

FATAL = ("500", "malformed", "empty", "400")
"""Faults that a request meets every time."""

_WORDS = (
    "amber",
    "birch",
    "cedar",
    "dune",
    "ember",
    "fjord",
    "grove",
    "heath",
    "île",
    "джаз",
    "水",
)


@dataclass(frozen=True, slots=True)
class Chaos:
    """What goes wrong, and how often.

    Attributes:
        seed: Of everything.
        faults: Share of the requests that meet transient faults before they succeed.
        fatal: Share of the requests that never succeed.
        most_faults: Transient faults in a row at most; a client with as many retries gets through.
        latency_s: Seconds before a good answer.
        hang_s: Seconds of silence; longer than the client's timeout.
        retry_after_s: What a 429 asks for.
        models: What `/v1/models` lists.
        streams: Whether it streams; a collector never asks for that.
        late: Share of the streams that meet one of `LATE` after their first word, the first time
            that they would go well.
        drip_s: Seconds between the pieces of a slow stream.
        prices: USD per million input and output tokens; None for a log without costs.
    """

    seed: int = 0
    faults: float = 0.4
    fatal: float = 0.1
    most_faults: int = 3
    latency_s: float = 0.0
    hang_s: float = 3600.0
    retry_after_s: float = 0.05
    models: Sequence[str] = ("chaos-small", "chaos-large")
    streams: bool = False
    late: float = 0.0
    drip_s: float = 0.05
    prices: tuple[float, float] | None = None

    def behaviour(self, key: str, attempt: int) -> str:
        """What the attempt (from 1) of a request meets: `ok`, or one of `TRANSIENT` or `FATAL`."""
        first, second, *rest = self._digest(key)
        if first < self.fatal:
            return FATAL[int(second * len(FATAL))]
        if first < self.fatal + self.faults and attempt <= 1 + int(second * self.most_faults):
            return TRANSIENT[int(rest[attempt % len(rest)] * len(TRANSIENT))]
        return "ok"

    def late_behaviour(self, key: str) -> str | None:
        """What the stream of a request meets after its first word, once; None for nothing."""
        first, second, *_ = self._digest(f"{key}:stream")
        return LATE[int(second * len(LATE))] if first < self.late else None

    def cost_usd(self, answer: Mapping[str, Any], progress: Progress) -> float:
        """What an answer costs as far as it was sent: its prompt, and the part that was written."""
        if self.prices is None or not (progress.share or progress.complete):
            return 0.0
        sent, received = answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]
        share = 1.0 if progress.complete else progress.share
        return float(sent * self.prices[0] + received * share * self.prices[1]) / 1e6

    def answer(self, key: str, model: str) -> dict[str, Any]:
        """The chat completion of a request."""
        parts = self._digest(key)
        text = " ".join(_WORDS[int(part * len(_WORDS))] for part in parts)
        return self._completion(key, model, text)

    def empty(self, key: str, model: str) -> dict[str, Any]:
        """A chat completion that was paid for and says nothing."""
        return self._completion(key, model, "")

    def _completion(self, key: str, model: str, text: str) -> dict[str, Any]:
        sent, received = (1 + int(part * 500) for part in self._digest(key)[-2:])
        message = {"role": "assistant", "content": text}
        return {
            "id": f"chatcmpl-{key[:24]}",
            "object": "chat.completion",
            "created": 0,
            "model": model,
            "choices": [
                {"index": 0, "message": message, "finish_reason": "stop" if text else "length"}
            ],
            "usage": {
                "prompt_tokens": sent,
                "completion_tokens": received,
                "total_tokens": sent + received,
            },
        }

    def _digest(self, key: str) -> list[float]:
        """Eight numbers in [0, 1) that hang on seed and key."""
        digest = hashlib.sha256(f"{self.seed}:{key}".encode()).digest()
        return [int.from_bytes(digest[i : i + 4], "big") / 2**32 for i in range(0, 32, 4)]


def request_key(model: str, messages: Sequence[Message]) -> str:
    """SHA-256 of what a request asks, in hexadecimal."""
    return hashlib.sha256(json.dumps([model, messages], sort_keys=True).encode()).hexdigest()
