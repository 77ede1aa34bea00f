"""The page around the sections: one HTML file that needs no network, no font and no script."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from importlib import resources
from typing import TYPE_CHECKING, NamedTuple

from fusionfactory.report.markup import Markup, tag

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Section", "whole_page"]


class Section(NamedTuple):
    """A part of a page: its place in links, its heading and what it holds."""

    key: str
    name: str
    content: Markup


def whole_page(title: str, opening: Markup, sections: Sequence[Section]) -> str:
    """The file.

    Args:
        title: Of the page, and its first heading.
        opening: What stands before the sections.
        sections: Linked to at the top.
    """
    script = _asset("page.js")
    links = (tag("a", section.name, href=f"#{section.key}") for section in sections)
    body = tag(
        "body",
        tag("header", tag("h1", title), opening, tag("nav", *links, aria_label="Sections")),
        tag(
            "main",
            *(
                tag(
                    "section",
                    tag("h2", section.name),
                    section.content,
                    id=section.key,
                    class_="part",
                )
                for section in sections
            ),
        ),
        tag("script", Markup(script)),
    )
    return f"<!doctype html>\n{tag('html', _head(title, script), body, lang='en')}\n"


def _head(title: str, script: str) -> Markup:
    digest = b64encode(sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name_="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Markup(_asset("style.css"))),
    )


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
