"""The attribution page of a collection: title, author, source and licence of each image, as Creative Commons recommends (TASL).

Titles and names come from strangers' pages: they are escaped in both forms, and only http and https addresses become links.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from hf_bones.collect.candidate import UNKNOWN_LICENCE
from hf_bones.collect.licences import licence_url
from hf_bones.manifest.store import ImageRecord, open_manifest

_NOTE = "The files are stored as they came. What is made of them (a dataset, a model) may scale and recolour them."
_UNKNOWN = "No licence is known for these. Do not pass them on."
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"><title>Image credits</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
h2 {{ margin-top: 2.5rem; border-bottom: 1px solid currentColor; }}
li {{ margin: .4rem 0; overflow-wrap: anywhere; }}
.hash {{ font: .8em ui-monospace, monospace; opacity: .65; }}
.warning {{ border-left: 4px solid #c60; padding-left: .8rem; }}
</style></head><body>
<h1>Image credits</h1>
<p>{note}</p>
{sections}
</body></html>
"""


def write_credits(folder: Path, out: Path) -> tuple[Path, Path, int]:
    """Writes CREDITS.md and credits.html into `out`; returns both and the number of images named. Images that were dropped are left out.

    Raises `ManifestError` where `folder` holds no collection.
    """
    with open_manifest(folder) as manifest:
        by_licence: dict[str, list[ImageRecord]] = {}
        for record in manifest.images():
            if record.decision != "drop":
                by_licence.setdefault(record.licence or UNKNOWN_LICENCE, []).append(record)
    # Those without a licence come last.
    groups = sorted(by_licence.items(), key=lambda item: (item[0] == UNKNOWN_LICENCE, item[0]))
    out.mkdir(parents=True, exist_ok=True)
    markdown, page = out / "CREDITS.md", out / "credits.html"
    for path, text in (
        (markdown, "\n".join(_markdown(groups)) + "\n"),
        (page, _PAGE.format(note=_NOTE, sections="\n".join(_html(groups)))),
    ):
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    return markdown, page, sum(map(len, by_licence.values()))


def _markdown(groups: Iterable[tuple[str, list[ImageRecord]]]) -> list[str]:
    lines = ["# Image credits", "", _NOTE]
    for licence, records in groups:
        lines += ["", f"## {_plain_markdown(licence)} ({len(records)})", ""]
        if licence == UNKNOWN_LICENCE:
            lines += [f"> {_UNKNOWN}", ""]
        for record in records:
            parts = [_markdown_link(_one_line(record.title) or "Untitled", record.page or record.url)]
            if record.creator:
                parts.append(f"by {_markdown_link(record.creator, record.creator_url)}")
            parts.append(_markdown_link(licence, licence_url(licence) or record.licence_url))
            text = ", ".join(parts)
            text += f". {_plain_markdown(record.attribution)}" if record.attribution else ""
            lines.append(f"- {text} `{record.sha256[:12]}`")
    return lines


def _html(groups: Iterable[tuple[str, list[ImageRecord]]]) -> list[str]:
    lines = []
    for licence, records in groups:
        lines.append(f"<h2>{html.escape(licence)} ({len(records)})</h2>")
        if licence == UNKNOWN_LICENCE:
            lines.append(f'<p class="warning">{_UNKNOWN}</p>')
        lines.append("<ul>")
        for record in records:
            parts = [_html_link(_one_line(record.title) or "Untitled", record.page or record.url)]
            if record.creator:
                parts.append(f"by {_html_link(record.creator, record.creator_url)}")
            parts.append(_html_link(licence, licence_url(licence) or record.licence_url))
            text = ", ".join(parts)
            text += f". {html.escape(_one_line(record.attribution))}" if record.attribution else ""
            lines.append(f'<li>{text} <span class="hash">{record.sha256[:12]}</span></li>')
        lines.append("</ul>")
    return lines


def _is_web_address(url: str) -> bool:
    """Whether `url` may become a link: http or https with a host, and nothing that ends a link's address in Markdown or HTML."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return False
    return bool(host) and re.fullmatch(r"https?://[^\s<>\"'\\`]+", url, re.IGNORECASE) is not None and url.isprintable()


def _one_line(text: str) -> str:
    """Text without line ends and without characters that cannot be seen, some of which turn the direction of what follows."""
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())


def _plain_markdown(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", _one_line(text))


def _markdown_link(text: str, url: str) -> str:
    return f"[{_plain_markdown(text)}](<{url}>)" if _is_web_address(url) else _plain_markdown(text)


def _html_link(text: str, url: str) -> str:
    shown = html.escape(_one_line(text))
    return f'<a href="{html.escape(url, quote=True)}" rel="nofollow noopener">{shown}</a>' if _is_web_address(url) else shown
