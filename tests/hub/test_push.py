"""Pushing to and pulling from a small Hub on loopback. Run: pytest tests/hub/test_push.py"""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from hub_server import HubServer
from PIL import Image
from saved_run import NAME

from hf_bones.hub.push import PushError, files_to_push, push_checkpoint

NEEDED = {"config.json", "model.safetensors", "preprocessor_config.json", "decision.json", "record.json"}
PUSHED = NEEDED | {"README.md", "roc.png", "seen.npz"}


def test_only_listed_files_go_up(checkpoint: Path) -> None:
    assert {path.name for path in files_to_push(checkpoint)} == PUSHED
    (checkpoint / "NOTICE").write_text("FracAtlas, CC BY 4.0")
    assert {path.name for path in files_to_push(checkpoint)} == PUSHED | {"NOTICE"}


@pytest.mark.parametrize("name", ["README.md", "config.json", "preprocessor_config.json", "model.safetensors"])
def test_an_incomplete_checkpoint_is_not_pushed(checkpoint: Path, name: str) -> None:
    (checkpoint / name).unlink()
    with pytest.raises(PushError, match=re.escape(name)):
        files_to_push(checkpoint)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "optimizer.pt", "last.ckpt", "stats.pkl"])
def test_a_folder_with_a_pickle_is_not_pushed(checkpoint: Path, name: str) -> None:
    (checkpoint / name).write_bytes(b"\x80\x04.")
    with pytest.raises(PushError, match=re.escape(name)):
        files_to_push(checkpoint)


def test_a_dry_run_and_a_bad_id_send_nothing(checkpoint: Path) -> None:
    done = push_checkpoint(checkpoint, NAME, dry_run=True)
    assert done.commit is None and set(done.files) == PUSHED and done.url.endswith(NAME)
    with pytest.raises(PushError, match="cannot be a Hub id"):
        push_checkpoint(checkpoint, "ada/my bones!")
    with pytest.raises(PushError, match="no such folder"):
        push_checkpoint(checkpoint / "nothing", NAME)


ROUND_TRIP = """
import json, sys
from pathlib import Path
import numpy as np
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification, pipeline
from hf_bones import BonePredictor
from hf_bones.hub.push import push_checkpoint
from hf_bones.inference.checkpoint import find_checkpoint, find_seen_films
from hf_bones.inference.decision import read_decision, write_decision, DecisionRule
from hf_bones.labels import THREE_CLASS

folder, name, picture = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
first = push_checkpoint(folder, name)
pulled = BonePredictor.from_pretrained(name).predict(picture)[0]
local = BonePredictor.from_pretrained(folder).predict(picture)[0]
processor = AutoImageProcessor.from_pretrained(name, backend="pil")
plain = pipeline("image-classification", model=name, image_processor=processor)(picture, top_k=3)
model = AutoModelForImageClassification.from_pretrained(name)
again = push_checkpoint(folder, name)
write_decision(DecisionRule(5.0, THREE_CLASS, read_decision(folder).image_size), folder)
second = push_checkpoint(folder, name, commit_message="New temperature")
newest = BonePredictor.from_pretrained(name).predict(picture)[0]
pinned = BonePredictor.from_pretrained(name, revision=first.commit).predict(picture)[0]
branch = push_checkpoint(folder, name, revision="trial")
pulled_files = sorted(path.name for path in find_checkpoint(name, first.commit).folder.iterdir())
seen_films = find_seen_films(name, first.commit)
print(json.dumps({
    "pulled files": pulled_files,
    "seen": [seen_films.find(each, list) for each in ("ab" * 32, "cd" * 32)],
    "commits": [first.commit, again.commit, second.commit, branch.commit],
    "url": first.url,
    "pulled": pulled.to_dict(), "local": local.to_dict(), "newest": newest.to_dict(), "pinned": pinned.to_dict(),
    "plain": {row["label"]: row["score"] for row in plain},
    "model": type(model).__name__,
    "trial": BonePredictor.from_pretrained(name, revision="trial").revision,
}))
"""


