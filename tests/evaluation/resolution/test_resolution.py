"""Which size to train at: headers, letterboxing, the elbow, and the choice.

Run: pytest tests/evaluation/resolution/test_resolution.py
"""

import json
from collections import Counter

import numpy as np
import pytest
from grey_images import dicom
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian
from small_films import build, encoded, picture, rows_of, write_films, write_manifest
from tiny import bar_dataset, tiny_checkpoint
from typer.testing import CliRunner

from hf_bones.cli.main import app
from hf_bones.curation.recipe import OpinionSettings
from hf_bones.dataset.subject import open_subject
from hf_bones.evaluation.opinions import frozen
from hf_bones.evaluation.opinions.image_rows import ImageRow, image_rows, spread_sample, with_hashes
from hf_bones.evaluation.resolution.choices import ResolutionChoices
from hf_bones.evaluation.resolution.header_sizes import header_size
from hf_bones.evaluation.resolution.measure import Judged, SizeFigures, choose, compare_sizes
from hf_bones.evaluation.resolution.report import advice_sentence
from hf_bones.evaluation.resolution.run import advise_resolution
from hf_bones.evaluation.resolution.shapes import elbow, letterboxing, size_clusters
from hf_bones.images.opening import ImageRefusedError, open_image
from hf_bones.labels import THREE_CLASS
from hf_bones.metrics import bootstrap_intervals

QUICK = OpinionSettings(folds=2, inner_folds=2, repeats=2, strengths=[1e-2, 1.0])


def film(size: tuple[int, int], kind: str, **options) -> bytes:
    """A grey image of (width, height) in a file format."""
    return encoded(picture(1, size[::-1]), kind, **options)


def undecodable(monkeypatch):
    """From here on, decoding any pixel is an error."""
    monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("a pixel was decoded"))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP"])
def test_a_size_is_read_without_decoding(kind, monkeypatch):
    body = film((90, 64), kind)
    undecodable(monkeypatch)
    assert header_size(lambda: body) == (90, 64)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "PNG"])
def test_a_size_is_that_of_the_image_once_it_stands_upright(kind):
    exif = Image.Exif()
    exif[274] = 6
    body = film((90, 64), kind, exif=exif)
    assert header_size(lambda: body) == open_image(body).pixels.shape[::-1] == (64, 90)


def test_of_a_dicom_file_only_the_header_is_read(tmp_path):
    body = dicom(picture(1, (64, 90)))
    assert header_size(lambda: body) == (90, 64)
    (tmp_path / "film.dcm").write_bytes(body[:-5000])  # the pixels are gone, the header is not
    assert header_size(lambda: pytest.fail("the whole file was read"), tmp_path / "film.dcm") == (90, 64)
    (tmp_path / "deflated.dcm").write_bytes(dicom(picture(1, (64, 90)), DeflatedExplicitVRLittleEndian))
    with pytest.raises(ImageRefusedError, match="deflated"):
        header_size((tmp_path / "deflated.dcm").read_bytes, tmp_path / "deflated.dcm")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not_an_image"),
        (b"<html></html>", "not_an_image"),
        (film((300, 40), "PNG")[:20], "undecodable_or_truncated"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\1\0\0\0\1\0\0\x08\0\0\0\0" + b"\0" * 30, "decompression_bomb"),
        (film((16, 16), "PNG"), "too_small"),
    ],
)
def test_what_its_header_refuses_has_no_size(body, reason):
    with pytest.raises(ImageRefusedError) as refused:
        header_size(lambda: body)
    assert refused.value.reason == reason


def test_a_file_that_is_not_there_is_refused_by_name_of_the_reason(tmp_path):
    with pytest.raises(ImageRefusedError, match="unreadable_file"):
        header_size((tmp_path / "gone.png").read_bytes, tmp_path / "gone.png")


def test_letterboxing_counts_what_is_made_larger_and_what_is_lost():
    sizes = np.array([[100, 50], [400, 200], [200, 400]])
    found = letterboxing(sizes, 200, [(), ((0.5, 0.5, 0.5, 0.5),), ((0.5, 0.5, 0.1, 0.4),)])
    assert (found.upscaled, found.shrunk) == (1 / 3, 2 / 3)
    assert found.pixels_lost == pytest.approx(1 - (5000 + 20000 + 20000) / (5000 + 80000 + 80000))
    assert found.median_lost == pytest.approx(0.75) and found.padding == pytest.approx(0.5)
    assert found.megabytes == pytest.approx(0.02) and found.boxes == 2
    assert found.box_side == pytest.approx(np.median([np.sqrt(100 * 50), np.sqrt(10 * 80)]))
    assert letterboxing(sizes, 200).box_side is None


