"""`hf-bones download` against registries on loopback. Run: pytest tests/collect/download/test_download.py"""

from __future__ import annotations

import hashlib
import json
import shutil
from types import SimpleNamespace

import pytest
from registries import FRACATLAS, GRAZPEDWRI, packed, publish_figshare, publish_mendeley, publish_zenodo

from hf_bones.collect.download.state import NAME


def record(folder):
    return json.loads((folder / NAME).read_text())


def test_a_known_set_comes_whole_with_licence_and_citation_before_and_beside_it(run, rogue, tmp_path):
    archive = packed({"FracAtlas/dataset.csv": "image_id,fractured\n", "FracAtlas/images/Fractured/IMG0000001.jpg": b"x" * 5000})
    publish_figshare(rogue, FRACATLAS, {"FracAtlas.zip": archive})
    done = run("fracatlas", "--out", tmp_path / "raw")
    assert done.exit_code == 0, done.output
    said = done.stderr
    assert "licence: CC-BY-4.0, in the registry's words 'CC BY 4.0', https://creativecommons.org/licenses/by/4.0/" in said
    assert "cite: Abedeen, Iftekharul (2023)." in said and "Scientific Data 10, 521 (2023)" in said
    assert "No class beyond_repair." in said
    assert f"next: hf-bones build {tmp_path / 'raw'} --labels two-class --out data/fracatlas" in done.stdout
    assert (tmp_path / "raw/FracAtlas/images/Fractured/IMG0000001.jpg").read_bytes() == b"x" * 5000
    assert not (tmp_path / "raw/FracAtlas.zip").exists()  # unpacked, and not kept
    kept = record(tmp_path / "raw")
    assert (kept["registry"], kept["article"], kept["version"], kept["licence"]) == ("figshare", FRACATLAS, "6", "CC-BY-4.0")
    assert kept["doi"] == f"10.6084/m9.figshare.{FRACATLAS}.v6" and kept["started"] and kept["finished"] and len(kept["citation"]) == 2
    file = kept["files"][0]
    assert (file["checksum"], file["sha256"]) == (f"md5:{hashlib.md5(archive).hexdigest()}", hashlib.sha256(archive).hexdigest())
    assert (file["verified"], file["state"], file["unpacked_to"], file["members"]) == (True, "unpacked", "FracAtlas", 2)
    assert file["url"].startswith(f"{rogue.url}/store/")

    asked = len(rogue.hits)
    again = run("fracatlas", "--out", tmp_path / "raw")
    assert again.exit_code == 0 and not any("store" in path for path in rogue.hits[asked:])  # nothing comes twice


def test_the_list_tells_what_is_known_and_asks_for_the_sizes(run, rogue):
    publish_figshare(rogue, FRACATLAS, {"FracAtlas.zip": b"0" * 12_345_678})
    done = run("--list")
    assert done.exit_code == 0
    assert "FracAtlas: 4,083 films, 12.3 MB, CC-BY-4.0 (doi:10.6084/m9.figshare.22363012)" in done.stdout
    assert "GRAZPEDWRI-DX: 20,327 films, size unknown" in done.stdout and "grazpedwri: figshare has no public 14825193" in done.stderr
    assert done.stdout.count("No class beyond_repair") == 2


def test_a_dry_run_writes_nothing_and_names_each_file(run, rogue, tmp_path):
    publish_figshare(rogue, GRAZPEDWRI, {"dataset.csv": b"filestem\n", "images_part1.zip": b"0" * 100})
    done = run("grazpedwri", "--out", tmp_path / "raw", "--dry-run")
    assert done.exit_code == 0 and "dataset.csv  9 bytes  md5:" in done.stdout and "images_part1.zip  100 bytes" in done.stdout
    assert not (tmp_path / "raw").exists() and not any("store" in path for path in rogue.hits)


def test_only_some_files_and_the_rest_later(run, rogue, tmp_path):
    files = {"dataset.csv": b"filestem\n", "images_part1.zip": packed({"a.png": b"a"}), "images_part2.zip": packed({"b.png": b"b"})}
    publish_figshare(rogue, GRAZPEDWRI, files)
    out = tmp_path / "raw"
    assert run("grazpedwri", "--out", out, "--only", "*.csv", "--only", "*part2*").exit_code == 0
    assert (out / "images_part2/b.png").read_bytes() == b"b" and not (out / "images_part1").exists()
    assert run("grazpedwri", "--out", out, "--keep-archives").exit_code == 0
    assert (out / "images_part1/a.png").read_bytes() == b"a" and (out / "images_part1.zip").is_file()
    assert [file["state"] for file in record(out)["files"]] == ["whole", "unpacked", "unpacked"]
    none = run("grazpedwri", "--out", out, "--only", "*.tif")
    assert none.exit_code == 2 and "it has dataset.csv, images_part1.zip, images_part2.zip" in none.stderr


