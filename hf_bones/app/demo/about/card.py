"""A checkpoint's card as HTML that is safe to show, whoever wrote it: no HTML of its own, no script, nothing fetched from elsewhere.

Pictures are those beside the card. A link leads to another site, or is plain text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from hf_bones.app.demo.about.shipped import Shipped
from hf_bones.pages.text import is_web_address

if TYPE_CHECKING:
    from markdown_it.token import Token

_FRONT_MATTER = re.compile(r"\A---\s*\n.*?\n---\s*\n", re.DOTALL)
_PICTURE = re.compile(r"[\w.-]+\.png")
_FIRST_LEVEL = 3  # of its headings, which stand below those of the page


def card_html(text: str, shipped: Shipped) -> Markup:
    """The Markdown `text` of a card or report, without its front matter."""
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(_FRONT_MATTER.sub("", text))
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) - 1 + _FIRST_LEVEL)}"
        if token.children:
            token.children = _links_of_the_web(token.children)

    def picture(_: Any, line: Sequence[Token], place: int, *__: Any) -> str:
        name, alt = str(line[place].attrs.get("src", "")), line[place].content
        address = shipped.picture(name) if _PICTURE.fullmatch(name) else None
        if address is None:
            return str(Markup("<em>{}</em>").format(alt))
        return str(Markup('<img alt="{}" src="{}">').format(alt, address))

    def code(_: Any, line: Sequence[Token], place: int, *__: Any) -> str:
        return str(Markup('<pre tabindex="0"><code>{}</code></pre>\n').format(line[place].content))

    markdown.add_render_rule("image", picture)
    markdown.add_render_rule("fence", code)
    markdown.add_render_rule("code_block", code)
    markdown.add_render_rule("table_open", lambda *_: '<div class="wide" tabindex="0" role="group"><table>\n')
    markdown.add_render_rule("table_close", lambda *_: "</table></div>\n")
    return Markup(markdown.renderer.render(tokens, markdown.options, {}))


def _links_of_the_web(line: list[Token]) -> list[Token]:
    """A line whose links lead to another site, in a window of its own that learns nothing of this page; of others the text is left."""
    kept: list[Token] = []
    shown: list[bool] = []
    for token in line:
        if token.type == "link_open":
            shown.append(is_web_address(str(token.attrs.get("href", ""))))
            token.attrSet("rel", "noopener noreferrer nofollow")
            token.attrSet("target", "_blank")
        if token.type not in ("link_open", "link_close") or shown[-1]:
            kept.append(token)
        if token.type == "link_close":
            shown.pop()
    return kept
