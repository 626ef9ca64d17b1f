"""A report in Markdown as a page: `python -m pytest tests/pages/test_reports.py`."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from hf_bones.pages.reports import report_page, write_report
from hf_bones.pages.tables import markdown_table
from hf_bones.pages.text import plain

HOSTILE = [
    "<script>alert(1)</script>", "a|b", "*bold* _it_ `code`", "[x](javascript:alert(1))", "![y](secret.png)", "www.a.example", "&lt;b&gt;",
]  # fmt: skip


class Page(HTMLParser):
    """Tags with their attributes, and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[str] = []
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("td", "h1"):
            self.inside = True
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag not in ("td", "h1")

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.cells[-1] += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_text_from_elsewhere_reads_in_the_page_as_it_was_written(tmp_path: Path) -> None:
    text = f"# {plain(HOSTILE[0])}\n\n{markdown_table(['a', 'b'], [[plain(text), 'end'] for text in HOSTILE])}\n"
    page = Page(report_page(text, tmp_path))
    assert not {"script", "em", "strong", "img", "a"} & {tag for tag, _ in page.tags}
    assert [cell for cell in page.cells if cell != "end"] == [HOSTILE[0], *HOSTILE]


def test_html_in_the_text_of_a_report_is_no_html(tmp_path: Path) -> None:
    page = Page(report_page("# t\n\n<script>1</script>\n\n<img src=x>", tmp_path))
    assert not {"script", "img"} & {tag for tag, _ in page.tags}


def test_pictures_are_in_the_page_and_only_those_beside_it(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for place in (tmp_path / "out" / "plot.png", tmp_path / "secret.png"):
        Image.new("L", (3, 2)).save(place)
    path = tmp_path / "out" / "report.md"
    written = write_report(path, "# t\n\n![A plot](plot.png)\n\n![No](../secret.png)\n\n![Gone](gone.png)\n")
    assert written == tmp_path / "out" / "report.html"
    page = Page(written.read_text())
    (image,) = page.of("img")
    assert (image["src"] or "").startswith("data:image/png;base64,") and image["alt"] == "A plot"
    assert [link["href"] for link in page.of("a")] == ["plot.png"]


def test_headings_can_be_linked_to_and_wide_tables_scroll_by_themselves(tmp_path: Path) -> None:
    page = Page(report_page("# t\n\n## By source, all of them\n\n| a |\n|---|\n| b |\n", tmp_path))
    assert [heading["id"] for heading in page.of("h2")] == ["by-source-all-of-them"]
    assert {"class": "wide", "tabindex": "0"} in page.of("div")


def test_no_line_breaks_within_an_interval(tmp_path: Path) -> None:
    page = report_page("# t\n\n0.82 (0.78–0.86), <b>1–2</b> and `3–4`\n", tmp_path)
    assert '0.82 (<span class="range">0.78–0.86</span>), &lt;b&gt;<span class="range">1–2</span>&lt;/b&gt; and <code>3–4</code>' in page


def test_a_report_without_a_title_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="begins with its title"):
        report_page("no title", tmp_path)
