"""Train with --push_to_hub, pull by id, open the demo on it, all against the small Hub. Run: pytest tests/test_train_push_demo.py"""

import json
from pathlib import Path

import numpy as np
import pytest
from hub_server import HubServer
from PIL import Image
from tiny import bar_dataset, bar_picture, tiny_checkpoint

TRAIN_AND_OPEN = """
import json, sys
from hf_bones.cli.main import run

start, data, output, picture = sys.argv[1:]
code = run(*["train", "--recipe", "quickstart", "--cpu", "true", "--model", start, "--image_size", "56", "--dataset", data,
             "--drawn_images", "0", "--drawn_validation_images", "0", "--output_dir", output, "--epochs", "1", "--push_to_hub", "ada/bars"])
assert code == 0, code

from gradio_client import Client, handle_file
from hf_bones import BonePredictor
from hf_bones.app import build_demo
from hf_bones.app.demo.page import serve

local = BonePredictor.from_pretrained(output).predict(picture)[0]
demo = build_demo("ada/bars")
address = serve(demo, host=None, port=None, wait=False)
finding = Client(address, verbose=False).predict(handle_file(picture), api_name="/predict")
demo.close()
print(json.dumps({"demo": finding, "local": local.to_dict()}))
"""


@pytest.mark.slow
def test_what_training_pushed_is_what_the_demo_opens(hub: HubServer, tmp_path: Path) -> None:
    start, data = tiny_checkpoint(tmp_path / "start"), bar_dataset(tmp_path / "data")
    picture = tmp_path / "film.png"
    Image.fromarray(np.ascontiguousarray(bar_picture(1, 5))).save(picture)
    output = hub.run_python(TRAIN_AND_OPEN, tmp_path / "home", str(start), str(data), str(tmp_path / "run"), str(picture))
    seen = json.loads(output.splitlines()[-1])
    assert {"model.safetensors", "config.json", "decision.json", "record.json", "README.md"} <= set(hub.files("ada/bars", "main"))
    assert seen["demo"]["checkpoint"] == "ada/bars"
    assert seen["demo"]["probabilities"] == pytest.approx(seen["local"]["probabilities"], abs=1e-6)
    record = json.loads(hub.files("ada/bars", "main")["record.json"])
    assert str(tmp_path) not in json.dumps(record), "a pushed record names no folder of the machine"
