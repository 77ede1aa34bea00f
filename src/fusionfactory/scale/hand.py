"""What stands between Ray and a worker: every error is told as text, every death is counted."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from fusionfactory.scale.telling import raised, told

if TYPE_CHECKING:
    import pyarrow as pa

    from fusionfactory.scale.tally import Tries

__all__ = ["NAME", "Hand", "result", "sent"]

NAME = "part's name"
"""The column of a part that says what it is: no worker sees it."""
_FAULT = "part's fault"


class Hand:
    """Gives parts to a worker; lives in a process of the cluster.

    Args:
        brought: A reference to the worker's class and the arguments of its constructor. It is made
            with the first part, so that what goes wrong then is told and counted, too.
        doing: What it does with parts.
        tries: Counts them; None if nobody does here.
    """

    def __init__(
        self,
        brought: Any,  # noqa: ANN401  Ray is optional
        doing: str,
        tries: Tries | None,
    ) -> None:
        self._brought, self._doing, self._tries = brought, doing, tries
        self._worker: Any = None

    def __call__(self, part: pa.Table) -> pa.Table:
        """What the worker makes of a part, or a table that tells what it met."""
        import pyarrow as pa

        name = part[NAME][0].as_py()
        what = f"{self._doing} {name}"
        try:
            with nullcontext() if self._tries is None else self._tries.counted(name, what):
                self._worker = self._worker or self._made()
                done: pa.Table = self._worker(part.drop_columns([NAME]))
        except (Exception, SystemExit) as error:  # noqa: BLE001  whatever, the verb is to tell it
            return pa.table({_FAULT: [told(error, what)]})
        return done

    def _made(self) -> Any:  # noqa: ANN401  any worker
        import ray

        worker, arguments = ray.get(self._brought)
        return worker(**arguments)


def sent(worker: type) -> type:
    """A class by whose name Ray shows the processes of a worker: it has a reference to a `Hand`.

    It needs nothing of this package before it is given a part. So a node where that is missing or
    another one says so, and Ray does not tell of it itself, with tracebacks on standard output.
    """

    class Sent:  # in a function, so that Ray sends it whole
        def __init__(self, reference: Any) -> None:  # noqa: ANN401  Ray is optional
            self._reference = reference
            self._hand: Any = None

        def __call__(self, part: pa.Table) -> pa.Table:
            import json
            import socket

            import pyarrow as pa
            import ray

            try:
                self._hand = self._hand or ray.get(self._reference)
            except Exception as error:  # noqa: BLE001  whatever it is, the verb is to tell it
                lines = str(error).splitlines() or [type(error).__name__]
                message = (
                    f"the node {socket.gethostname()} cannot take part: {lines[0]}; every node "
                    "needs this version of the package, with the same extras and plugins"
                )
                told = {"class": "ClusterError", "message": message, "fields": {}}
                return pa.table({_FAULT: [json.dumps(told | {"traceback": None})]})
            return self._hand(part)

    Sent.__name__ = Sent.__qualname__ = worker.__name__
    return Sent


def result(batch: pa.Table) -> pa.Table:
    """What a hand gave.

    Raises:
        ClusterError: The worker met what nobody foresaw, or died over the part too often.
        FusionFactoryError: It raised that.
    """
    if _FAULT in batch.column_names:
        raise raised(batch[_FAULT][0].as_py())
    return batch
