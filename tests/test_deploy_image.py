"""The image's first stage, replayed in a folder: nothing here can run containers."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from typing import TYPE_CHECKING

import pytest

from deploy_files import ROOT, SETTINGS, dockerfile

if TYPE_CHECKING:
    from pathlib import Path

PLACE = "/opt/fusionfactory"


def build(folder: Path, *, dependencies: bool) -> Path:
    """Does what the first stage says, below a folder.

    Returns:
        The virtual environment that the second stage takes over.
    """
    place, source = folder / "venv", folder / "src"
    given = {"PATH": os.environ["PATH"]}
    for name, rest in dockerfile():
        if name == "FROM" and not rest.endswith(" AS build") and source.exists():
            break
        if name == "ARG":
            variable, _, value = rest.partition("=")
            given[variable] = value
        elif name == "WORKDIR":
            source.mkdir()
        elif name == "COPY":
            *names, target = shlex.split(rest)
            for copied in names:
                if (ROOT / copied).is_dir():
                    shutil.copytree(ROOT / copied, source / target)
                else:
                    shutil.copy(ROOT / copied, source / target)
        elif name == "RUN":
            command = rest.replace(PLACE, str(place)).replace("python -m", f"{sys.executable} -m")
            if not dependencies:
                command = command.replace("pip install", "pip install --no-deps")
            done = subprocess.run(
                ["/bin/sh", "-c", command],
                cwd=source, env=given, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
    return place


def serve_help(place: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """What the installed program says of the gateway's verb."""
    return subprocess.run(
        [place / "bin" / "fusionfactory", "serve", "--help"],
        env={"FUSIONFACTORY_CONFIG": str(SETTINGS), **environment},
        cwd=place, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_what_is_copied_into_the_image_is_all_that_the_program_is_built_from(
    tmp_path: Path,
) -> None:
    place = build(tmp_path, dependencies=False)
    # What it depends on is that of the tests; the program is the image's.
    done = serve_help(place, {"PYTHONPATH": sysconfig.get_path("purelib")})
    assert done.returncode == 0, done.stderr
    (package,) = (place / "lib").glob("python*/site-packages/fusionfactory")
    for folder in ("data", "gateway/dashboard/page", "encoders"):
        ours = {path.name for path in (ROOT / "src" / "fusionfactory" / folder).iterdir()}
        there = {path.name for path in (package / folder).iterdir()}
        assert ours - {"__pycache__"} == there - {"__pycache__"}


@pytest.mark.scale
def test_the_image_has_what_the_gateway_needs(tmp_path: Path) -> None:
    place = build(tmp_path, dependencies=True)
    assert serve_help(place, {}).returncode == 0
    needed = "import fusionfactory.gateway.operations.worker, psycopg, opentelemetry.sdk"
    done = subprocess.run(
        [place / "bin" / "python", "-c", needed], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
