"""The same steps beyond one machine: batch work on a Ray cluster."""

__all__: list[str] = []
