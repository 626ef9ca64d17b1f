"""What is asked of a comparison."""

from __future__ import annotations

from dataclasses import dataclass

from hf_bones.config.choices import choice


@dataclass(frozen=True)
class CompareChoices:
    """Which runs are compared and how they are scored. `licences`: learn from and choose by rows of these only. `train_images`: rows of
    each recipe's own that the overfit gap is measured on."""

    seeds: tuple[int, ...] = choice((0,), "Train each recipe with each of these seeds.", metavar="N…")
    settings: tuple[str, ...] = choice(
        (), "Change a key of one recipe, or of all; may be repeated.", name="set", metavar="[RECIPE:]KEY=VALUE"
    )
    checkpoints: tuple[str, ...] = choice(
        (), "Add a finished checkpoint: a folder, Hub id or `bundled`; may be repeated.", name="checkpoint", metavar="NAME=PATH"
    )
    licences: tuple[str, ...] = choice((), "Train and validate on rows of this licence only; may be repeated.", name="licence")
    split: str = choice("test", "Split to report. It does not change the ranking; looks at it are counted.")
    leave_one_source_out: bool = choice(False, "Hold each source out in turn: train on the others, score on it; test stays shut.")
    baselines: bool = choice(True, "Add the majority class and the statistics-only forest.")
    specificity: float = choice(0.85, "Specificity at which sensitivities are given.")
    repeats: int = choice(1000, "Bootstrap resamples.", least=20)
    train_images: int = choice(400, "Training rows that the overfit gap is measured on.", least=10)
    device: str | None = choice(None, "torch device to score on; by default a GPU, if there is one.")
    batch_size: int = choice(16, "Images per forward pass while scoring.", least=1)


def parse_checkpoints(given: tuple[str, ...]) -> dict[str, str]:
    """name → checkpoint from `NAME=PATH`. Raises ValueError for another form and for a name given twice."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, place = text.partition("=")
        if not equals or not name or not place:
            raise ValueError(f"--checkpoint {text!r}: expected NAME=PATH, as in mine=runs/mine or theirs=owner/name")
        if name in found:
            raise ValueError(f"--checkpoint {text!r}: the name {name!r} is given twice")
        found[name] = place
    return found
