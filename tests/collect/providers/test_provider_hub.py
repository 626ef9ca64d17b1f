"""Datasets, saved or on the Hub, as a provider. Run: pytest tests/collect/providers/test_provider_hub.py"""

import io
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from hub_server import HubServer
from PIL import Image
from small_films import encoded, picture

from hf_bones.collect.candidate import Candidate, ProviderError
from hf_bones.collect.providers.hub import Hub, HubOptions


def hub(dataset: Path | str, limit: int | None = None, **options: Any) -> list[Candidate]:
    return list(Hub(HubOptions(dataset=str(dataset), **options)).search("", limit))


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
