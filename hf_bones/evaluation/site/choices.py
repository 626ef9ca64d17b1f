"""What is asked of a local validation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hf_bones.config.choices import choice


@dataclass(frozen=True)
class SiteChoices:
    """How a site's table is read, what is compared with it, and how the figures are made.

    sensitivity: share of the site's abnormal films that the refitted threshold lets through as abnormal. compare: the site.json of an
    earlier validation. answers: what the site says to questions of the checklist that its records leave open (`claim.yaml` of an
    earlier run, filled in).
    """

    revision: str | None = choice(None, "Branch, tag or commit of a Hub checkpoint.")
    compare: Path | None = choice(  # noqa: RUF009 - a field
        None, "The site.json of an earlier run: the report says what has moved since.", metavar="FILE"
    )
    answers: Path | None = choice(  # noqa: RUF009 - a field
        None, "Your answers to open questions of the checklist: the claim.yaml of a run.", metavar="FILE"
    )
    sensitivity: float = choice(0.9, "Share of the abnormal films that the refitted threshold is to find.")
    label_map: tuple[str, ...] = choice(
        (),
        "A word of your labels for a class, for `abnormal`, or `unused` to score without measuring; may be repeated.",
        metavar="WORD=CLASS",
    )
    root: Path | None = choice(  # noqa: RUF009 - a field
        None, "Folder that file names are relative to; by default the table's own.", metavar="FOLDER"
    )
    file_column: str = choice("", "Column of the files; else found by its name.", metavar="NAME")
    label_column: str = choice("", "Column of the labels; else found by its name.", metavar="NAME")
    group_column: str = choice("", "Column of what belongs together (patient, study); else found by its name.", metavar="NAME")
    worst: int = choice(12, "Show at most this many errors; 0 leaves pictures of films out of the report.", least=0)
    repeats: int = choice(1000, "Bootstrap resamples.", least=1)
    seed: int = choice(0, "Seed of bootstrap, folds and distances.")
    batch_size: int = choice(16, "Images per forward pass.", least=1)
    device: str | None = choice(None, "torch device; by default a GPU, if there is one.")

    def __post_init__(self) -> None:
        if not 0 < self.sensitivity <= 1:
            raise ValueError(f"sensitivity is {self.sensitivity}; expected a share over 0, such as 0.9")