def test_a_record_of_zenodo_and_a_dataset_of_mendeley_come_by_doi(run, rogue, tmp_path):
    publish_zenodo(rogue, "18492013", {"films.zip": packed({"healthy/a.png": b"a", "fractured/b.png": b"b"})}, licence={"id": "cc-by-4.0"})
    done = run("doi:10.5281/zenodo.18492013", "--out", tmp_path / "z")
    assert done.exit_code == 0, done.output
    assert "cite: Roentgen, W.; Curie, M. (2024): Wrists, version v2, Zenodo, https://doi.org/10.5281/zenodo.18492013" in done.stderr
    assert (tmp_path / "z/films/healthy/a.png").is_file() and record(tmp_path / "z")["licence"] == "CC-BY-4.0"

    publish_mendeley(rogue, "vg95gvhj3y", {"readme.txt": b"hello", "simple/1.png": b"1", "comminuted/1.png": b"2"})
    done = run("https://doi.org/10.17632/VG95GVHJ3Y.3", "--out", tmp_path / "m")
    assert done.exit_code == 0, done.output
    assert "licence: CC-BY-NC-3.0" in done.stderr and "NC: not for commercial use" in done.stderr
    assert "warning: 3,090 augmented copies of 309 films" in done.stderr
    assert {path.relative_to(tmp_path / "m").as_posix() for path in (tmp_path / "m").rglob("*.png")} == {"simple/1.png", "comminuted/1.png"}
    kept = record(tmp_path / "m")
    assert kept["version"] == "3" and kept["warning"].startswith("3,090") and all(file["verified"] for file in kept["files"])
    assert all(file["checksum"] == f"sha256:{file['sha256']}" for file in kept["files"])


def test_an_unknown_licence_is_said_plainly_and_recorded_not_refused(run, rogue, tmp_path):
    publish_zenodo(rogue, "77", {"a.txt": b"a"}, licence={"id": "other-closed"})
    done = run("10.5281/zenodo.77", "--out", tmp_path / "z")
    assert done.exit_code == 0
    assert "licence: unknown, in the registry's words 'other-closed'" in done.stderr and "pass nothing on before" in done.stderr
    assert record(tmp_path / "z")["licence"] == "unknown"
    publish_figshare(rogue, FRACATLAS, {"a.txt": b"a"}, license={"name": "CC BY-NC-ND 4.0", "url": ""})
    done = run("fracatlas", "--out", tmp_path / "f")
    assert "the authors' paper states CC-BY-4.0" in done.stderr and record(tmp_path / "f")["licence"] == "CC-BY-NC-ND-4.0"


def test_many_files_come_from_several_pages_of_figshares_answer(run, rogue, tmp_path):
    publish_figshare(rogue, "5", {f"{number:03}.txt": str(number).encode() for number in range(110)})
    done = run("doi:10.6084/m9.figshare.5", "--out", tmp_path / "raw", "--only", "?0?.txt")
    assert done.exit_code == 0 and len(list((tmp_path / "raw").glob("*.txt"))) == 20
    (tmp_path / "raw" / NAME).write_text((tmp_path / "raw" / NAME).read_text().replace('"whole"', '"waiting"'))
    asked = len(rogue.hits)  # as a kill leaves it after a file is there and before the record says so
    assert run("doi:10.6084/m9.figshare.5", "--out", tmp_path / "raw", "--only", "?0?.txt").exit_code == 0
    assert len(rogue.hits) == asked + 3 and {file["state"] for file in record(tmp_path / "raw")["files"]} == {"whole"}


def test_two_files_of_one_name_are_told_apart_and_our_own_record_is_not_overwritten(run, rogue, tmp_path):
    names = {"a.csv": b"1", "b.csv": b"2", NAME: b"3"}
    publish_figshare(rogue, "5", names)
    path = "/v2/articles/5/versions/6/files?page=1&page_size=100"
    entries = {}
    rogue.routes[path](SimpleNamespace(send=lambda body, **headers: entries.update(all=json.loads(body))))
    entries["all"][1]["name"] = "a.csv"
    rogue.page(path, json.dumps(entries["all"]).encode())
    assert run("doi:10.6084/m9.figshare.5", "--out", tmp_path / "raw").exit_code == 0
    there = {file.name: file.read_bytes() for file in (tmp_path / "raw").glob("*-2.*")} | {"a.csv": (tmp_path / "raw/a.csv").read_bytes()}
    assert there == {"a.csv": b"1", "a-2.csv": b"2", "hf_bones_download-2.json": b"3"} and record(tmp_path / "raw")["article"] == "5"


