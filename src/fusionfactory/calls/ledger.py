"""What a run has spent, and for which reasons it starts no more calls."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fusionfactory.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from fusionfactory.calls.base import Call
    from fusionfactory.clients import ChatReply, Client
    from fusionfactory.errors import CallError
    from fusionfactory.pricing import CallPrice

__all__ = ["INTERRUPTED", "Closing", "Ledger", "check_calls", "is_refusal"]

INTERRUPTED = "interrupted"

_NO_MODEL = 404
_NO_ACCESS = frozenset({401, 402})
_FAILURES_IN_A_ROW = 25


def check_calls(
    calls: Sequence[Call], clients: Mapping[str, Client], budget_usd: float | None
) -> None:
    """Raises ConfigError where a client is missing, or the price that a budget needs."""
    for name in {call.endpoint for call in calls}:
        if name not in clients:
            msg = f"no client for the endpoint {name!r}; known: {', '.join(clients)}"
            raise ConfigError(msg, field="endpoint")
    if budget_usd is None:
        return
    for price, call in {call.price: call for call in calls}.items():
        if not price.known:
            msg = (
                f"a budget needs the price of every model, and that of {call.request.model!r} is "
                "unknown: set its input_price and output_price, or run without a budget"
            )
            raise ConfigError(msg, field="budget_usd")


def is_refusal(error: CallError) -> bool:
    """Whether the settings or the account are at fault, so that other calls would fail likewise."""
    return error.status == _NO_MODEL or error.status in _NO_ACCESS


@dataclass(frozen=True, slots=True)
class Closing:
    """What a ledger says at the end.

    Attributes:
        errors: What the failed calls said to how many said it, the most frequent first.
        stopped: Why calls are left, a sentence each.
        refusals: Of endpoints, or models, of which no call was answered, the first one first.
    """

    errors: Mapping[str, int]
    stopped: tuple[str, ...]
    refusals: tuple[CallError, ...]


class Ledger:
    """Counts what answers cost, and ends endpoints, or a model of one, that are no use asking.

    It makes no call itself, so that it may stand in another process than those who do.

    Args:
        endpoints: Those of the run.
        end: Told of an endpoint of which no call may start any more; with a model, none of that.
        budget_usd: No call may start once the answers have cost this much.
        spent_usd: What earlier runs have used of the budget.

    Attributes:
        stopped: Why calls are left, a sentence each.
    """

    def __init__(
        self,
        endpoints: Collection[str],
        end: Callable[[str, str | None], None],
        *,
        budget_usd: float | None = None,
        spent_usd: float = 0.0,
    ) -> None:
        self._end = end
        self._budget_usd = budget_usd
        self._answered_usd = spent_usd
        self._failures: dict[str, int] = dict.fromkeys(endpoints, 0)
        self._errors: Counter[str] = Counter()
        self.stopped: list[str] = []
        self._refusals: dict[tuple[str, str | None], CallError] = {}

    def allows(self) -> bool:
        """Whether the budget lets another call start; where it does not, all endpoints end."""
        if self._budget_usd is None or self._answered_usd < self._budget_usd:
            return True
        self.stop(f"the budget of {self._budget_usd:g} USD is spent")
        return False

    def stop(self, reason: str) -> None:
        """Ends every endpoint; a reason that is there already is not told twice."""
        if reason not in self.stopped:
            self.stopped.append(reason)
        for name in self._failures:
            self._end(name, None)

    def answered(
        self, endpoint: str, price: CallPrice, reply: ChatReply, *, more: bool
    ) -> float | None:
        """Enters a reply, and gives its cost in USD.

        Args:
            endpoint: Whose.
            price: Of the call.
            reply: What came.
            more: Whether calls of the endpoint are left to start.
        """
        self._failures[endpoint] = 0
        cost = price.usd(reply.input_tokens, reply.output_tokens, reply.usage)
        self._answered_usd += cost or 0.0
        if cost is None and self._budget_usd is not None and more:
            self._end(endpoint, None)
            self.stopped.append(f"{endpoint} does not say what a call used: no budget holds")
        return cost

    def failed(
        self, endpoint: str, price: CallPrice, error: CallError, *, more: bool
    ) -> float | None:
        """Enters a failure, and gives its cost in USD; see `answered`."""
        cost = price.usd(error.input_tokens, error.output_tokens)
        self._answered_usd += cost or 0.0
        self._errors[str(error)] += 1
        self._failures[endpoint] += 1
        if self._failures[endpoint] >= _FAILURES_IN_A_ROW and more:
            self._end(endpoint, None)
            self.stopped.append(
                f"{endpoint} is given up after {_FAILURES_IN_A_ROW} failures in a row: {error}"
            )
        return cost

    def refused(self, endpoint: str, model: str, error: CallError) -> None:
        """Ends the endpoint, or of an unknown model the calls of the model; no outcome is left."""
        unknown = model if error.status == _NO_MODEL else None
        self._end(endpoint, unknown)
        if (endpoint, unknown) not in self._refusals:
            self._refusals[endpoint, unknown] = error
            self.stopped.append(f"{endpoint} refuses: {error}")

    def closing(self) -> Closing:
        """What the run came to."""
        errors = dict(self._errors.most_common())
        return Closing(errors, tuple(self.stopped), tuple(self._refusals.values()))
