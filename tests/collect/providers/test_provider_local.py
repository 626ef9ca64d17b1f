"""python -m pytest tests/collect/providers/test_provider_local.py"""

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub_server import HubServer
from PIL import Image
from small_films import encoded, picture

from hf_bones.collect.candidate import Candidate, ProviderError
from hf_bones.collect.providers.folder import Folder, FolderOptions, image_files
from hf_bones.collect.providers.hub import Hub, HubOptions
from hf_bones.collect.providers.urls import Urls, UrlsOptions

SCHEME = """
name: joints
classes:
  - {name: whole, definition: Nothing found.}
  - {name: worn, definition: Arthritis., subtypes: [mild], aliases: [arthritis]}
"""


def folder(path: Path, limit: int | None = None, **options: Any) -> list[Candidate]:
    return list(Folder(FolderOptions(path=str(path), **options)).search("", limit))


def urls(path: Path, limit: int | None = None, **options: Any) -> list[Candidate]:
    return list(Urls(UrlsOptions(path=str(path), **options)).search("", limit))


def hub(dataset: Path | str, limit: int | None = None, **options: Any) -> list[Candidate]:
    return list(Hub(HubOptions(dataset=str(dataset), **options)).search("", limit))


def write(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


# Folders


def test_each_folder_is_a_label_and_each_file_in_it_a_candidate(tmp_path: Path) -> None:
    root = write(tmp_path / "ankles", "healthy/1.png", "fractured/a/2.dcm", "fractured/b.jpg")
    found = folder(root)
    assert [(c.url, c.label) for c in found] == [
        ("folder:ankles/fractured/a/2.dcm", "fractured"),
        ("folder:ankles/fractured/b.jpg", "fractured"),
        ("folder:ankles/healthy/1.png", "healthy"),
    ]
    assert found[0].content is not None
    assert found[0].content() == b"fractured/a/2.dcm"
    assert {c.licence for c in found} == {"unknown"}


def test_a_folder_named_by_an_alias_or_subtype_gets_its_class_and_an_unknown_word_stays(tmp_path: Path) -> None:
    root = write(tmp_path / "x", "Greenstick/1.png", "no fracture/1.png", "positive/1.png", "arthritis/1.png")
    found = {c.url.split("/")[1]: (c.label, c.subtype) for c in folder(root)}
    assert found == {
        "Greenstick": ("fractured", "greenstick"),
        "no%20fracture": ("healthy", ""),
        "positive": ("positive", ""),
        "arthritis": ("arthritis", ""),
    }


def test_the_words_of_a_scheme_of_ones_own_are_known(tmp_path: Path) -> None:
    (tmp_path / "scheme.yaml").write_text(SCHEME)
    root = write(tmp_path / "x", "arthritis/1.png", "mild/1.png")
    found = folder(root, labels=str(tmp_path / "scheme.yaml"))
    assert [(c.label, c.subtype) for c in found] == [("worn", ""), ("worn", "mild")]


def test_hidden_files_sidecars_and_linked_folders_are_no_candidates(tmp_path: Path) -> None:
    junk = ["healthy/._1.png", "healthy/.git/1.png", "healthy/notes.txt", "healthy/Thumbs.db", "__MACOSX/1.png", ".cache/1.png"]
    root = write(tmp_path / "x", "healthy/1.png", "healthy/no_suffix", *junk)
    (root / "healthy" / "loop").symlink_to(root / "healthy")
    assert [c.url for c in folder(root)] == ["folder:x/healthy/1.png", "folder:x/healthy/no_suffix"]


def test_files_come_in_one_order_whatever_the_disk_says(tmp_path: Path) -> None:
    root = write(tmp_path, "b/2.png", "b.png", "a/1.png", "b/10.png")
    assert [path.relative_to(root).as_posix() for path in image_files(root)] == ["a/1.png", "b/10.png", "b/2.png", "b.png"]


def test_names_are_percent_encoded_and_a_given_name_replaces_the_folders(tmp_path: Path) -> None:
    root = write(tmp_path / "x", "healthy/Knöchel #1?.png")
    assert [c.url for c in folder(root, name="my set/1")] == ["folder:my%20set%2F1/healthy/Kn%C3%B6chel%20%231%3F.png"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no file names that are not text")
def test_a_file_name_that_is_not_utf8_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "x" / "healthy").mkdir(parents=True)
    Path(os.fsdecode(os.fsencode(tmp_path / "x" / "healthy") + b"/\xff.png")).write_bytes(b"film")
    (found,) = folder(tmp_path / "x")
    assert found.url == "folder:x/healthy/%FF.png"
    assert found.content is not None
    assert found.content() == b"film"


def test_folders_of_splits_are_looked_into(tmp_path: Path) -> None:
    root = write(tmp_path / "x", "train/healthy/1.png", "val/fractured/2.png", "test/3.png")
    found = {c.url: (c.label, c.details) for c in folder(root)}
    assert found == {
        "folder:x/train/healthy/1.png": ("healthy", {"split": "train"}),
        "folder:x/val/fractured/2.png": ("fractured", {"split": "validation"}),
        "folder:x/test/3.png": ("", {"split": "test"}),
    }


def test_loose_files_are_candidates_without_a_label(tmp_path: Path) -> None:
    assert [(c.url, c.label) for c in folder(write(tmp_path / "x", "1.png"))] == [("folder:x/1.png", "")]


def test_licence_creator_and_credit_of_a_folder_are_those_of_its_images(tmp_path: Path) -> None:
    root = write(tmp_path / "x", "healthy/1.png")
    (found,) = folder(root, licence="CC BY 4.0", creator="Clinic A")
    assert (found.licence, found.licence_text, found.creator) == ("CC-BY-4.0", "CC BY 4.0", "Clinic A")
    assert found.licence_url == "https://creativecommons.org/licenses/by/4.0/"
    assert "Clinic A" in found.attribution
    (found,) = folder(root, licence="https://creativecommons.org/publicdomain/zero/1.0/", attribution="Thanks to A.")
    assert (found.licence, found.attribution) == ("CC0-1.0", "Thanks to A.")


def test_the_limit_of_a_folder_holds(tmp_path: Path) -> None:
    assert len(folder(write(tmp_path, *(f"healthy/{n}.png" for n in range(9))), 4)) == 4


def test_a_folder_that_is_missing_empty_or_not_given_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match="no such folder"):
        folder(tmp_path / "nowhere")
    with pytest.raises(ProviderError, match="holds no image files"):
        folder(write(tmp_path, "healthy/readme.txt"))
    with pytest.raises(ProviderError, match="path: FOLDER"):
        Folder(FolderOptions())
    with pytest.raises(ProviderError, match="labels"):
        folder(tmp_path, labels="four-class")


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
        ("a.jsonl", b'{"url": "https://a.example/1.jpg"}\n\n{"url"\n', "line 3: Expecting"),
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


