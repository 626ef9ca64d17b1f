"""What is asked of an audit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hf_bones.config.choices import choice
from hf_bones.config.fields import nearest

# The parts of an audit by the words of `--only`, in the order of the page.
SOURCES, READ, FOREST, MASKED, BREAKS, PARTS, LEFT_OUT, FLIPS, PREVALENCE, LABELS = SECTIONS = (
    "sources", "read", "forest", "masked", "breaks", "parts", "left-out", "flips", "prevalence", "labels",
)  # fmt: skip
QUICK_FILMS, QUICK_REPEATS = 120, 200


@dataclass(frozen=True)
class AuditChoices:
    """Which films are scored, which parts are measured, and how. `limit` holds for the films of the split and for those of train and
    validation alike; `label_errors`: the share of their labels that is planted."""

    split: str = choice("test", "Split whose films are scored.")
    only: tuple[str, ...] = choice((), f"Only these parts: {', '.join(SECTIONS)}.", metavar="PART…")
    quick: bool = choice(False, f"At most {QUICK_FILMS} films each and {QUICK_REPEATS} resamples, to see what the page says.")
    limit: int | None = choice(None, "About this many films of the split, and of train and validation, classes in proportion.", least=20)
    label_errors: float = choice(0.05, "Share of the training labels that are changed, to see whether suspect labels find them.")
    specificity: float = choice(0.85, "Healthy specificity of the threshold figures.")
    repeats: int = choice(1000, "Bootstrap resamples.", least=20)
    seed: int = choice(0, "Seed of resamples, folds, forest and changed labels.")
    least_rows: int = choice(10, "Sources, views and regions of fewer films share one line.", least=1)
    batch_size: int = choice(16, "Images per forward pass.", least=1)
    cache: Path | None = choice(None, "Folder that answers and features are kept in; by default `kept` in --out.")  # noqa: RUF009 - a field
    device: str | None = choice(None, "torch device; by default a GPU, if there is one.")
    revision: str | None = choice(None, "Branch, tag or commit of a Hub checkpoint.")

    def __post_init__(self) -> None:
        for word in self.only:
            if word not in SECTIONS:
                raise ValueError(f"--only {word!r}: an audit has the parts {', '.join(SECTIONS)}{nearest(word, SECTIONS)}")
        if not 0 < self.label_errors < 0.5:
            raise ValueError(f"--label-errors {self.label_errors}: expected a share over 0 and under 0.5, such as 0.05")

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that are wanted, in the order of the page."""
        return tuple(name for name in SECTIONS if not self.only or name in self.only)

    @property
    def films(self) -> int | None:
        """The most films of a kind; None: all."""
        return min(self.limit or QUICK_FILMS, QUICK_FILMS) if self.quick else self.limit

    @property
    def resamples(self) -> int:
        return min(self.repeats, QUICK_REPEATS) if self.quick else self.repeats