def test_a_run_that_was_killed_while_its_files_were_put_in_place_is_caught_up_with(run, rogue, tmp_path):
    publish_figshare(rogue, FRACATLAS, {"FracAtlas.zip": packed({"FracAtlas/a.txt": b"a"})})
    assert run("fracatlas", "--out", tmp_path / "raw", "--keep-archives").exit_code == 0
    kept = record(tmp_path / "raw")
    kept["files"][0]["state"] = "placing"
    for moved in (True, False):
        (tmp_path / "raw" / NAME).write_text(json.dumps(kept))
        space = tmp_path / f"raw/.unpacking-{kept['files'][0]['sha256'][:12]}"
        space.mkdir()
        if not moved:
            (tmp_path / "raw/FracAtlas").rename(space / "FracAtlas")
        assert run("fracatlas", "--out", tmp_path / "raw", "--keep-archives").exit_code == 0
        assert (tmp_path / "raw/FracAtlas/a.txt").is_file() and not space.exists()
        assert [path.name for path in (tmp_path / "raw").iterdir() if path.is_dir()] == ["FracAtlas"]


def test_a_record_without_files_says_where_to_look(run, rogue, tmp_path):
    publish_zenodo(rogue, "88", {}, licence=None)
    closed = run("10.5281/zenodo.88", "--out", tmp_path / "z")
    assert closed.exit_code == 1 and "no public files (access: open); look at https://zenodo.org/records/88" in closed.stderr


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("fracatlass", "did you mean 'fracatlas'?"),
        ("doi:10.1000/182", "no DOI of a registry that can be asked"),
        ("", "which set?"),
        ("doi:10.5281/zenodo.1", "zenodo has no public 1"),
    ],
)
def test_what_is_no_set_is_answered_with_what_would_be_one(run, word, says):
    done = run(*([word] if word else []))
    assert done.exit_code == 2 and says in done.stderr


def test_a_folder_that_holds_something_else_is_left_alone(run, rogue, tmp_path):
    publish_figshare(rogue, FRACATLAS, {"a.txt": b"a"})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/film.png").write_bytes(b"film")
    busy = run("fracatlas", "--out", tmp_path / "mine")
    assert busy.exit_code == 2 and "is not empty, and holds no download: choose another --out" in busy.stderr
    assert run("fracatlas", "--out", tmp_path / "raw").exit_code == 0
    publish_figshare(rogue, FRACATLAS, {"a.txt": b"b"}, version=7)
    newer = run("fracatlas", "--out", tmp_path / "raw")
    assert newer.exit_code == 2 and "holds version 6 of The dataset, and figshare has version 7 now" in newer.stderr
    assert run("doi:10.6084/m9.figshare.22363012.v6", "--out", tmp_path / "raw").exit_code == 0
    publish_figshare(rogue, GRAZPEDWRI, {"a.txt": b"a"})
    assert f"holds figshare {FRACATLAS}" in run("grazpedwri", "--out", tmp_path / "raw").stderr


def test_what_was_deleted_since_comes_again(run, rogue, tmp_path):
    publish_figshare(rogue, FRACATLAS, {"FracAtlas.zip": packed({"FracAtlas/a.txt": b"a"}), "b.txt": b"b"})
    assert run("fracatlas", "--out", tmp_path / "raw").exit_code == 0
    shutil.rmtree(tmp_path / "raw/FracAtlas")
    (tmp_path / "raw/b.txt").unlink()
    assert run("fracatlas", "--out", tmp_path / "raw").exit_code == 0
    assert (tmp_path / "raw/FracAtlas/a.txt").is_file() and (tmp_path / "raw/b.txt").is_file()


def test_json_is_one_document(run, rogue, tmp_path):
    publish_figshare(rogue, FRACATLAS, {"a.txt": b"a"})
    told = json.loads(run("fracatlas", "--out", tmp_path / "raw", "--json", "--quiet").stdout)
    assert told["licence"] == "CC-BY-4.0" and told["files"][0]["state"] == "whole"
    dry = json.loads(run("fracatlas", "--out", tmp_path / "b", "--json", "--dry-run").stdout)
    assert dry["listing"]["files"][0]["size"] == 1
    assert [each["name"] for each in json.loads(run("--list", "--json").stdout)["sets"]] == ["fracatlas", "grazpedwri"]
