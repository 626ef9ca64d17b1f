"""The attribution page, whatever strangers call their pictures: `python -m pytest tests/collect/upkeep/test_credits.py`."""

import html.parser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from small_collection import small_collection

from hf_bones.collect.upkeep.credits import write_credits
from hf_bones.manifest.store import ImageRecord, open_manifest

PIECES = [
    "<script>alert(1)</script>", "](javascript:alert(1))", "[x](http://evil/)", "`", "```", "**b**", "<img src=x onerror=alert(1)>",
    "\n\n# big",
    "\n- item", "&lt;b&gt;", "http://evil/", "www.evil.example", "<http://evil/>", "\\", "\\\\)", "|", "~~x~~", '" onclick="x', "$$",
    "{{7*7}}",
    "\u202egnp.exe", "\x00", "![](http://evil/pixel.png)", "1) ", "<!--", "]]>", "&#x3c;b&#x3e;", "Ada", " ", "é",
]  # fmt: skip
TAGS = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "ul", "li", "a", "span", "code", "blockquote"}
words = st.lists(st.sampled_from(PIECES), max_size=5).map("".join)
addresses = st.one_of(
    st.sampled_from(
        ["", "javascript:alert(1)", "data:text/html,x", "http://", "//evil/", "folder:a/b.png", "HTTP://Ada.example/x?a=1&b=2"]
    ),
    words.map(lambda text: f"http://ada.example/{text}"),
    words.map(lambda text: f"http://{text}"),
)


class Page(html.parser.HTMLParser):
    def __init__(self, source):
        super().__init__()
        self.tags, self.attributes, self.links, self.text = set(), set(), [], ""
        self.feed(source)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}
        self.links += [value for name, value in attributes if name == "href"]

    def handle_data(self, data):
        self.text += data


def pages(folder, record):
    with open_manifest(folder / "c", create=True) as manifest:
        manifest.add_image(record)
    markdown, page, count = write_credits(folder / "c", folder)
    assert count == 1
    return Page(MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(markdown.read_text())), Page(page.read_text())


@given(words, words, words, addresses, addresses, addresses, st.sampled_from(["CC-BY-4.0", "unknown", "<b>mine</b>"]))
def test_nothing_that_a_stranger_wrote_becomes_markup(tmp_path_factory, title, creator, credit, page, creator_url, licence_url, licence):
    record = ImageRecord(
        "ab" * 32, "images/x.jpg", 1, title=title, creator=creator, creator_url=creator_url, page=page, licence=licence,
        licence_url=licence_url, attribution=credit,
    )  # fmt: skip
    for shown in pages(tmp_path_factory.mktemp("credits"), record):
        assert shown.tags <= TAGS
        assert shown.attributes <= {"lang", "charset", "name", "content", "http-equiv", "class", "href", "rel"}
        assert all(link.lower().startswith(("http://", "https://")) for link in shown.links) and len(shown.links) <= 3


@pytest.mark.parametrize("title", [piece for piece in PIECES if piece.strip().isprintable() and piece.strip()])
def test_a_title_reads_as_it_was_written(tmp_path, title):
    for shown in pages(tmp_path, ImageRecord("ab" * 32, "images/x.jpg", 1, title=title, licence="CC0-1.0")):
        assert " ".join(title.split()) in shown.text


def test_what_is_known_and_what_is_not(tmp_path):
    small_collection(tmp_path / "c")
    with open_manifest(tmp_path / "c") as manifest:
        manifest.add_image(ImageRecord("cd" * 32, "images/x.jpg", 1, title="whose?", attribution="Photo: Bea & sons"))
        manifest.add_image(ImageRecord("ef" * 32, "images/y.jpg", 1, title="not shown", licence="CC0-1.0"))
        manifest.decide("ef" * 32, "keep", "", "ada")
        manifest.decide("ef" * 32, "drop", "a chest film", "ada")
    markdown, page, count = write_credits(tmp_path / "c", tmp_path)
    text, source = markdown.read_text(), page.read_text()
    assert count == 4 and "not shown" not in source and "not shown" not in text
    assert source.index("CC-BY-4.0") < source.index("CC-BY-SA-3.0") < source.index("unknown") < source.index("No licence is known")
    assert "Photo: Bea &amp; sons" in source and "Ada" in source and 'href="http://p/1"' in source
    assert 'href="http://ada/"' in source and "https://creativecommons.org/licenses/by-sa/3.0/" in source
    assert "may scale and recolour" in source and "may scale and recolour" in text  # what was changed, as the licences ask
    assert "http" not in "".join(part.split(">")[0] for part in source.split("<link")[1:]) and "src=" not in source  # nothing is loaded


def test_an_empty_collection_has_a_page_without_names(tmp_path):
    open_manifest(tmp_path, create=True).connection.close()
    assert write_credits(tmp_path, tmp_path / "out")[2] == 0


def test_a_known_licence_is_linked_to_its_deed_not_to_where_the_source_says(tmp_path):
    record = ImageRecord("ab" * 32, "images/x.jpg", 1, title="T", licence="CC-BY-4.0", licence_url="http://evil/by/4.0/")
    for shown in pages(tmp_path, record):
        assert shown.links == ["https://creativecommons.org/licenses/by/4.0/"]
