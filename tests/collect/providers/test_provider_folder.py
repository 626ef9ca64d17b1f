"""Folders of images as a provider. Run: pytest tests/collect/providers/test_provider_folder.py"""

import errno
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from small_collection import jpeg

from hf_bones.collect.candidate import Candidate, ProviderError
from hf_bones.collect.providers.folder import Folder, FolderOptions, image_files

SCHEME = """
name: joints
classes:
  - {name: whole, definition: Nothing found.}
  - {name: worn, definition: Arthritis., subtypes: [mild], aliases: [arthritis]}
"""


def folder(path: Path, limit: int | None = None, **options: Any) -> list[Candidate]:
    return list(Folder(FolderOptions(path=str(path), **options)).search("", limit))


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


def test_a_locked_folder_and_a_link_that_leads_nowhere_come_as_themselves(tmp_path, monkeypatch):
    for name in ("a/1.png", "b/2.png", "b/inner/3.png", "c/4.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(jpeg())
    (tmp_path / "c" / "lost.png").symlink_to("nothing")
    (tmp_path / "c" / "round.png").symlink_to("round.png")
    (tmp_path / "c" / "lost.txt").symlink_to("nothing")
    read = Path.iterdir

    def locked(self):
        if self.name in ("inner", "shut"):
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return read(self)

    monkeypatch.setattr(Path, "iterdir", locked)
    found = [path.relative_to(tmp_path).as_posix() for path in image_files(tmp_path)]
    assert found == ["a/1.png", "b/2.png", "b/inner", "c/4.png", "c/lost.png", "c/round.png"]
    (tmp_path / "shut").mkdir()
    with pytest.raises(PermissionError):
        list(image_files(tmp_path / "shut"))
