"""`evaluate` on a Ray cluster: every router on every split is a task, the table is sent once."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from fusionfactory.encoded import Encoded
from fusionfactory.encoders import Encoder, make_encoder
from fusionfactory.encoders.concat import ConcatEncoder
from fusionfactory.scale.cluster import worker_count
from fusionfactory.scale.embedding import embed
from fusionfactory.scale.losses import losses_told
from fusionfactory.scale.pool import cpu_share, threads_env
from fusionfactory.scale.tally import MOST_TRIES, Tries
from fusionfactory.scale.telling import raised, told
from fusionfactory.threads import numeric_threads
from fusionfactory.trials import Heat, Tried, try_router

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from fusionfactory.config import ScaleSection
    from fusionfactory.steps import Steps
    from fusionfactory.table import OutcomeTable

__all__ = ["trials_on_ray"]


def trials_on_ray(
    heats: Sequence[Heat], specs: Sequence[str], steps: Steps, settings: ScaleSection
) -> Generator[tuple[tuple[int, int], Tried]]:
    """Tries routers on the cluster; for `evaluate`, in `cluster`.

    Pretrained rows are embedded once for all splits; an encoder that learns is fitted once per
    split, by a task. Numeric libraries use as many threads there as here: so sums are rounded
    alike, and on processors of one kind the numbers are those of one process. A task whose worker
    died is run again, a few times.

    Args:
        heats: Splits.
        specs: Of the routers.
        steps: Told of every trial when it has ended.
        settings: `[scale]`: how many trials at a time.

    Yields:
        See `trials.Trials`.

    Raises:
        ClusterError: A router, an encoder or Ray met what nobody foresaw, or a trial ended every
            worker.
        FusionFactoryError: What a router or an encoder raised.
    """
    import ray

    jobs = iter([(place, number) for place in range(len(heats)) for number in range(len(specs))])
    running: dict[Any, tuple[int, int]] = {}
    workers = worker_count(settings)
    with losses_told("trying routers"):
        ground = _Ground(heats, specs, settings)
        try:
            while True:
                for job in islice(jobs, workers - len(running)):
                    running[ground.started(*job)] = job
                if not running:
                    return
                ((ended,), _) = ray.wait(list(running), num_returns=1)
                place, number = running.pop(ended)
                with losses_told(_trial(specs[number], heats[place].seed)):
                    tried = ray.get(ended)
                if isinstance(tried, str):
                    raise raised(tried)
                steps.next(f"seed {heats[place].seed}: {specs[number]}")
                yield (place, number), tried
        finally:
            for reference in running:
                # By force, Ray 2.60 ends this process where the task ends at the same moment.
                ray.cancel(reference, force=False)


class _Ground:
    """What trials need, in the cluster's object store."""

    def __init__(self, heats: Sequence[Heat], specs: Sequence[str], settings: ScaleSection) -> None:
        import ray

        self._heats, self._specs, self._tries = heats, specs, Tries()
        distinct = {id(heat.table): heat.table for heat in heats}
        # No router reads responses, which are most of a table's bytes.
        self._tables = {
            key: ray.put(replace(table, responses=None)) for key, table in distinct.items()
        }
        self._encoders = {
            (key, name): _prepared(name, table, settings)
            for key, table in distinct.items()
            for name in sorted({heats[0].encoder_of(spec) or "" for spec in specs} - {""})
        }
        self._put = {key: ray.put(encoder) for key, encoder in self._encoders.items()}
        self._rows: dict[tuple[int, str], Any] = {}
        options = {
            "num_cpus": cpu_share(worker_count(settings)),
            "max_retries": MOST_TRIES,
            "runtime_env": threads_env(numeric_threads()),
        }
        self._try = ray.remote(**options)(_tried)
        self._encode = ray.remote(**options)(_encoded)

    def started(self, place: int, number: int) -> Any:  # noqa: ANN401  a reference of Ray's
        """Starts the trial of a router on a heat."""
        heat, spec = self._heats[place], self._specs[number]
        rows = self._rows_of(place, heat, heat.encoder_of(spec))
        table = self._tables[id(heat.table)]
        return self._try.remote(table, _bare(heat), spec, rows, (self._tries, (place, number)))

    def _rows_of(self, place: int, heat: Heat, name: str | None) -> Any:  # noqa: ANN401
        if name is None:
            return None
        key = id(heat.table), name
        if isinstance(self._encoders[key], Encoded):
            return self._put[key]
        if (place, name) not in self._rows:
            # Rows of earlier splits go: what still runs on them holds them itself.
            self._rows = {other: rows for other, rows in self._rows.items() if other[0] == place}
            table, encoder = self._tables[key[0]], self._put[key]
            count = self._tries, (place, name)
            rows = self._encode.remote(table, _bare(heat), encoder, count)
            self._rows[place, name] = rows
        return self._rows[place, name]


def _prepared(spec: str | Encoder, table: OutcomeTable, settings: ScaleSection) -> Encoder:
    """An encoder whose pretrained parts have the table's rows already."""
    encoder = make_encoder(spec)
    if isinstance(encoder, ConcatEncoder):
        return ConcatEncoder(
            parts=tuple(_prepared(part, table, settings) for part in encoder.parts)
        )
    if not encoder.pretrained:
        return encoder
    return Encoded(encoder, table.texts, partial(embed, encoder, settings=settings))


def _bare(heat: Heat) -> dict[str, Any]:
    """A heat's attributes but for its table."""
    return {f.name: getattr(heat, f.name) for f in fields(heat) if f.name != "table"}


def _trial(spec: str, seed: int) -> str:
    return f"trying {spec!r} on seed {seed}"


def _encoded(
    table: OutcomeTable,
    bare: dict[str, Any],
    encoder: Encoder,
    count: tuple[Tries, tuple[int, int | str]],
) -> Encoded | str:
    """A task: rows of all queries by an encoder fitted on the train side, or what went wrong."""
    heat = Heat(table, **bare)
    what, (tries, piece) = f"fitting the encoder {str(encoder)!r} on seed {heat.seed}", count
    try:
        with tries.counted(piece, what):
            return heat.encoded(encoder)
    except (Exception, SystemExit) as error:  # noqa: BLE001  whatever, the verb is to tell it
        return told(error, what)


def _tried(
    table: OutcomeTable,
    bare: dict[str, Any],
    spec: str,
    encoded: Encoded | str | None,
    count: tuple[Tries, tuple[int, int | str]],
) -> Tried | str:
    """A task: one trial, or what went wrong."""
    if isinstance(encoded, str):
        return encoded
    heat = Heat(table, **bare)
    what, (tries, piece) = _trial(spec, heat.seed), count
    try:
        with tries.counted(piece, what):
            return try_router(heat, spec, encoded)
    except (Exception, SystemExit) as error:  # noqa: BLE001  whatever, the verb is to tell it
        return told(error, what)
