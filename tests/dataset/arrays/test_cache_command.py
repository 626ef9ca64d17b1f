"""`hf-bones cache`: what it says, checks and exports. Run: pytest tests/dataset/arrays/test_cache_command.py"""

import tracemalloc

import datasets
import numpy as np
import pytest
from PIL import Image
from small_cache import SIZE, decoded
from small_films import build, encoded, picture, rows_of
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.dataset.arrays.export import NpzChoices, export_npz
from hf_bones.dataset.arrays.reading import arrays_folder, open_arrays
from hf_bones.dataset.build import load_bones
from hf_bones.images.opening import open_image


@pytest.fixture
def films(tmp_path):
    build(rows_of(30), tmp_path / "dataset")
    return tmp_path / "dataset"


def cache(*arguments):
    return CliRunner().invoke(app, ["cache", *map(str, arguments)])


def test_it_says_what_it_did_for_each_size(films):
    done = cache(films, "--size", 32, "--size", 48)
    assert done.exit_code == 0, done.output
    lines = [line for line in done.stdout.splitlines() if line.startswith(str(films))]
    assert [line.partition(":")[0] for line in lines] == [str(arrays_folder(films, size)) for size in (32, 48)]
    assert "30 of 30 images: 30 decoded" in lines[0] and "MB of pixels" in lines[0] and "images/s" in lines[0]
    assert "0 decoded, 30 kept" in cache(films, "--size", 32).stdout


def test_a_cache_may_lie_elsewhere(films, tmp_path):
    assert cache(films, "--size", 32, "--out", tmp_path / "far").exit_code == 0
    assert (tmp_path / "far" / "32" / "index").is_file() and not (films / "arrays").exists()
    assert cache(films, "--size", 32, "--out", tmp_path / "far", "--verify").exit_code == 0


def test_verify_exits_with_1_where_something_is_wrong_and_mends_nothing(films):
    cache(films, "--size", 32)
    well = cache(films, "--size", 32, "--verify")
    assert well.exit_code == 0 and "every image is there and as it was written" in well.stdout
    (pixels,) = arrays_folder(films, 32).glob("pixels-*.u8")
    content = bytearray(pixels.read_bytes())
    content[100] ^= 1
    pixels.write_bytes(content)
    for _ in range(2):
        ill = cache(films, "--size", 32, "--verify")
        assert ill.exit_code == 1 and "1 of " in ill.stdout and "damaged" in ill.stdout
    assert "images found damaged and dropped: 1" in cache(films, "--size", 32).stdout
    assert cache(films, "--size", 32, "--verify").exit_code == 0


def test_verify_calls_a_stale_cache_stale(films):
    cache(films, "--size", 32)
    build(rows_of(33), films, overwrite=True)
    assert cache(films, "--size", 32, "--verify").exit_code == 1
    assert "3 decoded" in cache(films, "--size", 32).stdout
    assert cache(films, "--size", 32, "--verify").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--verify"], "no array cache there"),
        (["--export-npz", "x.npz", "--size", "32", "--size", "48"], "give one --size"),
        (["--export-npz", "x.npz", "--size", "32", "--npz-dtype", "float64"], "expected a dtype of float32"),
        (["--verify", "--export-npz", "x.npz"], "writes nothing"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(films, arguments, message):
    done = cache(films, *arguments)
    assert done.exit_code == 2 and message in done.stderr and "Traceback" not in done.output


def test_a_folder_that_cannot_be_written_is_named_with_what_to_do(films, tmp_path):
    (tmp_path / "file").write_text("in the way")
    done = cache(films, "--out", tmp_path / "file")
    assert done.exit_code == 2 and str(tmp_path / "file") in done.stderr and "--out" in done.stderr


def test_a_dataset_that_is_not_there_is_said_to_be_missing(tmp_path):
    done = cache(tmp_path / "nothing")
    assert done.exit_code == 2 and "no such folder" in done.stderr


def test_the_npz_holds_letterboxed_images_in_the_order_of_the_dataset(films, tmp_path):
    file = tmp_path / "out" / "films.npz"
    done = cache(films, "--size", SIZE, "--export-npz", file)
    assert done.exit_code == 0 and f"(30, {SIZE}, {SIZE}, 3) float32, letterbox" in done.stdout
    stored = np.load(file, allow_pickle=False)
    images = stored["images"]
    assert images.shape == (30, SIZE, SIZE, 3) and images.dtype == np.float32
    assert [entry.name for entry in file.parent.iterdir()] == ["films.npz"]
    parts = load_bones(films)
    wanted = [image for part in parts.values() for image in decoded(part)]
    for image, pixels in zip(images, wanted, strict=True):
        height, width = pixels.shape
        assert np.array_equal(image[:height, :width], np.repeat(pixels[..., None] / np.float32(255), 3, axis=-1))
        assert not image[height:].any() and not image[:, width:].any()
    assert stored["splits"].tolist() == [split for split, part in parts.items() for _ in range(len(part))]
    for column, name in (("labels", "label"), ("names", "image_id"), ("sha256", "sha256")):
        assert stored[column].tolist() == [value for part in parts.values() for value in part[name]]
    assert stored["label_names"].tolist() == parts["train"].features["label"].names


def test_the_npz_may_be_grey_bytes_and_squashed(films, tmp_path):
    cache(films, "--size", SIZE, "--export-npz", tmp_path / "f.npz", "--npz-channels", 1, "--npz-dtype", "uint8", "--npz-fit", "squash")
    images = np.load(tmp_path / "f.npz")["images"]
    assert images.shape == (30, SIZE, SIZE, 1) and images.dtype == np.uint8
    first = load_bones(films)["train"].cast_column("image", datasets.Image(decode=False))[0]["image"]["bytes"]
    wanted = Image.fromarray(open_image(first).pixels).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    assert np.array_equal(images[0, ..., 0], np.asarray(wanted))


def test_the_export_stays_in_little_memory(tmp_path):
    build(rows_of(12, content=encoded(picture(3, (200, 150))), group=""), tmp_path / "dataset")
    cache(tmp_path / "dataset", "--size", 200)
    parts = load_bones(tmp_path / "dataset")
    arrays = open_arrays(arrays_folder(tmp_path / "dataset", 200), 200, tmp_path / "dataset", parts)
    many = {split: part.select([0] * 150) for split, part in parts.items() if split == "train"}
    arrays.splits["train"] = arrays["train"].select([0] * 150)
    tracemalloc.start()
    assert export_npz(many, arrays, 200, NpzChoices(tmp_path / "f.npz"), progress=False) == 150
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 150 * 200 * 200 * 3 * 4 / 4  # of what `images` takes
