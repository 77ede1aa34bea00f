"""`fusionfactory serve`: the gateway."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from fusionfactory.cli.calls import store_option
from fusionfactory.errors import MissingExtraError

if TYPE_CHECKING:
    from fusionfactory.gateway.operations.serving import Started

__all__ = ["command"]

_GIVEN = {ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT}
_SETTINGS = ("host", "port", "workers", "state", "store")
_PACKAGES = {"httptools", "orjson", "prometheus_client", "starlette", "uvicorn", "uvloop"}


@click.command("serve", epilog="Example: fusionfactory serve --router router/")
@click.option("--router", type=click.Path(path_type=Path),
              help="By `fusionfactory fit`: the first version, where there is none.")  # fmt: skip
@click.option("--host", help="Address to listen on [127.0.0.1].")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0: any [8377].")
@click.option("--workers", type=click.IntRange(1, 64), help="Processes that answer [1].")
@click.option("--state", type=click.Path(), help="Folder of versions, journals and keys [gateway].")
@store_option
@click.option("--allow-endpoint", is_flag=True,
              help="Let the encoder of --router ask the endpoint that it names.")  # fmt: skip
def command(router: Path | None, allow_endpoint: bool, **settings: Any) -> None:  # noqa: ANN401
    """Serves an OpenAI-compatible endpoint whose model `auto` is whichever arm fits best.

    Ctrl-C or SIGTERM lets requests under way end. A change of the settings file, or SIGHUP, puts
    the new settings in force without losing a request; wrong ones change nothing.
    """
    try:
        from fusionfactory.gateway.operations.serving import serve
        from fusionfactory.gateway.operations.source import Source
    except ModuleNotFoundError as error:
        if error.name not in _PACKAGES:
            raise
        what = "The gateway"
        raise MissingExtraError(what, "gateway") from None
    ctx = click.get_current_context()
    given = {name: settings[name] for name in _SETTINGS if ctx.get_parameter_source(name) in _GIVEN}
    file = ctx.parent.params["config"] if ctx.parent is not None else None
    serve(Source(file, given), router, _tell, network=allow_endpoint)


def _tell(started: Started) -> None:
    router = started.router or "no router yet: the default arm answers auto"
    keys = "clients need a key" if started.needs_keys else "no key needed"
    click.echo(f"{started.url}  arms: {', '.join(started.arms)}  router: {router}  {keys}")
    if started.passed_over:
        note = f"--router was passed over: {started.router} decides; `promote --add` takes one in"
        click.echo(note, err=True)