def test_the_elbow_is_the_point_furthest_below_the_chord():
    assert elbow(np.array([100.0, 60.0, 10.0, 8.0, 6.0, 4.0])) == 3
    assert elbow(np.array([100.0, 0.0])) == 2
    assert elbow(np.array([0.0])) == 1 and elbow(np.array([5.0, 5.0, 5.0])) == 1


def test_clusters_of_sizes_are_found_and_the_largest_comes_first():
    random = np.random.default_rng(0)
    centres = np.array([[400, 300], [900, 1200], [2000, 800]])
    sizes = np.concatenate([centre + random.integers(-9, 9, (count, 2)) for centre, count in zip(centres, (20, 50, 10), strict=True)])
    found = size_clusters(sizes)
    assert found.k == 3 and found.counts.tolist() == [50, 20, 10]
    assert np.abs(found.centres - centres[[1, 0, 2]]).max() < 10
    assert np.bincount(found.member).tolist() == [50, 20, 10] and found.member[0] == 1


def test_one_size_is_one_cluster():
    assert size_clusters(np.full((7, 2), 300)).centres.tolist() == [[300, 300]]


def test_rows_come_from_folders_tables_and_datasets_alike(tmp_path):
    folder = image_rows(write_films(tmp_path))
    table = image_rows(write_manifest(tmp_path))
    build(rows_of(9), tmp_path / "built")
    with open_subject(tmp_path / "built") as subject:
        first = next(subject.manifest.images())
        subject.manifest.decide(first.sha256, "drop", "blurred", "ada")
    built = image_rows(tmp_path / "built")
    assert [len(rows) for rows in (folder, table, built)] == [18, 6, 8]  # the table has a row that is marked unused, the set a dropped one
    assert all(open_image(row.read()).pixels.size for row in (*folder, *table, *built))
    assert len({row.group for row in table if row.name in ("in/5.jpg", "in/6.jpg")}) == 1
    assert {row.licence for row in image_rows(tmp_path / "xray" / "manifest.csv", licences=["CC-BY-4.0"])} == {"CC-BY-4.0"}
    with pytest.raises(ValueError, match=r"there are: CC-BY-4\.0, unclear"):
        image_rows(tmp_path / "xray" / "manifest.csv", licences=["CC0-1.0"])


def test_identical_files_are_one_group(tmp_path):
    films = write_films(tmp_path)
    (films / "healthy" / "copy.png").write_bytes((films / "fractured" / "0.png").read_bytes())
    rows = with_hashes(image_rows(films))
    assert len(rows) == 19 and len({row.group for row in rows}) == 18
    assert spread_sample(rows, 19) == rows


def test_a_sample_keeps_ten_of_each_class_and_takes_from_every_group_first():
    rows = [ImageRow(f"i{i}", bytes, "healthy" if i % 10 else "beyond_repair", f"g{i % 40}") for i in range(400)]
    sample = spread_sample(rows, 60)
    counts = Counter(row.label for row in sample)
    assert counts == {"healthy": 54, "beyond_repair": 10}
    per_group = Counter(row.group for row in sample if row.label == "healthy")
    assert len(per_group) == 36 and max(per_group.values()) == 2
    assert spread_sample(rows, 60) == sample != spread_sample(rows, 60, seed=1)


def figures_of(accuracies: dict[int, float], error: float = 0.02) -> list[SizeFigures]:
    best = max(accuracies.values())
    return [
        SizeFigures(size, value, (value - 0.04, value + 0.04), error, 0.01, value - best, None, 0.8, None, 0.0, None, {}, (1.0,))
        for size, value in accuracies.items()
    ]


@pytest.mark.parametrize(
    ("accuracies", "best", "advised", "within"),
    [
        ({160: 0.55, 224: 0.59, 336: 0.60}, 336, 224, (224, 336)),
        ({160: 0.585, 224: 0.59, 336: 0.60}, 336, 160, (160, 224, 336)),
        ({160: 0.50, 224: 0.55, 336: 0.60}, 336, 336, (336,)),
        ({160: 0.60, 224: 0.55, 336: 0.60}, 160, 160, (160, 336)),
    ],
)
def test_the_cheapest_size_within_one_standard_error_of_the_best_is_advised(accuracies, best, advised, within):
    choice = choose(figures_of(accuracies), {size: size / 10 for size in accuracies})
    assert (choice.best, choice.advised, choice.within) == (best, advised, within)


