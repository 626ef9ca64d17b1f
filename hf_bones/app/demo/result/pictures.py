"""Pictures of a film for the browser, as addresses that hold them: nothing is written to the server's disk.

A film and its heat map go apart, so that the page can change the grey values below the colours.
"""

from __future__ import annotations

from base64 import b64encode

import numpy as np
import numpy.typing as npt
from PIL import Image

from hf_bones.app.demo.classify import VIEW_SIDE
from hf_bones.inference.boxes import Box, with_boxes
from hf_bones.inference.heat import STRENGTH, HeatScale, overlay, with_legend
from hf_bones.pages.pictures import png, thumbnail

HEAT_SIDE = 512  # px; a heat map has fewer numbers than that

Pixels = npt.NDArray[np.uint8]
Heat = npt.NDArray[np.float32]


def png_url(picture: Image.Image) -> str:
    """The picture, without loss, as an address that a page can hold."""
    return f"data:image/png;base64,{b64encode(png(picture, compress_level=4)).decode()}"


def view_of(pixels: Pixels, side: int | None = VIEW_SIDE) -> Image.Image:
    """The film (H, W) at most `side` px long, mode L; None is its full size."""
    film = Image.fromarray(pixels)
    return film if side is None else thumbnail(film, side)


def heat_layer(heat: Heat, scale: HeatScale) -> Image.Image:
    """The colours of a heat map (H, W) alone, mode RGBA, at most `HEAT_SIDE` px long: to lie over the film as `overlay` has it."""
    height, width = heat.shape
    share = min(1.0, HEAT_SIDE / max(heat.shape))
    size = (max(1, round(width * share)), max(1, round(height * share)))
    warmth = scale.warmth(np.asarray(Image.fromarray(heat).resize(size, Image.Resampling.BILINEAR)))
    layer = np.zeros((*warmth.shape, 4), dtype=np.uint8)
    layer[..., 0] = 255
    layer[..., 1] = (255 * np.clip(2 * warmth - 0.8, 0, 1)).round()
    layer[..., 3] = (255 * STRENGTH * warmth).round()
    return Image.fromarray(layer, "RGBA")


def picture_with_overlay(pixels: Pixels, heat: Heat | None, scale: HeatScale, boxes: tuple[Box, ...]) -> Image.Image:
    """The film at most `VIEW_SIDE` px long with heat map, colour bar and frames, mode RGB. heat: None for a network without a map."""
    view = view_of(pixels)
    if heat is None:
        return with_boxes(view, boxes)
    shown = np.asarray(Image.fromarray(heat).resize(view.size, Image.Resampling.BILINEAR))
    return with_legend(np.asarray(with_boxes(Image.fromarray(overlay(np.asarray(view), shown, scale)), boxes)), scale)
