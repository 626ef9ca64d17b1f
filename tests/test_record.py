"""record.json and its hashes. Run: pytest tests/test_record.py"""

import hashlib
import json
import math
import os

import numpy as np
import pytest

from hf_bones.record import environment, json_text, read_json, sha256_file, sha256_rows, write_json


def test_numpy_values_nan_and_paths_become_plain_json(tmp_path):
    path = tmp_path / "deep" / "record.json"
    write_json(path, {"a": np.float32(0.5), "b": np.arange(3), "c": math.nan, "d": [np.nan, np.inf], "e": tmp_path, "f": (1, np.int64(2))})
    assert json.loads(path.read_text()) == {"a": 0.5, "b": [0, 1, 2], "c": None, "d": [None, None], "e": str(tmp_path), "f": [1, 2]}
    assert [p.name for p in path.parent.iterdir()] == ["record.json"]


def test_a_file_name_that_is_no_utf8_is_an_escape_in_a_document_that_is():
    name = os.fsdecode(b"film \xe9.png")
    assert json_text({"file": name, "note": "\u00e9"}).encode().count(b"\\udce9") == 1
    assert os.fsencode(json.loads(json_text({"file": name}))["file"]) == b"film \xe9.png"


def test_a_failed_write_leaves_the_old_file_whole(tmp_path):
    path = tmp_path / "record.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert read_json(path) == {"a": 1}


def test_the_hash_of_rows_does_not_depend_on_their_order():
    assert sha256_rows([("a", 1), ("b", 2)]) == sha256_rows([("b", 2), ("a", 1)])
    assert sha256_rows([("a", 1)]) != sha256_rows([("a", 2)])


def test_the_hash_of_a_file_is_that_of_its_bytes(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"bones" * 100_000)
    assert sha256_file(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_reading_something_else_names_the_file(tmp_path):
    path = tmp_path / "record.json"
    path.write_text("[1]")
    with pytest.raises(ValueError, match=r"record\.json"):
        read_json(path)


def test_the_environment_names_versions_and_no_folder_of_the_machine():
    text = json.dumps(environment())
    assert "transformers" in text
    assert "/" not in text