def test_sizes_are_compared_on_the_same_resamples():
    random = np.random.default_rng(0)
    labels = np.arange(240) % 3
    groups = [f"g{index // 6}" for index in range(240)]
    noisy = random.dirichlet([1, 1, 1], (2, 240))
    clear = noisy * 0.4 + 0.6 * np.eye(3)[labels]
    worse = clear.copy()
    worse[:, :30] = noisy[:, :30]
    judged = [Judged(size, deals, (1.0,), 0.0) for size, deals in ((1, noisy), (2, worse), (3, clear))]
    figures = compare_sizes(judged, labels, groups, THREE_CLASS)
    assert [row.behind_best < 0 for row in figures] == [True, True, False]
    assert figures[1].behind_best_interval[1] < 0 < figures[1].standard_error < 0.1
    # The paired difference is known far better than either figure.
    low, high = figures[1].behind_best_interval
    assert high - low < 2 * (figures[1].interval[1] - figures[1].interval[0])
    intervals = bootstrap_intervals(labels, worse[0], groups, THREE_CLASS.names)
    alone = compare_sizes([Judged(2, worse[:1], (1.0,), 0.0)], labels, groups, THREE_CLASS)[0]
    assert alone.interval == pytest.approx(intervals["balanced_accuracy"])
    assert alone.auroc_interval == pytest.approx(intervals["auroc_abnormal"])
    assert figures[2].behind_best_interval is None and figures[0].sensitivities.keys() == set(THREE_CLASS.names)


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resolution")
    return str(tiny_checkpoint(folder / "tiny", blocks=1)), bar_dataset(folder / "bars", train=36, held_out=9)


def test_measuring_writes_report_plots_and_figures_and_goes_on_where_it_stopped(ground, tmp_path, monkeypatch):
    model, data = ground
    with pytest.MonkeyPatch.context() as stopping:
        real = frozen.head_features

        def stops(backbone, spec, *arguments, **options):
            if spec.size == 70:
                raise KeyboardInterrupt
            return real(backbone, spec, *arguments, **options)

        stopping.setattr(frozen, "head_features", stops)
        with pytest.raises(KeyboardInterrupt):
            advise_resolution(data, tmp_path, ResolutionChoices(sizes=(30, 70), measure=True, model=model), settings=QUICK, progress=False)
    seen = []
    monkeypatch.setattr(
        frozen, "head_features", lambda *arguments, **options: seen.append(arguments[1].size) or real(*arguments, **options)
    )
    found = advise_resolution(data, tmp_path, ResolutionChoices(sizes=(30, 70), measure=True, model=model), settings=QUICK, progress=False)
    assert set(seen) == {70} and found.measured.asked == {28: 30, 70: 70}
    assert found.measured.rows == {"healthy": 18, "fractured": 18, "beyond_repair": 18} and found.measured.choice.advised in (28, 70)
    assert found.measured.costs[1].training_mb > found.measured.costs[0].training_mb > found.measured.costs[0].forward_mb > 0
    for name in ("sizes", "elbow", "accuracy"):
        with Image.open(tmp_path / f"{name}.png") as plot:
            assert min(plot.size) > 300
    stored = json.loads((tmp_path / "resolution.json").read_text())
    assert stored["measured"]["advice"] == advice_sentence(found.measured) and len(stored["measured"]["figures"]) == 2
    report = (tmp_path / "report.md").read_text()
    assert advice_sentence(found.measured) in report and "30 px is not a whole number of the network's patches" in report
    assert "stored for 56 px" in report


def test_the_command_states_sizes_without_measuring_and_names_what_is_wrong(ground, tmp_path):
    run = CliRunner()
    done = run.invoke(app, ["resolution", str(write_films(tmp_path)), "--out", str(tmp_path / "out"), "--sizes", "32,64"])
    assert done.exit_code == 0, done.output
    assert "18 images; 1 cluster of sizes" in done.output and "  64         100%" in done.output
    assert "`--measure` cross-validates" in (tmp_path / "out" / "report.md").read_text()
    (tmp_path / "films" / "healthy").rename(tmp_path / "films" / "negative")  # sizes need no labels, measuring does
    assert run.invoke(app, ["resolution", str(tmp_path / "films"), "--out", str(tmp_path / "out")]).exit_code == 0
    wrong = run.invoke(app, ["resolution", str(tmp_path / "films"), "--out", str(tmp_path / "out"), "--measure"])
    assert wrong.exit_code == 2 and "stand for no class" in wrong.output
    wrong = run.invoke(app, ["resolution", str(tmp_path / "films"), "--out", str(tmp_path / "out"), "--sizes", "big"])
    assert wrong.exit_code == 2 and "valid integer" in wrong.output
    wrong = run.invoke(app, ["resolution", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")])
    assert wrong.exit_code == 2 and "no such file or folder" in wrong.output
