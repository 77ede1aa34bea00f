"""Rows from the Hugging Face hub, through the extra `datasets`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.errors import MissingExtraError, TaskError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fusionfactory.tasks.files import Row

__all__ = ["read_hub"]


def read_hub(hub: str, split: str) -> Iterator[Row]:
    """Yields the rows of a split.

    Args:
        hub: `owner/name`, `owner/name:configuration` or `owner/name:one+two`.
        split: The source's own name of it.

    Raises:
        MissingExtraError: The extra `datasets` is absent.
        TaskError: The hub has no such data set or cannot be reached.
    """
    try:
        import datasets
        from datasets.exceptions import DatasetsError
    except ImportError:
        what = f"Reading {hub} from the hub"
        raise MissingExtraError(what, "datasets") from None
    name, _, configurations = hub.partition(":")
    row = 0
    for configuration in configurations.split("+"):
        try:
            data = datasets.load_dataset(name, configuration or None, split=split)
        except (OSError, ValueError, RuntimeError, DatasetsError) as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            msg = (
                f"split {split!r} cannot be loaded from the hub ({reason}); check the network and "
                "whether the data set asks for a login, or give a local file"
            )
            raise TaskError(msg, file=hub) from None
        for fields in data:
            row += 1
            yield row, fields
