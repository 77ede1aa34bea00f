"""The files of `deploy/`, read as those read them for whom they are meant."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fusionfactory.config import read_config

if TYPE_CHECKING:
    from fusionfactory.config import Config

__all__ = [
    "DEPLOY",
    "ROOT",
    "SETTINGS",
    "dockerfile",
    "gateway_settings",
    "image_environment",
    "needed_package",
    "needed_program",
    "seconds",
    "unit",
    "yaml_documents",
]

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
SETTINGS = DEPLOY / "settings" / "fusionfactory.toml"


def needed_package(name: str) -> Any:  # noqa: ANN401  a module without types
    """A package that these tests alone need; CI has it."""
    if os.environ.get("CI") == "true":
        return importlib.import_module(name)
    return pytest.importorskip(name, reason=f"{name} is not installed")


def needed_program(name: str) -> str:
    """A program that these tests alone need; CI has it."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name} is missing: .ci/run installs it")
        pytest.skip(f"{name} is not installed")
    return found


def gateway_settings() -> Config:
    """The settings that all gateways share."""
    return read_config(SETTINGS)


def yaml_documents(*parts: str) -> list[Any]:
    """The documents of a YAML file."""
    text = DEPLOY.joinpath(*parts).read_text(encoding="utf-8")
    return list(needed_package("yaml").safe_load_all(text))


def seconds(text: str) -> float:
    """Of a duration such as `45s`."""
    found = re.fullmatch(r"(\d+)s", text)
    assert found, f"{text!r} is not in seconds"
    return float(found[1])


def dockerfile() -> list[tuple[str, str]]:
    """Instructions with their arguments, in order, continued lines joined."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    joined = re.sub(r"\\\n\s*", "", lines).splitlines()
    split = [line.split(maxsplit=1) for line in joined if line.strip()]
    return [(name, rest) for name, rest in split]


def image_environment() -> dict[str, str]:
    """What the image sets."""
    words = [word for name, rest in dockerfile() if name == "ENV" for word in shlex.split(rest)]
    return dict(word.split("=", 1) for word in words)


def unit() -> dict[str, list[str]]:
    """Settings of the systemd unit to their values, in order."""
    found: dict[str, list[str]] = {}
    text = (DEPLOY / "systemd" / "fusionfactory.service").read_text(encoding="utf-8")
    for line in text.splitlines():
        name, sign, value = line.partition("=")
        if sign and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found
