"""What several test files share: a real model, small enough for every run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fusionfactory.cachedir import cache_dir
from fusionfactory.errors import PackageError

SCRIPT = Path(__file__).resolve().parents[1] / "demo" / "models.py"
MODEL = "smollm2-135m-instruct"


@pytest.fixture(scope="session")
def gguf() -> Path:
    """SmolLM2 in the cache, fetched by the demo's script; the hash is checked there."""
    folder = cache_dir() / "models"
    command = [sys.executable, str(SCRIPT), "--models", str(folder), "--only", MODEL]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        if os.environ.get("CI") == "true":
            raise PackageError(done.stderr)
        pytest.skip(f"the model cannot be fetched here: {done.stderr.strip()[-200:]}")
    (path,) = folder.glob("SmolLM2*.gguf")
    return path
