"""The command line as a user types it. Run: pytest tests/cli/test_cli.py"""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from repository import ROOT
from tiny import bar_dataset, bar_picture, tiny_checkpoint
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.inference.predictor import BonePredictor
from hf_bones.record import read_json


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return tiny_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for index in range(4):
        Image.fromarray(bar_picture(index % 3, index)).save(folder / f"film{index}.png")
    (folder / "notes.jpg").write_text("<html>not found</html>")
    return folder


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_predict_prints_a_line_an_image_and_a_reason_for_a_bad_one(checkpoint, pictures):
    done = run("predict", pictures, "--model", checkpoint)
    assert done.exit_code == 0, done.output
    lines = done.output.strip().splitlines()
    assert len(lines) == 5
    assert sum("unreadable" in line for line in lines) == 1 and "not_an_image" in done.output
    assert all("healthy 0." in line for line in lines if "unreadable" not in line)


def test_predict_writes_a_csv_and_goes_on_with_it(checkpoint, pictures, tmp_path):
    out = tmp_path / "out.csv"
    assert run("predict", pictures, "--model", checkpoint, "--csv", out).exit_code == 0
    rows = list(csv.DictReader(out.open()))
    assert len(rows) == 5 and {"file", "verdict", "p_healthy"} <= set(rows[0])
    again = run("predict", pictures, "--model", checkpoint, "--csv", out)
    assert again.exit_code == 2 and "--resume" in again.output
    out.write_text("".join(out.read_text().splitlines(keepends=True)[:3]))
    assert run("predict", pictures, "--model", checkpoint, "--csv", out, "--resume").exit_code == 0
    assert len(list(csv.DictReader(out.open()))) == 5


def test_predict_passes_mirror_on(checkpoint, tmp_path):
    film = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 4), dtype=np.uint8)).resize((48, 64))
    film.save(tmp_path / "film.png")
    predictor = BonePredictor.from_pretrained(checkpoint, device="cpu")
    plain, mirrored = (predictor.predict(film, mirror=mirror)[0].probabilities["healthy"] for mirror in (False, True))
    assert abs(plain - mirrored) > 1e-4
    for arguments, expected in (((), plain), (("--mirror",), mirrored)):
        out = tmp_path / f"out{len(arguments)}.csv"
        asked = ("predict", tmp_path / "film.png", "--model", checkpoint, "--device", "cpu", *arguments)
        assert run(*asked, "--csv", out).exit_code == 0
        assert float(next(csv.DictReader(out.open()))["p_healthy"]) == pytest.approx(expected, abs=2e-6)

    printed = []
    with pytest.MonkeyPatch.context() as patch:
        real = BonePredictor.predict_iter
        patch.setattr(
            BonePredictor, "predict_iter", lambda self, images, **options: printed.append(options) or real(self, images, **options)
        )
        assert run("predict", tmp_path / "film.png", "--model", checkpoint, "--mirror").exit_code == 0
    assert [options["mirror"] for options in printed] == [True]


def test_what_the_user_can_mend_is_one_line(tmp_path):
    for arguments in (
        ("predict", tmp_path / "nothing.png", "--model", tmp_path),
        ("build", tmp_path / "nowhere", "--output", tmp_path / "x"),
        ("evaluate", tmp_path, tmp_path, "--out", tmp_path / "r"),
    ):
        done = run(*arguments)
        assert done.exit_code == 2, done.output
        assert done.output.startswith("error: ") and str(tmp_path) in done.output


