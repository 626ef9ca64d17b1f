"""Tables of URLs or paths as a provider. Run: pytest tests/collect/providers/test_provider_urls.py"""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hf_bones.collect.candidate import Candidate, ProviderError
from hf_bones.collect.providers.urls import Urls, UrlsOptions


def urls(path: Path, limit: int | None = None, **options: Any) -> list[Candidate]:
    return list(Urls(UrlsOptions(path=str(path), **options)).search("", limit))


# Tables of links
def test_a_table_is_read_under_the_names_that_people_use(tmp_path: Path) -> None:
    table = tmp_path / "links.csv"
    table.write_text(
        "\ufeffURL,Caption,License,class,Patient_ID,val,split\n"
        'https://a.example/1.jpg,"A, quoted",CC BY-SA 4.0,greenstick,p1,x,val\n'
        "\n"
        "//b.example/2.jpg,,?,healthy,,,\n",
        encoding="utf-8",
    )
    first, second = urls(table)
    assert (first.url, first.title, first.licence, first.licence_text) == (
        "https://a.example/1.jpg", "A, quoted", "CC-BY-SA-4.0", "CC BY-SA 4.0",
    )  # fmt: skip
    assert (first.label, first.subtype, first.details) == ("fractured", "greenstick", {"patient": "p1", "split": "validation"})
    assert "CC BY-SA 4.0" in first.attribution
    assert (second.url, second.licence, second.label, second.details) == ("https://b.example/2.jpg", "unknown", "healthy", None)
    assert second.attribution == ""


def test_the_columns_of_an_export_come_back_as_they_were(tmp_path: Path) -> None:
    row = {
        "sha256": "AB" * 32, "file": "images/ab/x.jpg", "bytes": 7, "url": "https://a.example/1.jpg", "page": "https://a.example/case",
        "title": "T", "creator": "C", "creator_url": "https://a.example/c", "licence": "CC-BY-4.0", "licence_text": "by",
        "licence_url": "https://creativecommons.org/licenses/by/4.0/", "attribution": "T by C", "label": "fractured", "subtype": "spiral",
        "region": "tibia", "view": "lateral", "hardware": True, "boxes": [[0.5, 0.5, 0.25, 0.25]], "severity": 0.5, "synthetic": False,
        "patient": "p", "group": "g", "split": "test", "hashes": None,
    }  # fmt: skip
    (tmp_path / "export.jsonl").write_text(json.dumps(row) + "\n\n")
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "export.parquet")
    for name in ("export.jsonl", "export.parquet"):
        (found,) = urls(tmp_path / name)
        assert found.sha256 == "ab" * 32
        for key in ("url", "page", "title", "creator", "creator_url", "licence", "licence_text", "licence_url", "attribution"):
            assert getattr(found, key) == row[key]
        assert (found.label, found.subtype, found.region) == ("fractured", "spiral", "tibia")
        assert found.details == {
            "view": "lateral", "patient": "p", "group": "g", "split": "test", "boxes": [[0.5, 0.5, 0.25, 0.25]], "severity": 0.5,
            "hardware": True, "synthetic": False,
        }  # fmt: skip


def test_tabs_separate_the_cells_of_a_tsv_and_the_option_gives_the_licence_of_rows_without(tmp_path: Path) -> None:
    (tmp_path / "links.tsv").write_text("url\tlicense\thttp\nhttps://a.example/1,2.jpg\t\t\nhttps://a.example/3.jpg\tCC0\t\n")
    found = urls(tmp_path / "links.tsv", licence="cc-by-4.0")
    assert [(c.url, c.licence) for c in found] == [("https://a.example/1,2.jpg", "CC-BY-4.0"), ("https://a.example/3.jpg", "CC0-1.0")]


def test_a_big_parquet_table_is_read_batch_by_batch(tmp_path: Path) -> None:
    links = [f"https://a.example/{n}.jpg" for n in range(2500)]
    table = pa.table({"URL": links, "TEXT": links, "embedding": [b"x" * 10] * 2500})
    pq.write_table(table, tmp_path / "laion.parquet")
    found = Urls(UrlsOptions(path=str(tmp_path / "laion.parquet"))).search("", None)
    assert next(found).url == links[0]
    assert sum(1 for _ in found) == 2499
    assert len(urls(tmp_path / "laion.parquet", 7)) == 7


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"url,label\nhttps://a.example/1.jpg,x\nhttps://a.example/2.jpg\n", "line 3: 1 cells under 2 columns"),
        ("a.csv", b'url\nhttps://a.example/1.jpg\n"https://a.exa', "line 3: unexpected end of data"),
        ("a.csv", b"url\nhttps://a.example/1.jpg\nftp://a.example/2.jpg\n", "line 3: the link is 'ftp://a.example/2.jpg'"),
        ("a.csv", b"url,x\nhttps://a.example/1.jpg,1\n,2\n", "line 3: the link is ''"),
        ("a.csv", b"url\nhttps://a.example/1.jpg\nhttps://a.example/\xff\n", "line 3: 'utf-8' codec"),
        ("a.csv", b"url,severity\nhttps://a.example/1.jpg,\nhttps://a.example/2.jpg,7\n", "line 3: severity 7 is not in"),
        ("a.csv", b"url,hardware\nhttps://a.example/1.jpg,yes\nhttps://a.example/2.jpg,plate\n", "line 3: hardware 'plate'"),
        ("a.csv", b"url,boxes\nhttps://a.example/1.jpg,.5 .5 1 1;0 0 0 0\nhttps://a.example/2.jpg,1 2\n", "line 3: box"),
        ("a.jsonl", b'{"url": "https://a.example/1.jpg"}\n\n{"url"\n', "line 3: not JSON"),
        ("a.jsonl", b'{"url": "https://a.example/1.jpg"}\n\n[1]\n', "line 3: expected a JSON object"),
        ("a.jsonl", b'{"url": "https://a.example/1.jpg"}\n\n{"url": {"x": 1}}\n', "line 3: expected text"),
        ("a.jsonl", b'{"url": "https://a.example/1.jpg"}\n\n{"src": "x"}\n', r"line 3: no column for the link \(url, .*found: src"),
    ],
)
def test_a_bad_line_is_named_and_what_stood_before_it_counts(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    found = []
    with pytest.raises(ProviderError, match=rf"{name}: {message}"):
        for candidate in Urls(UrlsOptions(path=str(tmp_path / name))).search("", None):
            found.append(candidate.url)
    assert found == ["https://a.example/1.jpg"]


def test_a_bad_row_of_a_parquet_table_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"url": ["https://a.example/1.jpg", None]}), tmp_path / "a.parquet")
    with pytest.raises(ProviderError, match=r"a\.parquet: row 2: the link is ''"):
        urls(tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes(b"not parquet")
    with pytest.raises(ProviderError, match=r"b\.parquet: .*[Pp]arquet"):
        urls(tmp_path / "b.parquet")


def test_a_table_that_is_missing_or_of_another_kind_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match="no such file"):
        urls(tmp_path / "a.csv")
    with pytest.raises(ProviderError, match=r"\.csv, \.tsv, \.jsonl"):
        urls(tmp_path / "a.xlsx")
    with pytest.raises(ProviderError, match="path: FILE"):
        Urls(UrlsOptions())
