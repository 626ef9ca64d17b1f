"""Pushing to and pulling from a small Hub on loopback, and the model card. Run: pytest tests/hub/test_hub.py"""

from __future__ import annotations

import json
import re
import shutil
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hub_server import HubServer
from PIL import Image
from transformers import Dinov2Config, Dinov2ForImageClassification
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.evaluation.report.figures import Resampling
from hf_bones.evaluation.report.report import evaluate_probabilities
from hf_bones.evaluation.report.results import Circumstances
from hf_bones.evaluation.report.rows import ScoredRows
from hf_bones.hub.card import card_text, write_card
from hf_bones.hub.push import PushError, files_to_push, push_checkpoint
from hf_bones.inference.decision import Decision, write_decision
from hf_bones.labels import THREE_CLASS
from hf_bones.preprocess import InputSpec, image_processor
from hf_bones.record import environment, write_json

SIZE = 56
NAME = "ada/bones"
RECORD = {
    "schema_version": 1,
    "recipe": {"name": "quickstart"},
    "base_model": "facebook/dinov2-small",
    "base_model_id": "facebook/dinov2-small",
    "data": {
        "dataset": "FracAtlas-derived manifest",
        "sha256": "ab" * 32,
        "split_sha256": "cd" * 32,
        "counts": {
            "train": {"healthy": 30, "fractured": 20, "beyond_repair": 10},
            "validation": {"healthy": 9, "fractured": 6, "beyond_repair": 3},
        },
        "licences": {"CC-BY-4.0": 78},
        "synthetic_only": False,
    },
    "environment": environment(),
    "metrics": {"validation": {"auroc_abnormal": 0.8125, "balanced_accuracy": 0.625, "correct_healthy": 7, "support_healthy": 9}},
    "started": "2026-11-23T01:00:00+00:00",
    "finished": "2026-11-23T01:04:00+00:00",
    "test_looks": [],
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint with decision, record and card, and files that must never leave the machine."""
    folder = tmp_path_factory.mktemp("saved") / "run"
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": SIZE, "patch_size": 14, "mlp_ratio": 2}
    model = Dinov2ForImageClassification(
        Dinov2Config(**shape, initializer_range=0.3, id2label=THREE_CLASS.id2label, label2id=THREE_CLASS.label2id)
    )
    model.save_pretrained(folder)
    image_processor(InputSpec(SIZE)).save_pretrained(folder)
    write_decision(Decision(2.0, THREE_CLASS, SIZE, fitted_on={"n": 18}), folder)
    write_json(folder / "record.json", RECORD)
    write_card(folder)
    Image.new("L", (8, 8)).save(folder / "roc.png")
    (folder / "worst_errors.html").write_text("pictures of patients")
    Image.new("L", (8, 8)).save(folder / "worst_errors.png")
    (folder / "run.json").write_text("{}")
    (folder / "checkpoint-2").mkdir()
    (folder / "checkpoint-2" / "optimizer.pt").write_bytes(b"pickle")
    return folder


@pytest.fixture
def checkpoint(saved: Path, tmp_path: Path) -> Path:
    """A copy of `saved` to spoil."""
    return Path(shutil.copytree(saved, tmp_path / "run"))


PUSHED = {"config.json", "model.safetensors", "preprocessor_config.json", "decision.json", "record.json", "README.md", "roc.png"}


# --- what goes up -----------------------------------------------------------------------------------------------------


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


# --- there and back ---------------------------------------------------------------------------------------------------

ROUND_TRIP = """
import json, sys
from pathlib import Path
import numpy as np
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification, pipeline
from hf_bones import BonePredictor
from hf_bones.hub.push import push_checkpoint
from hf_bones.inference.decision import read_decision, write_decision, Decision
from hf_bones.labels import THREE_CLASS

folder, name, picture = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
first = push_checkpoint(folder, name)
pulled = BonePredictor.from_pretrained(name).predict(picture)[0]
local = BonePredictor.from_pretrained(folder).predict(picture)[0]
processor = AutoImageProcessor.from_pretrained(name, backend="pil")
plain = pipeline("image-classification", model=name, image_processor=processor)(picture, top_k=3)
model = AutoModelForImageClassification.from_pretrained(name)
again = push_checkpoint(folder, name)
write_decision(Decision(5.0, THREE_CLASS, read_decision(folder).image_size), folder)
second = push_checkpoint(folder, name, commit_message="New temperature")
newest = BonePredictor.from_pretrained(name).predict(picture)[0]
pinned = BonePredictor.from_pretrained(name, revision=first.commit).predict(picture)[0]
branch = push_checkpoint(folder, name, revision="trial")
print(json.dumps({
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

    assert again == first, "nothing changed, so there is no new commit"
    assert second != first and hub.repo(NAME).messages[second] == "New temperature"
    changed = {path for path, content in hub.files(NAME, second).items() if hub.files(NAME, first)[path] != content}
    assert changed == {"decision.json"}
    assert sum(method == "PUT" for method, _, _ in hub.requests) == 2, "weights and plot went up once each"
    assert seen["newest"]["revision"] == second and seen["pinned"]["revision"] == first
    assert max(seen["newest"]["probabilities"].values()) < max(seen["pinned"]["probabilities"].values())
    assert seen["trial"] == branch == hub.repo(NAME).branches["trial"] == second, "a new branch starts at main and had nothing to add"
    assert hub.storage_tokens == [], "the token is for the Hub, not for the storage host"


REFUSALS = """
import json, os, sys
from pathlib import Path
from huggingface_hub import HfApi
from hf_bones.hub.push import PushError, push_checkpoint
from hf_bones.inference.checkpoint import CheckpointError, find_checkpoint

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


# --- the card ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation of made-up probabilities on rows of two sources, with a baseline."""
    folder = tmp_path_factory.mktemp("evaluation")
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [60, 40, 20])
    scores = np.eye(3)[labels] * 0.2 + rng.dirichlet([1, 1, 1], 120) * 0.8
    rows = ScoredRows(
        names=THREE_CLASS.names,
        normal_id=0,
        labels=labels,
        probabilities=scores,
        groups=[f"g{index // 3}" for index in range(120)],
        sources=["fracatlas"] * 90 + ["scraped"] * 30,
        regions=["hand"] * 120,
        image_ids=[str(index) for index in range(120)],
        image=lambda index: Image.new("L", (40, 40)),
    )
    about = Circumstances("run", "/home/ada/bones", "test", "ef" * 32, looks=2)
    baseline = {"majority": np.tile([0.9, 0.05, 0.05], (120, 1))}
    evaluate_probabilities(rows, folder, about, baselines=baseline, resampling=Resampling(repeats=50))
    return folder


def front_matter(text: str) -> dict[str, object]:
    found = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    assert found is not None
    return yaml.safe_load(found[1])


def test_the_card_has_every_part(checkpoint: Path, evaluation: Path) -> None:
    text = write_card(checkpoint, name=NAME, evaluation=evaluation).read_text()
    matter = front_matter(text)
    assert matter["license"] == "apache-2.0" and matter["library_name"] == "transformers"
    assert matter["pipeline_tag"] == "image-classification" and matter["base_model"] == "facebook/dinov2-small"
    assert "datasets" not in matter, "the record names no Hub dataset"
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings == ["What it is", "Labels", "Training data", "Figures", "Calibration", "How to use", "Limits", "Provenance"]
    assert "not a medical device" in text and "not a radiological term" in text
    for label in THREE_CLASS.classes:
        assert label.definition in text
    assert f"# {NAME}" in text and f'BonePredictor.from_pretrained("{NAME}")' in text and 'backend="pil"' in text
    assert "| train | 30 | 20 | 10 |" in text and "CC-BY-4.0 (78)" in text
    assert "Temperature 2.000 (fitted on 18 validation images)" in text
    assert "AUROC(abnormal) 0.812" in text and "healthy 7 of 9" in text
    assert "learnt from drawn" not in text
    assert not re.search(r"\b(nan|none|null)\b", text, re.IGNORECASE)


def test_the_card_shows_each_source_apart_with_intervals_counts_and_baselines(checkpoint: Path, evaluation: Path) -> None:
    text = write_card(checkpoint, evaluation=evaluation).read_text()
    rows = [line for line in text.splitlines() if line.startswith(("| all |", "| fracatlas only |", "| scraped only |"))]
    assert len(rows) == 6 and sum("**this model**" in row for row in rows) == 3 and sum("baseline: majority" in row for row in rows) == 3
    assert re.search(r"\d\.\d\d \(\d\.\d\d–\d\.\d\d\)", rows[0]) and re.search(r"\d+ of 60: ", rows[0])
    assert "– (" in next(row for row in rows if row.startswith("| scraped")), "scraped rows have no healthy film, so no AUROC"
    assert "look number 2" in text and "/home/ada" not in text
    assert {"metrics.json", "roc.png", "confusion.png"} <= {path.name for path in files_to_push(checkpoint)}
    assert not any("worst" in path.name for path in files_to_push(checkpoint))


def test_what_is_not_there_is_not_invented(checkpoint: Path) -> None:
    for name in ("record.json", "decision.json"):
        (checkpoint / name).unlink()
    text = card_text(checkpoint)
    assert front_matter(text)["license"] == "other" and "base_model" not in front_matter(text)
    figures = text[text.index("## Figures") : text.index("## How to use")]
    assert figures.count("not measured") == 3 and not re.search(r"\d\.\d", figures)
    assert "not calibrated" in text and "licences not recorded" in text
    assert THREE_CLASS.definition("fractured") in text, "the names are those of the shipped scheme"


def test_a_model_of_drawn_images_says_so(checkpoint: Path) -> None:
    data = {**RECORD["data"], "synthetic_only": True, "licences": {"CC0-1.0": 300}}
    write_json(checkpoint / "record.json", {**RECORD, "data": data})
    assert "learnt from drawn radiographs only" in card_text(checkpoint)


def test_unclear_licences_are_not_passed_off_as_clear(checkpoint: Path) -> None:
    write_json(checkpoint / "record.json", {**RECORD, "data": {**RECORD["data"], "licences": {"CC-BY-4.0": 10, "unclear": 3}}})
    text = card_text(checkpoint)
    assert front_matter(text)["license"] == "other" and "Trained on rows under unclear" in text


def test_figures_of_other_classes_are_refused(checkpoint: Path, evaluation: Path, tmp_path: Path) -> None:
    metrics = json.loads((evaluation / "metrics.json").read_text())
    (tmp_path / "metrics.json").write_text(json.dumps({**metrics, "classes": ["healthy", "fractured"]}))
    with pytest.raises(ValueError, match="evaluate it again"):
        write_card(checkpoint, evaluation=tmp_path)


def test_text_from_files_cannot_break_the_card(checkpoint: Path) -> None:
    data = {**RECORD["data"], "dataset": "a|b\n<script>\n## Limits"}
    write_json(checkpoint / "record.json", {**RECORD, "data": data, "base_model_id": "x/y\n- evil: 1"})
    text = card_text(checkpoint)
    assert "<script" not in text and len(re.findall(r"^## Limits", text, re.MULTILINE)) == 1
    assert "evil" not in front_matter(text) and "base_model" not in front_matter(text)


def test_the_command_writes_the_card_checks_and_lists(checkpoint: Path, evaluation: Path) -> None:
    (checkpoint / "README.md").unlink()
    command = ["push", str(checkpoint), NAME, "--evaluation", str(evaluation), "--dry-run"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert {"README.md", "metrics.json", "confusion.png"} <= set(done.output.split()) and "would push to" in done.output
    assert f"# {NAME}" in (checkpoint / "README.md").read_text()
    for wrong in (["push", "nowhere", NAME, "--dry-run"], [*command, "--keep-card"]):
        assert CliRunner().invoke(app, wrong).exit_code == 2
