"""Options that take several specifications."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.registry import split_specs

if TYPE_CHECKING:
    import click

__all__ = ["spec_names"]


def spec_names(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Lets `--plan a,b --plan c` mean three; `vote:most=3,seed=1` is one."""
    return tuple(spec for value in values for spec in split_specs(value))