@pytest.mark.slow
def test_a_checkpoint_goes_up_and_comes_back_the_same(hub: HubServer, checkpoint: Path, tmp_path: Path) -> None:
    picture = tmp_path / "wrist.png"
    small = np.random.default_rng(3).integers(0, 256, (5, 4), dtype=np.uint8)
    Image.fromarray(small).resize((90, 120), Image.Resampling.BICUBIC).save(picture)
    weights = (checkpoint / "model.safetensors").read_bytes()
    output = hub.run_python(ROUND_TRIP, tmp_path / "home", str(checkpoint), NAME, str(picture))
    seen = json.loads(output.splitlines()[-1])
    first, again, second, branch = seen["commits"]

    assert set(hub.files(NAME, first)) == PUSHED | {".gitattributes"}
    assert hub.files(NAME, first)["model.safetensors"] == weights and hub.repo(NAME).commits[first]["model.safetensors"].lfs
    assert hub.repo(NAME).private and seen["url"] == f"{hub.url}/{NAME}"

    assert seen["pulled"]["raw_probabilities"] == pytest.approx(seen["local"]["raw_probabilities"], abs=1e-6)
    assert seen["pulled"]["probabilities"] == pytest.approx(seen["local"]["probabilities"], abs=1e-6)
    assert seen["pulled"]["raw_probabilities"] == pytest.approx(seen["plain"], abs=1e-4)
    assert seen["model"] == "Dinov2ForImageClassification"
    assert (seen["pulled"]["checkpoint"], seen["pulled"]["revision"], seen["pulled"]["calibrated"]) == (NAME, first, True)

    assert seen["pulled files"] == sorted(NEEDED), "a prediction needs no list of films seen"
    assert seen["seen"] == ["learnt", "chosen"], "it is fetched for whoever scores"

    assert again == first, "nothing changed, so there is no new commit"
    assert second != first and hub.repo(NAME).messages[second] == "New temperature"
    changed = {path for path, content in hub.files(NAME, second).items() if hub.files(NAME, first)[path] != content}
    assert changed == {"decision.json"}
    assert sum(method == "PUT" for method, _, _ in hub.requests) == 3, "weights, plot and list of films went up once each"
    assert seen["newest"]["revision"] == second and seen["pinned"]["revision"] == first
    assert max(seen["newest"]["probabilities"].values()) < max(seen["pinned"]["probabilities"].values())
    assert seen["trial"] == branch == hub.repo(NAME).branches["trial"] == second, "a new branch starts at main and had nothing to add"
    assert hub.storage_tokens == [], "the token is for the Hub, not for the storage host"


REFUSALS = """
import json, os, sys
from pathlib import Path
from huggingface_hub import HfApi
from hf_bones.hub.push import PushError, push_checkpoint
from hf_bones.inference.checkpoint import CheckpointError, find_checkpoint, find_seen_films

def message(call, *arguments, **options):
    try:
        call(*arguments, **options)
    except (PushError, CheckpointError) as error:
        return str(error)
    return "no error"

folder = Path(sys.argv[1])
push_checkpoint(folder, "ada/secret")
api = HfApi()
api.create_repo("ada/pickled", private=False)
for name in ("config.json", "preprocessor_config.json"):
    api.upload_file(path_or_fileobj=folder / name, path_in_repo=name, repo_id="ada/pickled")
api.upload_file(path_or_fileobj=b"pickle", path_in_repo="pytorch_model.bin", repo_id="ada/pickled")
said = {
    "wrong token": message(push_checkpoint, folder, "ada/bones", token="hf_wrong"),
    "foreign name": message(push_checkpoint, folder, "eve/bones"),
    "unknown id": message(find_checkpoint, "ada/never-made"),
    "unknown revision": message(find_checkpoint, "ada/secret", "v9"),
    "pickled": message(find_checkpoint, "ada/pickled"),
    "odd id": message(find_checkpoint, "ada--x/bo..nes"),
    "no list": [find_seen_films("ada/pickled"), find_seen_films("ada/never-made")],
    "bad card": None,
}
card = folder / "README.md"
card.write_text(card.read_text().replace("library_name:", "library_name: ["))
try:
    push_checkpoint(folder, "ada/bones")
except ValueError as error:
    said["bad card"] = str(error)
del os.environ["HF_TOKEN"]
said["no token"] = message(push_checkpoint, folder, "ada/bones")
print(json.dumps({**said, "torch": "torch" in sys.modules}))
"""


