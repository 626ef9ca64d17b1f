"""The model inside the package. Run: pytest tests/inference/test_bundled.py"""

import json
from importlib import resources
from pathlib import Path

import pytest
from transformers import AutoImageProcessor, AutoModelForImageClassification, pipeline

from hf_bones import BonePredictor
from hf_bones.dataset.drawn.radiograph import draw_radiograph
from hf_bones.inference.checkpoint import find_seen_films
from hf_bones.labels import THREE_CLASS

FOLDER = Path(str(resources.files("hf_bones") / "checkpoint"))


@pytest.fixture(scope="module")
def record():
    return json.loads((FOLDER / "record.json").read_text(encoding="utf-8"))


def test_it_is_small_and_safetensors_only():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 16_000_000
    assert not [path for path in FOLDER.iterdir() if path.suffix in {".bin", ".pt", ".pth", ".pkl"}]


def test_it_learnt_only_from_rows_whose_licence_allows_it(record):
    assert set(record["data"]["licences"]) <= {"CC-BY-4.0", "CC0-1.0", "LicenseRef-PD"}
    assert not record["data"]["synthetic_only"]
    assert any("FracAtlas" in sentence for sentence in record["data"]["attribution"])


def test_its_list_of_films_seen_is_small_and_holds_the_films_of_its_record(record):
    seen = find_seen_films("bundled")
    assert (FOLDER / "seen.npz").stat().st_size <= 300_000
    data = record["data"]
    counts = {split: sum(by.values()) for split, by in data["counts"].items()}
    learnt, validated = int((~seen.validation).sum()), int(seen.validation.sum())
    drawn = data.get("drawn", 0) + data.get("broken_copies", 0)
    assert counts["train"] - drawn <= learnt <= counts["train"] and validated <= counts["validation"]
    assert len(set(seen.owner.tolist())) == len(seen), "each film has a code, so that a copy of another size is found"


def test_its_card_names_the_data_the_noise_and_what_it_is_not():
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    for words in ("FracAtlas", "not a medical device", "kappa", "CC-BY-4.0", "facebook/dinov2-small"):
        assert words in card, words
    assert r"# hf\_bones: the bundled model" in card.splitlines()


def test_nothing_in_it_names_a_folder_of_the_machine_it_was_made_on():
    for path in FOLDER.iterdir():
        if path.suffix in {".json", ".md"}:
            text = path.read_text(encoding="utf-8")
            assert "/work" not in text and "/tmp" not in text and "/home" not in text, path


def test_a_plain_pipeline_says_what_our_predictor_says():
    predictor = BonePredictor.from_pretrained("bundled")
    assert predictor.names == THREE_CLASS.names and predictor.calibrated
    films = [draw_radiograph(seed, size=200).pixels for seed in range(3)]
    from PIL import Image

    processor = AutoImageProcessor.from_pretrained(FOLDER, backend="pil")
    classify = pipeline("image-classification", model=str(FOLDER), image_processor=processor, top_k=None)
    for film, finding in zip(films, predictor.predict(films), strict=True):
        theirs = {entry["label"]: entry["score"] for entry in classify(Image.fromarray(film))}
        assert finding.raw_probabilities == pytest.approx(theirs, abs=1e-4)


def test_it_is_a_plain_transformers_classifier_in_single_precision():
    model = AutoModelForImageClassification.from_pretrained(FOLDER)
    assert model.config.id2label == THREE_CLASS.id2label
    assert {str(parameter.dtype) for parameter in model.parameters()} == {"torch.float32"}
