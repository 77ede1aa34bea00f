"""The `fusionfactory` command: finds the verb, reads the settings, turns errors into exit codes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from fusionfactory.cli.group import LazyGroup
from fusionfactory.cli.log import LOG, show_log
from fusionfactory.config import read_config
from fusionfactory.errors import FusionFactoryError
from fusionfactory.version import __version__

__all__ = ["cli", "main"]

_VERBS = {
    "demo": "Run the whole loop on the bundled log.",
    "init": "Write a commented fusionfactory.toml.",
    "import": "Read other tools' logs and tables.",
    "collect": "Ask many models many questions, into a store.",
    "score": "Score the answers in a store.",
    "judge": "Let an LLM grade and compare the answers in a store.",
    "pick": "Let a judge pick among the answers of arms, for plans.",
    "think": "Write and use thought templates from the best answers.",
    "distill": "Train a model on the best answers of all.",
    "evaluate": "Fit and compare routers on a table of outcomes.",
    "fuse": "Compare all levels, and choose one per query.",
    "fit": "Fit one router and save it.",
    "test": "Test a saved router on held-out outcomes.",
    "onboard": "Add a new arm to a saved router.",
    "route": "Decide which arm answers a query.",
    "serve": "Serve an endpoint that routes, logs and learns.",
    "learn": "Learn a new version of the router from the gateway's log.",
    "promote": "Let another version of the router decide.",
    "keys": "Keep the keys of the gateway's clients.",
    "report": "Turn an evaluation into an HTML or Markdown report.",
}
_INTERRUPTED = 130


@click.group(
    cls=LazyGroup,
    modules="fusionfactory.cli.{name}_verb",
    verbs=_VERBS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--config", type=click.Path(path_type=Path), help="Settings [fusionfactory.toml].")
@click.version_option(__version__, prog_name="fusionfactory")
@click.pass_context
def cli(ctx: click.Context, config: Path | None) -> None:
    """Turns the log of many LLMs into better and cheaper answers.

    Start with: fusionfactory demo
    """
    show_log(os.environ.get(LOG))
    ctx.obj = read_config(config)
    ctx.default_map = ctx.obj.default_map()


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line and exits: 0 good, 1 failed, 2 wrong use."""
    try:
        code = cli.main(arguments, prog_name="fusionfactory", standalone_mode=False,
                        auto_envvar_prefix="FUSIONFACTORY")  # fmt: skip
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(_INTERRUPTED)
    except FusionFactoryError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    if code:  # click returns the code of an Exit
        sys.exit(code)
