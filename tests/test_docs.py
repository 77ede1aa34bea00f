"""The documentation runs, and the command line's page is what the commands say."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from fusionfactory.cli.app import cli
from fusionfactory.config import Config
from fusionfactory.demo import bundled_log

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCE = re.compile(r"^```(\w*)\s*$")


def script(page: Path) -> str:
    """The page's Python blocks as one program, every line at its line number in the page."""
    lines, inside, python = [], False, False
    for line in page.read_text(encoding="utf-8").splitlines():
        fence = _FENCE.match(line)
        if fence:
            inside, python = not inside, fence[1] == "python"
        lines.append(line if inside and python and not fence else "")
    assert not inside, f"{page.name} has an open block"
    return "\n".join(lines)


def test_the_documentation_has_examples() -> None:
    assert {page.name for page in PAGES if script(page).strip()} >= {"README.md", "formats.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_run(page: Path, tmp_path: Path) -> None:
    program = script(page)
    if program.strip():
        bundled_log().write(tmp_path / "log.parquet")
        (tmp_path / page.with_suffix(".py").name).write_text(program, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-W", "error", page.with_suffix(".py").name],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


def blocks(page: Path, language: str) -> list[str]:
    """The page's blocks of a language."""
    return re.findall(
        rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )


def test_settings_in_the_documentation_are_settings() -> None:
    found = [block for page in PAGES for block in blocks(page, "toml") if "[[models]]" in block]
    assert found
    for block in found:
        assert Config.model_validate(tomllib.loads(block)).models


def test_the_router_of_the_gateways_walk_through_knows_its_local_models() -> None:
    page = ROOT / "docs" / "gateway.md"
    (block,) = (block for block in blocks(page, "toml") if "gguf" in block)
    models = Config.model_validate(tomllib.loads(block)).models
    assert {model.name for model in models} <= {arm.name for arm in bundled_log().arms}


def test_commands_in_the_documentation_exist() -> None:
    """Every `fusionfactory VERB [VERB] --flag` of a shell block is a verb with that flag."""
    lines = [line for page in PAGES for block in blocks(page, "sh") for line in block.splitlines()]
    found = [re.search(r"\bfusionfactory (?:--config \S+ )?([a-z]+)(.*)", line) for line in lines]
    for match in filter(None, found):
        command, rest = cli.get_command(click.Context(cli), match[1]), match[2]
        if isinstance(command, click.Group):
            name, _, rest = rest.strip().partition(" ")
            command = command.get_command(click.Context(command), name)
        assert command is not None, match[0]
        known = {flag for option in command.params for flag in option.opts}
        assert set(re.findall(r"(?<= )--[a-z-]+", f" {rest.partition('#')[0]}")) <= known, match[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http:", "https:", "mailto:")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_command_line_page_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "make_cli.py", "--check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
