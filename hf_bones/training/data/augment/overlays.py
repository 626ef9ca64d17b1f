"""What lies over a film: collimation, markers and text. None of it covers a known fracture box, and on a film that may show a break whose
place nobody has noted it keeps to the outer margin."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from hf_bones.config.recipe import AugmentConfig
from hf_bones.training.data.augment.kinds import BatchImages, Named, grid, of_some

OUTER_MARGIN = 0.06  # of a side: as far as overlays reach into a film with a break at an unknown place
MARKERS = 3  # at most, on one film
_OPEN = 0.4  # share of the sides that stay open
_TILT = 0.03  # rad: a border is turned by up to this
_LETTERS = 64  # px: height of a text in its picture
_LONGEST = 8  # times its height, width of that picture
TEXTS = (
    "L", "R", "AP", "LAT", "OBL", "PA", "L 2", "R 17", "SUPINE", "PORTABLE", "STANDING", "kV 55  mAs 3", "14.03.2016", "2021-11-08",
    "10:42", "No. 20715", "W 4096 L 2048", "100 %", "↑", "→", "*", "○", "L ↑", "B.N.",
)  # fmt: skip


def collimation(grey: torch.Tensor, draws: Named, images: BatchImages, policy: AugmentConfig) -> torch.Tensor:
    """Straight borders of one shade, mostly dark, along some of the sides."""

    def bordered(grey: torch.Tensor, rows: torch.Tensor | slice) -> torch.Tensor:
        chosen = images.of(rows)
        sides = chosen.sides
        numbers = torch.stack([draws[f"collimation_{side}"][rows] for side in ("left", "top", "right", "bottom")], dim=1)
        width = (numbers - _OPEN).clamp(min=0) / (1 - _OPEN) * policy.strength("collimation") * sides.repeat(1, 2)
        tilt = (draws["collimation_tilt"][rows] * 2 - 1) * _TILT
        # A tilted border reaches further in at one end, and its edge is soft.
        soft = 0.5 + 3 * draws["collimation_edge"][rows][:, None]
        slack = tilt.abs()[:, None] * sides.flip(1).repeat(1, 2) / 2 + soft + 1
        free = torch.cat([chosen.corners()[..., :2].amin(dim=1), sides - chosen.corners()[..., 2:].amax(dim=1)], dim=1)
        free = torch.where(chosen.hidden[:, None], torch.minimum(free, OUTER_MARGIN * sides.repeat(1, 2)), free)
        width = torch.minimum(width, free - slack)
        width = torch.where(width > 0, width, -1e6)  # an open side has no border, however soft
        left, top, right, bottom = (each[:, None, None] for each in width.unbind(1))
        x, y = grid(grey)
        middle_x, middle_y = (side[:, None, None] / 2 for side in sides.unbind(1))
        across = x + (y - middle_y) * tilt[:, None, None]
        down = y - (x - middle_x) * tilt[:, None, None]
        beyond = torch.zeros_like(grey[:, 0])
        for wide, place in ((left, across), (top, down), (right, 2 * middle_x - across), (bottom, 2 * middle_y - down)):
            beyond = torch.maximum(beyond, (wide - place).div_(soft[:, :, None]).add_(0.5))
        beyond.clamp_(max=1)
        number = draws["collimation_shade"][rows]
        shade = torch.where(number < 0.8, number * 0.1, 0.9 + (number - 0.8) * 0.5)[:, None, None, None]
        return torch.lerp(grey, shade.expand_as(grey), beyond[:, None])

    return of_some(grey, draws["collimation"] < policy.style_probability, bordered)


def markers(grey: torch.Tensor, draws: Named, images: BatchImages, policy: AugmentConfig) -> torch.Tensor:
    """Letters of lead, and texts and signs written onto the picture; more of them near the edges."""
    for number in range(MARKERS):
        own = {part: draws[f"marker_{number}_{part}"] for part in _MARKER_PARTS}

        def marked(grey: torch.Tensor, rows: torch.Tensor | slice, own: Named = own) -> torch.Tensor:
            return _marked(grey, {part: value[rows] for part, value in own.items()}, images.of(rows), policy.strength("markers"))

        grey = of_some(grey, (draws["markers"] < policy.style_probability) & (own["there"] < 0.6), marked)
    return grey


_MARKER_PARTS = ("there", "text", "x", "y", "size", "turn", "look")
MARKER_DRAWS = {"markers": 1.0} | {f"marker_{number}_{part}": 0.5 for number in range(MARKERS) for part in _MARKER_PARTS}


def _marked(grey: torch.Tensor, own: Named, images: BatchImages, tallest: float) -> torch.Tensor:
    atlas, spans = _atlas(grey.device)
    which = (own["text"] * len(TEXTS)).long()
    sides = images.sides
    # A quarter stand upright along a side; letters of lead lie askew by some degrees.
    turn = (own["turn"] * 8 % 1 - 0.5) * 0.3 * (own["look"] < 0.5) + math.pi / 2 * (own["turn"] * 4).long().clamp(min=2).sub(2)
    half_height = 0.5 * tallest * (0.35 + 0.65 * own["size"]) * sides.amax(dim=1)
    half_width = half_height * spans[which]
    c, s = turn.cos(), turn.sin()
    reach = torch.stack([half_width * c.abs() + half_height * s.abs(), half_width * s.abs() + half_height * c.abs()], dim=1)
    # The middle of a marker: anywhere, the nearer to an edge the more often.
    number = torch.stack([own["x"], own["y"]], dim=1) * 2 - 1
    middle = sides / 2 + number.sign() * (1 - (1 - number.abs()) ** 2) * (sides / 2 - reach - 2).clamp(min=0)
    first, last = middle - reach - 2, middle + reach + 2
    corners = images.corners()
    covers = ((first[:, None] < corners[..., 2:]) & (last[:, None] > corners[..., :2])).all(dim=2).any(dim=1)
    inner = (last > OUTER_MARGIN * sides).all(dim=1) & (first < (1 - OUTER_MARGIN) * sides).all(dim=1)
    kept = ~covers & ~(images.hidden & inner) & (first >= 0).all(dim=1) & (last <= sides).all(dim=1)
    x, y = grid(grey)
    x, y = x - middle[:, 0, None, None], y - middle[:, 1, None, None]
    c, s, scale = c[:, None, None], s[:, None, None], half_height[:, None, None]
    places = torch.stack([(x * c + y * s) / (scale * _LONGEST), (y * c - x * s) / scale], dim=-1)
    ink = torch.nn.functional.grid_sample(atlas[which], places, padding_mode="zeros", align_corners=False)
    plate = ((places[..., 0].abs() * _LONGEST < spans[which][:, None, None] + 0.2) & (places[..., 1].abs() < 1.1))[:, None]
    look = own["look"][:, None, None, None]
    lead = torch.lerp(grey, grey.clamp(min=0.9), ink)
    written = torch.lerp(grey, (0.75 + 0.25 * (look * 7 % 1)).expand_as(grey), ink)
    on_plate = torch.where(plate, 0.95 - 0.9 * ink, grey)
    found = torch.where(look < 0.5, lead, torch.where(look < 0.85, written, on_plate))
    return torch.where(kept[:, None, None, None], found, grey)


@lru_cache(maxsize=8)
def _atlas(device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """A picture (T, 1, 64, 512) in [0, 1] of each text, in its middle, and the width of each as a multiple of its height, (T,)."""
    font = ImageFont.load_default(_LETTERS * 0.72)
    pictures, spans = [], []
    for text in TEXTS:
        picture = Image.new("L", (_LETTERS * _LONGEST, _LETTERS))
        draw = ImageDraw.Draw(picture)
        draw.text((_LETTERS * _LONGEST / 2, _LETTERS / 2), text, fill=255, font=font, anchor="mm")
        box = picture.getbbox() or (0, 0, 1, 1)
        pictures.append(np.asarray(picture, dtype=np.float32) / np.float32(255))
        spans.append((box[2] - box[0]) / _LETTERS + 0.1)
    with torch.inference_mode(False):  # pictures made in inference mode could not be used in training
        return torch.from_numpy(np.stack(pictures))[:, None].to(device), torch.tensor(spans, dtype=torch.float32, device=device)
