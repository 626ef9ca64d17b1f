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
    model: str = choice("bundled", "Model of the features: `bundled`, a checkpoint folder or a Hub id.")
    revision: str | None = choice(None, "Branch, tag or commit of a Hub checkpoint.")
    keep_blocks: int | None = choice(None, "Only the first blocks of the backbone.", least=1)
    licences: tuple[str, ...] = choice((), "Only images of this licence; may be repeated.", name="licence")
    limit: int | None = choice(None, "Only about this many images, classes in proportion.", least=1)
    kind: str | None = choice(None, "folder, manifest, dataset or collection; else detected.")
    labels: str = choice("auto", "Label scheme: three-class, two-class or a YAML file; auto: a dataset's own, else three-class.")
    label_map: tuple[str, ...] = choice((), "A source's word for one of our classes; may be repeated.", metavar="WORD=CLASS")
    cache: Path | None = choice(None, "Folder that features are kept in; by default `features` in --out.")  # noqa: RUF009 - a field
    device: str | None = choice(None, "torch device; by default a GPU, if there is one.")
