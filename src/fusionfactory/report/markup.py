"""HTML and SVG that is escaped unless it says otherwise."""

from __future__ import annotations

from html import escape
from typing import TypeAlias

__all__ = ["Child", "Markup", "join", "tag"]

VOID = frozenset({"br", "circle", "col", "ellipse", "hr", "line", "meta", "path", "polygon",
                  "polyline", "rect"})  # fmt: skip


class Markup(str):
    """Text that is HTML already. Only `tag`, `join` and constants of this package make it."""

    __slots__ = ()


Child: TypeAlias = "str | None"
Attribute: TypeAlias = "str | float | bool | None"


def tag(name: str, *children: Child, **attributes: Attribute) -> Markup:
    """An element; children and attribute values are escaped, except for `Markup` children.

    Args:
        name: Of the element.
        children: None is left out.
        attributes: `class_` for class, `stroke_width` for stroke-width, `cx=1.5`; True for an
            attribute without a value, None and False to leave it out.
    """
    text = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID and not children:
        return Markup(
            f"<{name}{text}/>" if name not in {"br", "hr", "col", "meta"} else f"<{name}{text}>"
        )
    return Markup(f"<{name}{text}>{join(*children)}</{name}>")


def join(*children: Child, between: str = "") -> Markup:
    """Children one after the other, escaped like those of `tag`."""
    return Markup(between.join(_child(child) for child in children if child is not None))


def _child(child: str) -> str:
    return child if isinstance(child, Markup) else escape(_printable(child))


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = key.removesuffix("_").replace("_", "-")
    if value is True:
        return f" {name}"
    text = _number(value) if isinstance(value, float | int) else _printable(value)
    return f' {name}="{escape(text)}"'


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _printable(text: str) -> str:
    """Control characters and lone surrogates, which no HTML may hold, become replacement marks."""
    return "".join(
        c if c in "\n\t" or (c >= " " and not "\ud800" <= c <= "\udfff") else "�" for c in text
    )
