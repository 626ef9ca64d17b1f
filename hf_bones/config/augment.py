"""The stage `augment` of a training recipe: what is changed at random in a training image.

Style has one key over many. `style` scales the strengths in `FULL_STYLE`, and a change that is given a strength of its own goes by that.
"""

from __future__ import annotations

from dataclasses import dataclass

from hf_bones.config.fields import Checked, option

FULL_STYLE = {
    "blur": 0.9, "noise": 0.05, "sharpen": 2.0, "stretch": 0.03, "clahe": 0.8, "window": 0.15, "collimation": 0.15, "markers": 0.06,
    "resample": 0.8, "jpeg": 75.0,
}  # fmt: skip
"""Keys of changes of style → strength at `style: 1`, each chosen by `hf-bones augment-check` (scripts/bench/augment_style.py)."""


def _style(key: str, help: str, within: str) -> float | None:
    found: float | None = option(None, f"{help} Empty: {FULL_STYLE[key]:g} × `style`.", within=within)
    return found


@dataclass
class AugmentConfig(Checked):
    """Random changes to a training image that keep its label. There is no shear, on purpose: it can mimic displacement."""

    augment: bool = option(True, "Augment training batches on the device.")
    rotation_degrees: float = option(15.0, "Rotation drawn from ± this many degrees.", within="[0, 180]")
    scale: float = option(0.1, "Isotropic scale drawn from 1 ± this.", within="[0, 1)")
    shift: float = option(0.05, "Shift drawn from ± this share of the side, in x and y.", within="[0, 1)")
    horizontal_flip: float = option(0.5, "Probability of a mirror image.", within="[0, 1]")
    vertical_flip: float = option(0.0, "Probability of turning it upside down.", within="[0, 1]")
    gamma: float = option(0.2, "Gamma drawn from 1/(1+g) … 1+g.", within="[0, ∞)")
    contrast: float = option(0.2, "Contrast factor drawn from 1 ± this.", within="[0, 1]")
    brightness: float = option(0.1, "Brightness added, drawn from ± this (of the [0, 1] range).", within="[0, 1]")
    zoom: float = option(
        1.0,
        "Largest enlargement by a crop; known fracture boxes stay in view, and abnormal films without a box are left whole.",
        within="[1, ∞)",
    )
    zoom_probability: float = option(0.5, "Probability of such a crop, where `zoom` is over 1.", within="[0, 1]")
    tile_probability: float = option(
        0.0,
        "Probability that a window of the image at 2 to `tile_scale` times the size stands for it, healthy where it holds no box.",
        within="[0, 1]",
    )
    tile_scale: float = option(3.0, "Largest enlargement of such a tile.", within="[1, ∞)")
    keep_in_view: bool = option(
        True, "Move an image back as far as its known fracture boxes need to stay in view after rotation, scale and shift."
    )
    style: float = option(
        0.0,
        "How far films are made to look like those of other systems: scales the strength of each change from `blur` to `jpeg` "
        "that has none of its own; 0 turns these off.",
        within="[0, 1]",
    )
    style_probability: float = option(0.3, "Probability of each of these changes.", within="[0, 1]")
    blur: float | None = _style("blur", "Blur: standard deviation up to this, px of the model input.", "[0, 8]")
    noise: float | None = _style("noise", "Noise: standard deviation up to this, of the [0, 1] range.", "[0, 1]")
    sharpen: float | None = _style("sharpen", "Unsharp mask, the edge enhancement of digital systems: amount up to this.", "[0, 10]")
    stretch: float | None = _style(
        "stretch", "Histogram stretch: up to this share of the pixels turns black, and as many white.", "[0, 0.5)"
    )
    clahe: float | None = _style("clahe", "Local histogram equalisation (CLAHE): up to this share of it is mixed in.", "[0, 1]")
    window: float | None = _style("window", "Window: up to this share of the grey range is cut off at either end.", "[0, 0.5)")
    collimation: float | None = _style(
        "collimation",
        "Collimation: borders up to this share of the side wide, which cover no known fracture box.",
        "[0, 0.5)",
    )
    markers: float | None = _style(
        "markers", "Markers and text: letters up to this share of the side high, which cover no known fracture box.", "[0, 0.5]"
    )
    resample: float | None = _style("resample", "Down- and up-sampling: pixels up to 1 + this times as coarse.", "[0, 15]")
    jpeg: float | None = _style("jpeg", "JPEG: quality down to 100 less this.", "[0, 99]")
    invert: float = option(0.0, "Probability of turning black and white round, for films whose polarity is not known.", within="[0, 1]")
    cast: float = option(0.0, "Probability of a cast or splint drawn onto a limb.", within="[0, 1]")
    cast_healthy: float | None = option(None, "The same on healthy films; empty: `cast`.", within="[0, 1]")
    metal: float = option(
        0.0,
        "Probability of a plate, nail or wires drawn onto a bone, clear of its fracture boxes; none where these are not known.",
        within="[0, 1]",
    )
    metal_healthy: float | None = option(None, "The same on healthy films; empty: `metal`.", within="[0, 1]")

    def strength(self, key: str) -> float:
        """The value that a key comes to: its own, else what `style` makes of it, or what the key for all films says of healthy ones."""
        value = getattr(self, key)
        if value is None:
            return self.style * FULL_STYLE[key] if key in FULL_STYLE else float(getattr(self, key.removesuffix("_healthy")))
        return float(value)