def test_build_evaluate_and_push_dry_run_in_turn(checkpoint, tmp_path):
    data = bar_dataset(tmp_path / "bars")
    built = run("build", data, "--output", tmp_path / "data", "--max-side", 64)
    assert built.exit_code == 0, built.output
    assert "test" in built.output and "dataset:" in built.output
    assert "`hf-bones build bars --output data --max-side 64`" in (tmp_path / "data" / "README.md").read_text()
    scored = run("evaluate", checkpoint, tmp_path / "data", "--out", tmp_path / "report", "--repeats", 50, "--specificity", 0.9)
    assert scored.exit_code == 0, scored.output
    stated = f"hf-bones evaluate {checkpoint.name} data --out report --repeats 50 --specificity 0.9"
    assert (
        read_json(tmp_path / "report" / "metrics.json")["command"] == stated and stated in (tmp_path / "report" / "report.md").read_text()
    )
    assert "AUROC(abnormal)" in scored.output and (tmp_path / "report" / "report.md").exists()
    pushed = run("push", checkpoint, "me/bones", "--dry-run", "--evaluation", tmp_path / "report")
    assert pushed.exit_code == 0, pushed.output
    assert "model.safetensors" in pushed.output and "would push" in pushed.output


def test_recipes_are_listed_and_train_passes_its_keys_on():
    assert "dinov2-small" in run("recipes").output
    done = run("train", "--recipe", "quickstart", "--epochz", "3")
    assert done.exit_code == 2
    assert "No such option: --epochz (Possible options: --epochs" in done.stderr


def test_importing_the_package_loads_no_torch():
    code = "import sys, hf_bones; print(sorted({'torch', 'transformers', 'datasets', 'gradio', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", ["--help", "build --help", "predict --help", "recipes"])
def test_help_needs_no_torch(command):
    lines = ["import sys", f"sys.argv = ['hf-bones', *{command.split()!r}]", "from hf_bones.cli.main import app"]
    lines += ["try:", "    app()", "except SystemExit:", "    pass", "print('torch' in sys.modules)"]
    code = "\n".join(lines)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("False")


def test_every_script_says_what_it_does():
    for script in sorted((ROOT / "scripts").glob("*.py")):
        text = script.read_text()
        assert text.startswith('"""') and len(text.splitlines()) <= 80, script


def test_json_is_one_document_on_stdout_and_quiet_says_the_answer_alone(checkpoint, pictures, tmp_path):
    findings = json.loads(run("predict", pictures, "--model", checkpoint, "--json").stdout)
    assert len(findings) == 5 and sum(finding["verdict"] == "unreadable" for finding in findings) == 1
    told = json.loads(run("predict", pictures, "--model", checkpoint, "--csv", tmp_path / "out.csv", "--json", "--quiet").stdout)
    assert sum(told["verdicts"].values()) == 5 and told["csv"].endswith("out.csv")
    built = json.loads(run("build", bar_dataset(tmp_path / "bars"), "--out", tmp_path / "data", "--json").stdout)
    assert built["refused"] == [] and built["counts"]
    scored = run("evaluate", checkpoint, tmp_path / "data", "--out", tmp_path / "report", "--repeats", 20, "--no-baselines", "--json")
    assert json.loads(scored.stdout)["rows"] == read_json(tmp_path / "report" / "metrics.json")["rows"]
    for words in (
        ["recipes"],
        ["accelerate-config"],
        ["accelerate-config", "cpu"],
        ["look", tmp_path / "data", "--out", tmp_path / "a.png"],
    ):
        assert json.loads(run(*words, "--json").stdout)
    quiet = run("predict", pictures, "--model", checkpoint, "-q")
    assert len(quiet.stdout.splitlines()) == 5 and not quiet.stderr


def test_strict_ends_with_3_where_something_could_not_be_read(checkpoint, pictures, tmp_path):
    assert run("predict", pictures, "--model", checkpoint, "--strict").exit_code == 3
    assert run("predict", pictures / "film0.png", "--model", checkpoint, "--strict").exit_code == 0
    (tmp_path / "films" / "healthy").mkdir(parents=True)
    for index in range(3):
        Image.fromarray(bar_picture(0, index)).save(tmp_path / "films" / "healthy" / f"{index}.png")
    (tmp_path / "films" / "healthy" / "broken.png").write_text("no image")
    assert run("build", tmp_path / "films", "--out", tmp_path / "a", "--strict").exit_code == 3
    assert run("build", tmp_path / "films", "--out", tmp_path / "b").exit_code == 0
