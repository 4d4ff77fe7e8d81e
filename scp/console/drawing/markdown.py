"""Markdown of our own files as HTML: headings one level lower, tables that scroll, pictures beside it."""

from __future__ import annotations

from typing import Final

from markdown_it import MarkdownIt

PICTURES: Final = "/model/"
"""Where the pictures of a card are served."""


def html(text: str) -> str:
    """Return ``text`` as HTML; HTML in it is shown and not obeyed."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(6, int(token.tag[1]) + 1)}"
        for child in token.children or []:
            if child.type == "image":
                child.attrs["src"] = f"{PICTURES}{child.attrs['src']}"
                child.attrs["loading"] = "lazy"
    rendered = str(parser.renderer.render(tokens, parser.options, {}))
    return rendered.replace("<table>", '<div class="scroll" tabindex="0"><table>').replace(
        "</table>", "</table></div>"
    )
