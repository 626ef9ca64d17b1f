"""Pages and cards from templates, which stand beside the code that fills them as `.html.j2` and `.md.j2`.

Every value is escaped, for HTML or for Markdown by the template's name, unless it is `Markup` (or passes the filter `safe`): what comes
from a stranger cannot become markup by being forgotten.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from hf_bones.pages.palette import OTHER_SIGN, SIGNS
from hf_bones.pages.tables import markdown_table
from hf_bones.pages.text import NOTICE, is_web_address, one_line, percent, plain, words

PACKAGE = Path(__file__).parents[1]


def render(template: str, **values: Any) -> str:
    """The template, a path below the package such as `hub/card.md.j2`, filled with `values`; one that is missing raises."""
    return _environment(template.endswith(".md.j2")).get_template(template).render(values)


def fragment(template: str, macro: str, *values: Any) -> str:
    """A part of a page: one macro of an HTML template, called with `values`."""
    return str(getattr(_environment(False).get_template(template).module, macro)(*values)).strip()


def file_text(path: str) -> str:
    """A style sheet or script of the package, by its path below it."""
    return (PACKAGE / path).read_text(encoding="utf-8")


@lru_cache
def _environment(markdown: bool) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(PACKAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        lstrip_blocks=True,
        finalize=_as_markdown if markdown else None,
    )
    environment.globals.update(notice=NOTICE, table=_table)
    environment.tests["web_address"] = is_web_address
    environment.filters.update(words=words, percent=percent, one_line=one_line, code=_code, sign=lambda name: SIGNS.get(name, OTHER_SIGN))
    return environment


def _as_markdown(value: object) -> object:
    return value if isinstance(value, Markup) else Markup(plain(value))


def _table(head: Any, rows: Any, right_from: int | None = None) -> Markup:
    """A Markdown table of values that are escaped here."""
    cells = [[str(_as_markdown(cell)) for cell in row] for row in (head, *rows)]
    return Markup(markdown_table(cells[0], cells[1:], right_from=right_from))


def _code(value: object) -> Markup:
    """Text from elsewhere as code in a line of Markdown, where nothing else is escaped."""
    return Markup(f"`{one_line(value).replace('`', '')}`")
