"""What is asked where a training size is looked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hf_bones.config.choices import choice


@dataclass(frozen=True)
class ResolutionChoices:
    """Candidate sizes, which images are looked at, and whose features are measured (`measure`)."""

    sizes: tuple[int, ...] = choice((160, 224, 336, 448), "Candidate long sides, px.", metavar="N…")
    measure: bool = choice(False, "Cross-validate a head on frozen features, and measure costs.")
    model: str = choice("bundled", "Whose features: `bundled`, a checkpoint folder or a Hub id.")
    revision: str | None = choice(None, "Branch, tag or commit of a Hub checkpoint.")
    keep_blocks: int | None = choice(None, "Only the first blocks of the backbone.", least=1)
    licences: tuple[str, ...] = choice((), "Only images of this licence; may be repeated.", name="licence")
    limit: int | None = choice(None, "Only about so many images, classes in their shares.", least=1)
    kind: str | None = choice(None, "folder, manifest, dataset or collection; else detected.")
    labels: str = choice("three-class", "Label scheme: three-class, two-class or a YAML file.")
    label_map: tuple[str, ...] = choice((), "Their word for our class; may be repeated.", metavar="WORD=CLASS")
    cache: Path | None = choice(None, "Folder that features are kept in; `features` in --out if left out.")  # noqa: RUF009 - a field
    device: str | None = choice(None, "torch device; a GPU where there is one, if left out.")
