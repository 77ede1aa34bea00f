"""Work laid out in Parquet, where every node of a cluster can read it, for as long as it lasts."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionfactory.errors import ConfigError
from fusionfactory.large.places import without_login
from fusionfactory.scale.leftovers import owned_folder, sweep

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pyarrow as pa

    from fusionfactory.config import ScaleSection

__all__ = ["Shards", "laid_out", "read_shards", "shards_place"]

_SQLITE_URL = "sqlite:///"


@dataclass(frozen=True)
class Shards:
    """Parquet files of one piece of work.

    Attributes:
        files: The fsspec file system that they are on.
        paths: Theirs, in the order of the rows.
        rows: Of all of them.
        rows_each: Of every file but the last, which may have fewer.
    """

    files: Any
    paths: tuple[str, ...]
    rows: int
    rows_each: int

    def parts(self, of: str) -> dict[str, pa.Table]:
        """A table per file that names it, for `pool.mapped`; `read_shards` reads it there.

        Args:
            of: What the rows are, such as `answers`: parts are called by that and by their rows.
        """
        import pyarrow as pa

        starts = range(0, self.rows, self.rows_each)
        return {
            f"{of} {start + 1:,} to {min(start + self.rows_each, self.rows):,}": pa.table(
                {"shard": [path]}
            )
            for start, path in zip(starts, self.paths, strict=True)
        }


def read_shards(files: Any, named: pa.Table) -> pa.Table:  # noqa: ANN401  fsspec is untyped
    """The rows of the files that one of `Shards.parts` names."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = []
    for path in named["shard"].to_pylist():
        with files.open(path, "rb") as file:
            found.append(pq.read_table(file))
    return pa.concat_tables(found)


def shards_place(settings: ScaleSection, store: str) -> str:
    """The folder or URL of the settings, or else the folder that the store's file is in.

    Args:
        settings: `[scale]`.
        store: Path or URL of the store; beside a server there is the working directory.

    Raises:
        ConfigError: The cluster has several machines, and the settings name no folder that all of
            them reach. In `cluster`.
    """
    if settings.shards is not None:
        return settings.shards
    machines = _machines()
    if len(machines) > 1:
        msg = (
            f"the cluster has {len(machines)} machines, and no folder is named that all of them "
            "reach: set it to one on a shared disk, or to the URL of a bucket"
        )
        raise ConfigError(msg, field="scale.shards")
    path = store.removeprefix(_SQLITE_URL)
    return str(Path.cwd() if "://" in path else Path(path).absolute().parent)


def _machines() -> set[str]:
    import ray

    return {node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}


@contextmanager
def laid_out(
    rows: Iterable[Mapping[str, Any]], schema: pa.Schema, place: str, rows_each: int
) -> Iterator[Shards]:
    """Writes rows to a folder of their own and takes it away at the end.

    Folders that killed runs have left there go, too; see `sweep`.

    Args:
        rows: Each with a value, or None, for every column; read shard by shard.
        schema: The columns.
        place: A folder or fsspec URL, made if it is not there.
        rows_each: Rows of a file at most.

    Raises:
        ConfigError: The place cannot be written to, or its URL is of a kind that fsspec lacks.
    """
    with ExitStack() as stack:
        try:
            sweep(place)
            files, folder = stack.enter_context(owned_folder(place))
        except (OSError, ValueError, ImportError) as error:
            msg = f"{without_login(place)!r} cannot be written to: {error}"
            raise ConfigError(msg, field="scale.shards") from None
        yield _written(iter(rows), schema, files, folder, rows_each)


def _written(
    rows: Iterator[Mapping[str, Any]],
    schema: pa.Schema,
    files: Any,  # noqa: ANN401  fsspec is untyped
    folder: str,
    rows_each: int,
) -> Shards:
    import pyarrow as pa
    import pyarrow.parquet as pq

    paths: list[str] = []
    count = 0
    while part := list(islice(rows, rows_each)):
        path = f"{folder}/{len(paths):08d}.parquet"
        with files.open(path, "wb") as file:
            pq.write_table(pa.Table.from_pylist(part, schema=schema), file)
        paths.append(path)
        count += len(part)
    return Shards(files, tuple(paths), count, rows_each)
