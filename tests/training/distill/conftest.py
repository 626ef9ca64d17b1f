"""What the tests of distill share."""

import pytest
from command_line import main
from small_student import common, write_pictures
from tiny import tiny_checkpoint


@pytest.fixture(scope="session")
def ground(ground):
    """A dataset, a teacher that has learnt it, a smaller network at a smaller size, and pictures without labels."""
    tiny_checkpoint(ground / "small", blocks=2, size=42)
    write_pictures(ground / "more", range(5000, 5024))
    (ground / "last.yaml").write_text("trainer: {load_best_model_at_end: false}\n")  # the last weights, not those that know the labels best
    more = ["--model", str(ground / "start"), "--image_size", "56", "--epochs", "5", "--output_dir", str(ground / "teacher")]
    assert main([*common(ground), *more]) == 0
    return ground