# Datasets


def films(count: int = 3) -> list[dict[str, Any]]:
    return [{"bytes": encoded(picture(n)), "path": None} for n in range(count)]


def small_dataset(**columns: Any) -> datasets.Dataset:
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["normal", "comminuted", "other"])}
    data = {"image": films(), "label": [0, 1, 2], **columns}
    return datasets.Dataset.from_dict(data).cast(
        datasets.Features({**features, **{name: datasets.Value("string") for name in columns if name not in features}})
    )


def test_a_saved_dataset_gives_the_bytes_it_holds_and_its_class_names(tmp_path: Path) -> None:
    small_dataset().save_to_disk(tmp_path / "films")
    found = hub(tmp_path / "films", licence="cc-by-4.0")
    assert [(c.label, c.subtype) for c in found] == [("healthy", ""), ("beyond_repair", "comminuted"), ("other", "")]
    assert [c.content() for c in found if c.content] == [film["bytes"] for film in films()]
    assert found[2].url.startswith("hub:films@")
    assert found[2].url.endswith("/train/2")
    assert {c.licence for c in found} == {"CC-BY-4.0"}
    assert found[0].details is None


def test_the_same_data_has_the_same_names_and_other_data_others(tmp_path: Path) -> None:
    small_dataset().save_to_disk(tmp_path / "a" / "films")
    small_dataset(caption=["x", "y", "z"]).save_to_disk(tmp_path / "b" / "films")
    first, again, other = ([c.url for c in hub(tmp_path / place / "films")] for place in ("a", "a", "b"))
    assert first == again
    assert not set(first) & set(other)


def test_splits_are_read_in_turn_or_one_alone(tmp_path: Path) -> None:
    datasets.DatasetDict(train=small_dataset(), valid=small_dataset()).save_to_disk(tmp_path / "films")
    found = hub(tmp_path / "films", revision="v1")
    assert [c.url for c in found] == [f"hub:films@v1/{split}/{n}" for split in ("train", "valid") for n in range(3)]
    assert [c.details for c in found[2:4]] == [{"split": "train"}, {"split": "validation"}]
    assert [c.url for c in hub(tmp_path / "films", 2, split="valid", revision="v1")] == ["hub:films@v1/valid/0", "hub:films@v1/valid/1"]
    with pytest.raises(ProviderError, match="did you mean 'valid'"):
        hub(tmp_path / "films", split="val1d")


def test_columns_beside_image_and_label_are_taken_where_they_are_there(tmp_path: Path) -> None:
    small_dataset(
        license=["CC0", "", "cc-by-nc-4.0"], url=["https://a.example/1", "", ""], creator=["A", "", ""], caption=["x", "", ""],
        sha256=["0" * 64] * 3, region=["knee", "", ""],
    ).save_to_disk(tmp_path / "films")  # fmt: skip
    found = hub(tmp_path / "films", licence="CC-BY-4.0")
    assert [c.licence for c in found] == ["CC0-1.0", "CC-BY-4.0", "CC-BY-NC-4.0"]
    first = found[0]
    assert (first.page, first.creator, first.title, first.region) == ("https://a.example/1", "A", "x", "knee")
    assert first.sha256 == "", "the hash of a dataset's original file is not that of its bytes"