def test_what_the_hub_refuses_is_said_plainly(hub: HubServer, checkpoint: Path, tmp_path: Path) -> None:
    said = json.loads(hub.run_python(REFUSALS, tmp_path / "home", str(checkpoint)).splitlines()[-1])
    for case in ("wrong token", "no token", "foreign name"):
        assert "ada/bones" in said[case] or "eve/bones" in said[case]
        assert "HF_TOKEN" in said[case], case
    assert "(401)" in said["wrong token"] and "(403)" in said["foreign name"]
    assert "ada/never-made" in said["unknown id"] and "Check the spelling" in said["unknown id"]
    assert "'v9'" in said["unknown revision"]
    assert "no model.safetensors" in said["pickled"] and "not loaded" in said["pickled"]
    assert "cannot be a Hub id" in said["odd id"]
    assert said["no list"] == [None, None], "a checkpoint without a list of films seen, and one that is not there"
    assert "README.md" in said["bad card"]
    assert ("model", "ada/bones") not in hub.repos or set(hub.files("ada/bones")) == {".gitattributes"}
    assert said["torch"] is False, "pushing and looking up need no torch"


FIND = """
import os, sys
from hf_bones.inference.checkpoint import CheckpointError, find_checkpoint

def find():
    try:
        print(find_checkpoint("ada/secret").revision)
    except CheckpointError as error:
        print(str(error).replace(chr(10), " "))
"""
STRANGERS = f"""{FIND}
from hf_bones.hub.push import push_checkpoint
mine = os.environ["HF_TOKEN"]
push_checkpoint(sys.argv[1], "ada/secret")
for token in ("", "hf_bob", "hf_wrong", mine):
    os.environ["HF_TOKEN"] = token
    find()
"""
ABSENT = f"""{FIND}
from huggingface_hub import constants
find()
constants.HF_HUB_CACHE = sys.argv[1]
find()
"""


def test_a_private_model_is_not_there_for_others_and_an_absent_hub_is_said_to_be_absent(
    hub: HubServer, checkpoint: Path, tmp_path: Path
) -> None:
    hub.tokens["hf_bob"] = "bob"
    output = hub.run_python(STRANGERS, tmp_path / "home", str(checkpoint))
    hidden, bob, wrong, owner = output.splitlines()[-4:]
    for said in (hidden, bob, wrong):
        assert "ada/secret" in said and "log in" in said
    assert owner == hub.repo("ada/secret").branches["main"]
    hub.close()
    cached, empty = hub.run_python(ABSENT, tmp_path / "home", str(tmp_path / "empty")).splitlines()[-2:]
    assert cached == owner, "what is in the cache needs no Hub"
    assert "cannot be reached" in empty


def test_the_small_hub_checks_what_it_is_sent(hub: HubServer) -> None:
    def status(method: str, url: str, content: bytes) -> int:
        request = urllib.request.Request(url, content, {"Authorization": "Bearer hf_loopback_writer"}, method=method)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as response:
                return response.status
        except urllib.error.HTTPError as error:
            return error.code

    assert status("POST", f"{hub.url}/api/repos/create", b'{"name": "x", "organization": "ada"}') == 200
    assert status("PUT", f"{hub.storage_url}/lfs/{'0' * 64}", b"something else") == 400
    line = json.dumps({"key": "lfsFile", "value": {"path": "model.safetensors", "algo": "sha256", "oid": "0" * 64, "size": 3}})
    assert status("POST", f"{hub.url}/api/models/ada/x/commit/main", line.encode()) == 400
    assert status("POST", f"{hub.url}/api/repos/create", b'{"name": "x", "organization": "ada"}') == 409
    assert status("GET", f"{hub.url}/api/nonsense", b"") == 404
