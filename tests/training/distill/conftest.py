"""What the tests of distill share."""

import pytest
from command_line import main
from small_student import common, write_pictures
from tiny import bar_dataset, tiny_checkpoint


@pytest.fixture(scope="session")
def ground(tmp_path_factory):
    """A dataset, a teacher that has learnt it, a smaller network at a smaller size, and pictures without labels."""
    folder = tmp_path_factory.mktemp("ground")
    bar_dataset(folder / "dataset")
    tiny_checkpoint(folder / "start")
    tiny_checkpoint(folder / "small", blocks=2, size=42)
    write_pictures(folder / "more", range(5000, 5024))
    (folder / "last.yaml").write_text("trainer: {load_best_model_at_end: false}\n")  # the last weights, not those that know the labels best
    more = ["--model", str(folder / "start"), "--image_size", "56", "--epochs", "5", "--output_dir", str(folder / "teacher")]
    assert main([*common(folder), *more]) == 0
    return folder
