"""Recipes of curation: one YAML file holds the thresholds of the checks, of near-duplicates and of the splits."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from hf_bones.config.fields import Checked, dataclass_from_dict, option, text_of
from hf_bones.config.loading import read_recipe

DEFAULT_RECIPE = "radiographs"


@dataclass
class CheckSettings(Checked):
    """The measured value beyond which an image is suspect. Grey is measured at a long side of at most 512 px."""

    min_rows: float = option(1.0, "Share of the rows that are there, below which an image is truncated.", within="[0, 1]")
    min_side: float = option(96.0, "Short side in px, as stored, below which an image is too small.", within="[0, ∞]")
    max_aspect: float = option(4.0, "Long side ÷ short side above which an image is odd.", within="[0, ∞]")
    min_grey_range: float = option(
        32.0, "Grey levels between the 0.5 and 99.5 percentiles, below which an image is blank.", within="[0, ∞]"
    )
    min_entropy: float = option(2.6, "Entropy of the grey levels in bits, below which there is little information.", within="[0, ∞]")
    min_fine_detail: float = option(0.21, "Contrast below 1 px ÷ contrast of 1 to 4 px, below which an image is blurry.", within="[0, ∞]")
    max_colour: float = option(4.5, "Mean chroma beside the tint, in levels, above which it is a colour photograph.", within="[0, ∞]")
    max_flat_share: float = option(0.8, "Flat bright area ÷ (flat bright + shaded area), above which it is a diagram.", within="[0, 1]")
    max_panel_score: float = option(1.8, "Sum of the cues of a gap or gutter, above which there are several panels.", within="[0, ∞]")
    max_marks: float = option(2.0, "Area of drawn marks in ten-thousandths of the picture, above which it is marked.", within="[0, ∞]")
    max_text: float = option(5.0, "Letters of the longest line of writing, above which there is burnt-in text.", within="[0, ∞]")
    salvage_rows: float = option(
        0.99, "Least share of its rows with which a cut-off JPEG is salvaged, where that is requested.", within="[0, 1]"
    )


@dataclass
class DedupSettings(Checked):
    """When two images are near-duplicates of each other. Correlations are those of `curation/duplicates/registration.py`."""

    radius: int = option(28, "Bits of 128 in which the codes of a pair may differ to be looked at.", within="[0, ∞)")
    tables: int = option(16, "Hash tables in which codes are looked up: more find more pairs, and take longer.", within="[1, ∞)")
    fullest: int = option(
        1000, "Cells of a table with more codes than this are passed over (blank pictures), and counted.", within="[0, ∞)"
    )
    nearest: int = option(
        8, "Only this many of each image's candidates are registered, the likeliest first; bounds the work.", within="[1, ∞)"
    )
    least_start: float = option(0.3, "Correlation at 32 px, less 0.01 for each bit of difference, from which a candidate is registered.")
    least_coarse: float = option(0.7, "Correlation at 32 px after alignment from which a pair is aligned more finely.")
    least_middle: float = option(0.7, "The same at 64 px.")
    sure: float = option(0.91, "Correlation at 128 px from which a pair is one picture, where fine detail agrees.")
    doubtful: float = option(0.76, "Correlation at 128 px from which a pair may be one picture: where the next two hold.")
    least_likeness: float = option(0.93, "Median correlation of fine detail that a doubtful pair needs.")
    rigid: float = option(
        1.03,
        "How much a doubtful or spoilt pair may be stretched, unless it agrees nearly everywhere: a limb that moved is deformed.",
    )
    spoilt: float = option(
        0.66, "Correlation at 128 px from which a pair may be one picture, spoilt by a watermark or by clipping: where the next holds."
    )
    least_closeness: float = option(
        0.2,
        "Share of the textured overlap whose fine detail agrees to 0.9 or more that a spoilt pair needs, and 0.05 more per 1 % of stretch.",
    )
    least_agreement: float = option(0.55, "Share of the textured overlap whose fine detail agrees to 0.6 or more that a pair needs.")
    unmoved: float = option(1.01, "Stretch up to which a spoilt pair is unmoved: a watermark lies over it, and less of it has to agree.")
    unmoved_agreement: float = option(0.4, "Share of the textured overlap that agrees to 0.6 or more that an unmoved spoilt pair needs.")
    stretched_agreement: float = option(0.9, "The same of a spoilt pair that is stretched by more than `rigid`.")
    least_textured: float = option(0.05, "Share of the overlap that must have texture: blank pictures are nobody's near-duplicates.")
    least_overlap: float = option(0.6, "Share of either picture that must lie within the other.")
    most_turn: float = option(12.0, "Degrees by which a near-duplicate may be turned, beside quarter turns.")
    most_stretch: float = option(1.4, "How much more a near-duplicate may be stretched along one axis than the other.")
    least_embedding: float = option(0.9, "Cosine of the embeddings of a pair that is not sure, where embeddings are handed in.")
    sources: list[str] = option([], "Sources whose image is kept, best first; others come after them.")


@dataclass
class SplitSettings(Checked):
    """How images are dealt out to train, validation and test."""

    train: float = option(0.7, "Share of the training split.", within="[0, 1]")
    validation: float = option(0.15, "Share of the validation split.", within="[0, 1]")
    test: float = option(0.15, "Share of the test split.", within="[0, 1]")
    seed: int = option(0, "Seed of the deal.")
    region_weight: float = option(0.25, "What a region's share weighs beside that of its label and source; 0: not at all.", within="[0, ∞)")
    random_score_strength: float = option(
        1e-3, "Inverse regularisation of the logistic regression that scores a random split.", within="(0, ∞)"
    )


@dataclass
class OpinionSettings(Checked):
    """How a linear head on frozen features gives an opinion of images that it did not learn from."""

    folds: int = option(5, "Whole groups are dealt out to this many folds; each is judged by a head fitted to the others.", within="[2, ∞)")
    inner_folds: int = option(3, "Folds within those others, by which the head's strength is chosen.", within="[2, ∞)")
    repeats: int = option(5, "Deals into folds; figures and probabilities are means over them.", within="[1, ∞)")
    strengths: list[float] = option(
        [3e-4, 1e-3, 3e-3, 1e-2, 3e-2], "Inverse regularisations (on standardised features) to choose from.", within="(0, ∞)"
    )
    class_weights: str = option("balanced", "Weights by class frequency where sizes are compared.", choices=("none", "sqrt", "balanced"))
    suspect_weights: str = option("none", "The same where labels are doubted.", choices=("none", "sqrt", "balanced"))
    seed: int = option(0, "Seed of the deals.")


@dataclass
class CurateRecipe:
    """One way of curating, all of it."""

    name: str = "custom"
    description: str = ""
    checks: CheckSettings = field(default_factory=CheckSettings)
    dedup: DedupSettings = field(default_factory=DedupSettings)
    split: SplitSettings = field(default_factory=SplitSettings)
    opinions: OpinionSettings = field(default_factory=OpinionSettings)


def load_curate_recipe(name_or_path: str | Path = DEFAULT_RECIPE) -> CurateRecipe:
    """A shipped recipe by name, or a YAML file. Raises `RecipeError` naming the file, the key and the nearest known key."""
    data, source, _ = read_recipe(name_or_path, "curate")
    return dataclass_from_dict(CurateRecipe, data, source, ": ", {"name": text_of, "description": text_of})
