"""`POST /v1/feedback`: what a client says of an answer that it got."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from fusionfactory.gateway.dashboard.decisions import find_decision
from fusionfactory.gateway.dashboard.recent import Recent
from fusionfactory.gateway.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fusionfactory.gateway.surface.exchange import Exchange

__all__ = ["Feedback"]

_THUMBS = {"up": 1.0, "down": 0.0}
_UNKNOWN, _BAD, _NOT_KEPT = 404, 400, 503


class Feedback:
    """Takes `{"id", "score"}`, `{"id", "thumbs"}` or `{"id", "target"}`.

    `id` is the answer's `x-request-id`. A `score` lies in [0, 1], `thumbs` are `up` or `down`, and
    `target` is what the answer should have said; a score may stand beside a target. The last score
    and the last target of a request count; one that is sent again changes nothing. They become the
    answer's `performance` and the query's target, which routers learn from.
    """

    def __init__(self) -> None:
        self._recent = Recent()

    async def __call__(self, exchange: Exchange) -> None:
        """Answers a request.

        Raises:
            Refusal: 401: no good key. 400: nothing is said, or what cannot be. 404: there is no
                such request of this key; another key's is not told from one that never was. 503:
                it could not be kept.
        """
        gateway = exchange.gateway
        client = gateway.access.authorise(exchange.headers)
        body, _ = await exchange.read_object()
        id_, said = _read(body)
        if "target" in said and gateway.settings.log.texts != "full":
            msg = (
                f"a target is a text, and this gateway keeps none (texts = "
                f"{gateway.settings.log.texts!r}): send a score"
            )
            raise Refusal(_BAD, msg, code="texts_not_kept", param="target")
        found = await find_decision(id_, gateway, self._recent)
        if found is None or found.get("key") != client.key:
            msg = (
                f"there is no request {id_[:80]!r} of this key; the id is in the header "
                "`x-request-id` of the answer"
            )
            raise Refusal(_UNKNOWN, msg, code="request_not_found", param="id")
        is_new = any(_latest(found, kind) != value for kind, value in said.items())
        facts = {"id": id_, "at": time.time(), "key": client.key, **said}
        if is_new and not await gateway.journal.event("feedback", facts):
            msg = "the feedback could not be kept at present; send it again, which does no harm"
            raise Refusal(_NOT_KEPT, msg, code="log_unavailable", headers={"retry-after": "1"})
        await exchange.reply({"object": "feedback", "id": id_, **said, "new": is_new})


def _read(body: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The id, and `score`, `target` or both."""
    id_ = body.get("id")
    if not isinstance(id_, str) or not id_:
        raise _bad(id_, "id", "the `x-request-id` of an answer")
    score, thumbs, target = (body.get(name) for name in ("score", "thumbs", "target"))
    said: dict[str, Any] = {}
    if thumbs is not None:
        if score is not None:
            msg = "'score' and 'thumbs' both say how good the answer was: send one"
            raise Refusal(_BAD, msg, code="invalid_value", param="thumbs")
        score = _THUMBS.get(thumbs) if isinstance(thumbs, str) else None
        if score is None:
            raise _bad(thumbs, "thumbs", "'up' or 'down'")
    if score is not None:
        if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
            raise _bad(score, "score", "a number from 0 to 1")
        said["score"] = float(score)
    if target is not None:
        if not isinstance(target, str) or not target.strip():
            raise _bad(target, "target", "what the answer should have said, as a text")
        said["target"] = target
    if not said:
        msg = "the feedback says nothing: expected 'score', 'thumbs' or 'target'"
        raise Refusal(_BAD, msg, code="invalid_value")
    return id_, said


def _bad(value: object, name: str, wanted: str) -> Refusal:
    msg = f"{name!r} cannot be {str(value)[:80]!r}: expected {wanted}"
    return Refusal(_BAD, msg, code="invalid_value", param=name)


def _latest(found: Mapping[str, Any], kind: str) -> object:
    given = [item[kind] for item in found["feedback"] if item[kind] is not None]
    return given[-1] if given else None
