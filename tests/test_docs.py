"""The documentation runs, and the command line's page is what the commands say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

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