def test_the_licence_of_the_datasets_information_holds_where_no_other_is_given(tmp_path: Path) -> None:
    dataset = small_dataset()
    dataset.info.license = "CC BY-SA 4.0"
    dataset.save_to_disk(tmp_path / "films")
    assert {c.licence for c in hub(tmp_path / "films")} == {"CC-BY-SA-4.0"}


@pytest.mark.parametrize("streaming", [False, True])
def test_a_parquet_file_or_a_folder_of_them_is_read_streamed_or_not(tmp_path: Path, streaming: bool) -> None:
    (tmp_path / "films").mkdir()
    small_dataset().to_parquet(tmp_path / "films" / "train-00000.parquet")
    for place in (tmp_path / "films", tmp_path / "films" / "train-00000.parquet"):
        found = hub(place, streaming=streaming)
        assert [c.label for c in found] == ["healthy", "beyond_repair", "other"]
        assert [c.content() for c in found if c.content] == [film["bytes"] for film in films()]
        assert found[1].url.endswith("/train/1")
        assert len(hub(place, 2, streaming=streaming)) == 2


def test_columns_can_be_chosen_and_a_wrong_name_gets_a_hint(tmp_path: Path) -> None:
    data = {"image": films(), "other": films(3)[::-1], "finding": ["spiral", "normal", None]}
    dataset = datasets.Dataset.from_dict(data).cast_column("image", datasets.Image()).cast_column("other", datasets.Image())
    dataset.save_to_disk(tmp_path / "films")
    found = hub(tmp_path / "films", image_column="other", label_column="finding")
    assert [(c.label, c.subtype) for c in found] == [("fractured", "spiral"), ("healthy", ""), ("", "")]
    assert found[0].content is not None
    assert found[0].content() == films()[2]["bytes"]
    with pytest.raises(ProviderError, match="no column 'findings'; did you mean 'finding'"):
        hub(tmp_path / "films", label_column="findings")
    with pytest.raises(ProviderError, match="column 'finding' holds no images"):
        hub(tmp_path / "films", image_column="finding")


def test_a_dataset_without_images_names_its_columns(tmp_path: Path) -> None:
    datasets.Dataset.from_dict({"text": ["a"]}).save_to_disk(tmp_path / "words")
    with pytest.raises(ProviderError, match="no column of images; columns found: text"):
        hub(tmp_path / "words")


def test_rows_without_an_image_fail_when_they_are_read_and_the_others_do_not(tmp_path: Path) -> None:
    dataset = datasets.Dataset.from_dict({"image": [films(1)[0], None]}, features=datasets.Features({"image": datasets.Image()}))
    dataset.save_to_disk(tmp_path / "films")
    first, second = hub(tmp_path / "films")
    assert first.content is not None
    assert second.content is not None
    assert first.content()
    with pytest.raises(OSError, match="no image"):
        second.content()


def test_a_dataset_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match="no such folder or file"):
        hub(tmp_path / "nowhere")
    with pytest.raises(ProviderError, match="dataset: HUB_ID"):
        Hub(HubOptions())
    (tmp_path / "empty").mkdir()
    with pytest.raises(ProviderError, match="cannot be loaded"):
        hub(tmp_path / "empty")


def test_a_dataset_of_the_hub_is_named_by_its_commit_and_reads_no_file_outside_it(hub: HubServer, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(secret)
    cells = [films(1)[0], {"bytes": None, "path": str(secret)}]
    table = datasets.Dataset.from_dict({"image": cells, "label": ["hairline", "normal"]}).cast_column("image", datasets.Image(decode=False))
    stream = io.BytesIO()
    table.to_parquet(stream)
    (tmp_path / "train.parquet").write_bytes(stream.getvalue())
    home = tmp_path / "home"
    hub.run_python(
        "import sys; from huggingface_hub import HfApi; api = HfApi(); api.create_repo('ada/films', repo_type='dataset');"
        "api.upload_file(path_or_fileobj=sys.argv[1], path_in_repo='train.parquet', repo_id='ada/films', repo_type='dataset')",
        home,
        str(tmp_path / "train.parquet"),
    )
    code = (
        "from hf_bones.collect.providers.hub import Hub, HubOptions\n"
        "from huggingface_hub import HfApi\n"
        "found = list(Hub(HubOptions(dataset='ada/films', licence='cc0-1.0')).search('', None))\n"
        "sha = HfApi().dataset_info('ada/films').sha\n"
        "assert [c.url for c in found] == [f'hub:ada/films@{sha}/train/{n}' for n in range(2)], (found[0].url, sha)\n"
        "print(found[0].label, found[0].subtype, len(found[0].content()))\n"
        "try: found[1].content()\n"
        "except PermissionError as error: print('refused', error)\n"
    )
    printed = hub.run_python(code, home)
    assert f"fractured hairline {len(films(1)[0]['bytes'])}" in printed
    assert "refused" in printed
