"""The Python that runs inside: which files of this one it needs, and no others."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from fusionfactory.errors import SandboxError

__all__ = ["Interpreter", "this_interpreter"]

_LIBRARY = re.compile(r"(/\S+) \(0x[0-9a-f]+\)")
_NEEDS_A_SCREEN = "_tkinter"
_PATIENCE_S = 60


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python and what of the file system it has to see.

    Attributes:
        executable: The program itself, no link.
        readable: Files and folders to show at their own path: standard library, shared libraries.
        hidden: Folders inside those that hold other people's packages, to cover.
    """

    executable: Path
    readable: tuple[Path, ...]
    hidden: tuple[Path, ...]


@functools.cache
def this_interpreter() -> Interpreter:
    """The interpreter of this process, without its virtual environment.

    Raises:
        SandboxError: There is none that could be started, or `ldd` is missing.
    """
    # Set by CPython; inside a virtual environment it names the Python that made it.
    executable = getattr(sys, "_base_executable", None) or sys.executable
    if not executable:
        msg = "this process has no Python executable that could be started for the sandbox"
        raise SandboxError(msg)
    python = Path(executable).resolve()
    ldd = shutil.which("ldd")
    if ldd is None:
        msg = "ldd is missing, which finds the interpreter's libraries: apt install libc-bin"
        raise SandboxError(msg)
    listed = _stdout(
        [str(python), "-I", "-S", "-c", "import json, sys; print(json.dumps(sys.path))"]
    )
    places = [Path(place) for place in json.loads(listed) if place and Path(place).exists()]
    library = [place for place in places if not any(up in places for up in place.parents)]
    extensions = [
        str(path)
        for place in places
        for path in sorted(place.glob("*.so"))
        if not path.name.startswith(_NEEDS_A_SCREEN)
    ]
    shared = {Path(name) for name in _LIBRARY.findall(_stdout([ldd, str(python), *extensions]))}
    outside = sorted(path for path in shared if not any(up in library for up in path.parents))
    packages = [place / name for place in library for name in ("site-packages", "dist-packages")]
    return Interpreter(
        python, (python, *library, *outside), tuple(path for path in packages if path.is_dir())
    )


def _stdout(command: list[str]) -> str:
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, check=False, timeout=_PATIENCE_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        msg = f"{command[0]} could not be run to prepare the sandbox: {error}"
        raise SandboxError(msg) from None
    return done.stdout
