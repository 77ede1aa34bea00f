"""An evaluation as a page: one self-contained HTML file, Markdown, or the JSON itself."""

from __future__ import annotations

from fusionfactory.report.files import check_path, write_report
from fusionfactory.report.markdown import render_markdown
from fusionfactory.report.page import render_html

__all__ = ["check_path", "render_html", "render_markdown", "write_report"]
