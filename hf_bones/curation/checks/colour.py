"""A small picture in colour, for measures of colour and for thumbnails: the one place where an image is opened in another way than grey.

`open_image` makes grey of everything, and what it gives is what every other stage sees. It must have opened the image before: its
limits and its look at the header are what makes the second opening here safe.
"""

from __future__ import annotations

from PIL import Image, ImageOps

from hf_bones.images.checks import ready_for_pillow
from hf_bones.images.opening import Radiograph
from hf_bones.images.refusals import DEFAULT_LIMITS, Limits

_IS_COLOURED = "colour to grey"  # what `open_image` says of an image that came in colour


def colour_picture(data: bytes, opened: Radiograph, side: int, limits: Limits = DEFAULT_LIMITS) -> Image.Image:
    """The image at most `side` px long, upright: RGB where its file is in colour, else L, as `opened` (what `open_image` made of `data`).

    A JPEG is decoded at a fraction of its size.
    """
    if _IS_COLOURED not in opened.steps or opened.source_format == "DICOM":
        picture = Image.fromarray(opened.pixels)
        picture.thumbnail((side, side), Image.Resampling.BOX)
        return picture
    checked = ready_for_pillow(data, limits)
    with Image.open(checked.stream, formats=[checked.kind]) as image:
        checked.budget.allow_pixels(image.width * image.height)
        image.draft("RGB", (side, side))
        if image.mode in ("P", "PA", "LA") or "transparency" in image.info:
            picture = image.convert("RGBA")
        else:
            picture = image.convert("RGB") if image.mode not in ("RGB", "RGBA") else image
        picture.thumbnail((side, side), Image.Resampling.BOX)
        if picture.mode == "RGBA":
            ground = Image.new("RGBA", picture.size, "black")  # as `open_image` has it
            picture = Image.alpha_composite(ground, picture).convert("RGB")
        return picture if opened.source_format == "TIFF" else ImageOps.exif_transpose(picture)  # TIFF is upright once it is decoded
