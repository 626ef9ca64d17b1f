"""A report in Markdown, and the page made of it: one text, so that both say the same.

The page needs nothing beside it: pictures are in it. Text from elsewhere was made harmless when it became Markdown (`text.plain`), and no
HTML in a report's text is taken as HTML.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from hf_bones.pages.templates import render

if TYPE_CHECKING:
    from markdown_it.token import Token

_PICTURE = re.compile(r"[\w.-]+\.png")  # a file beside the report, never one elsewhere
_RANGE = re.compile(r"[+\-\d.]+–[+\-\d.]*\d")  # 0.71–0.90, which no line may break


def write_report(path: Path, text: str) -> Path:
    """Writes the Markdown `text` to `path` and the same as a page beside it, whose name ends in .html; returns the page's path.

    The pictures that `text` names must be in the folder by then. Raises ValueError for a text that begins with no title.
    """
    path.write_text(text, encoding="utf-8")
    page = path.with_suffix(".html")
    page.write_text(report_page(text, path.parent), encoding="utf-8")
    return page


def report_page(text: str, folder: Path) -> str:
    """A report in Markdown as a whole HTML page; pictures are read from `folder`. Raises ValueError for a text without a title."""
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(text)
    if len(tokens) < 3 or (tokens[0].type, tokens[0].tag) != ("heading_open", "h1"):
        raise ValueError("a report begins with its title, a line such as `# Title`")
    title = _words(tokens[1])
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrSet("id", re.sub(r"[^\w-]+", "", _words(tokens[place + 1]).lower().replace(" ", "-")))

    def picture(_: Any, line: Sequence[Token], place: int, *__: Any) -> str:
        name, alt = str(line[place].attrs.get("src", "")), Markup.escape(line[place].content)
        if not _PICTURE.fullmatch(name) or not (folder / name).is_file():
            return str(Markup("<em>{}</em>").format(alt))
        data = b64encode((folder / name).read_bytes()).decode()
        return f'<a class="figure" href="{name}"><img alt="{alt}" src="data:image/png;base64,{data}"></a>'

    def words(_: Any, line: Sequence[Token], place: int, *__: Any) -> str:
        return _RANGE.sub(r'<span class="range">\g<0></span>', str(Markup.escape(line[place].content)))

    def table(*_: Any) -> str:
        return '<div class="wide" tabindex="0"><table>\n'

    markdown.add_render_rule("image", picture)
    markdown.add_render_rule("text", words)
    markdown.add_render_rule("table_open", table)
    markdown.add_render_rule("table_close", lambda *_: "</table></div>\n")
    body = markdown.renderer.render(tokens[3:], markdown.options, {})
    return render("pages/report.html.j2", title=title, body=Markup(body))


def _words(token: Token) -> str:
    return "".join(child.content for child in token.children or ())
