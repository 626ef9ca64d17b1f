"""Casts, splints and metal drawn onto films: in most collections they lie on broken limbs alone, and a network learns them for the break.

Physics as in `dataset/drawn/extras.py`: thickness adds to what the beam has to pass, and the shoulder of the film bunches up what is
bright. Where it goes comes from `limb.py`. What is drawn moves with the limb, since it is drawn before anything is turned or enlarged.
"""

from __future__ import annotations

import torch
from torch.nn.functional import grid_sample, interpolate

from hf_bones.config.recipe import AugmentConfig
from hf_bones.training.data.augment.detail import blurred, grain_of
from hf_bones.training.data.augment.kinds import BatchImages, Named, grid, of_some
from hf_bones.training.data.augment.limb import CELLS, Limbs, axis, cells, drawn_cell, find_limbs

CAST_DRAWS = ("limb", "kind", "start", "end", "wall", "density", "side", "x", "y")
METAL_DRAWS = ("limb", "kind", "place", "length", "width", "side", "turn", "density")
_SPLINTS, _PLATES, _NAILS = 0.5, 0.55, 0.3  # share of casts that are splints; of metal that are plates, that are nails
_CLEAR = 3  # px: metal keeps this far away from a fracture box
_PROFILE = 64  # places along a bone at which it is looked whether it is still in the limb


def cast(grey: torch.Tensor, draws: Named, images: BatchImages, policy: AugmentConfig) -> torch.Tensor:
    """A rough bright shell round the limb, or a sheet along one side of it, with sharp ends."""
    rate = torch.where(images.healthy, policy.strength("cast_healthy"), policy.cast)
    return of_some(
        grey,
        draws["cast"] < rate,
        lambda grey, rows: _with_cast(grey, {name: draws[f"cast_{name}"][rows] for name in CAST_DRAWS}, images.of(rows)),
    )


def metal(grey: torch.Tensor, draws: Named, images: BatchImages, policy: AugmentConfig) -> torch.Tensor:
    """A plate with screws, a nail or wires along a bone, clear of all fracture boxes; none where these are not known."""
    rate = torch.where(images.healthy, policy.strength("metal_healthy"), policy.metal)
    return of_some(
        grey,
        (draws["metal"] < rate) & ~images.hidden,
        lambda grey, rows: _with_metal(grey, {name: draws[f"metal_{name}"][rows] for name in METAL_DRAWS}, images.of(rows)),
    )


def _with_cast(grey: torch.Tensor, own: Named, images: BatchImages) -> torch.Tensor:
    limbs = find_limbs(grey, images, own["limb"])
    size, cell = grey.shape[-1], grey.shape[-1] / CELLS
    skin = limbs.inside.clamp(min=0)
    mask = (limbs.inside > 0).float()
    radius = (2 * skin.sum(dim=(1, 2)) / mask.sum(dim=(1, 2)).clamp(min=1)).clamp(min=2)[:, None, None]  # cells, of the limb
    splint = (own["kind"] < _SPLINTS)[:, None, None]
    number = own["wall"][:, None, None]
    wall = radius * torch.where(splint, 0.08 + 0.14 * number, 0.035 + 0.055 * number)
    gap = radius * 0.04
    # A wavy outer surface, rougher than the inner one
    folds = blurred(grain_of(own["x"], own["y"], CELLS, grey.device), torch.full_like(own["x"], 1.5), 1.5)[:, 0] * 3.7
    field = torch.stack([limbs.inside, folds], dim=1)
    inside, folds = interpolate(field, size=(size, size), mode="bilinear", align_corners=False).unbind(1)
    outer, inner = radius + gap + wall * (1 + 0.3 * folds).clamp(min=0.4), radius + gap
    off = (radius - inside).clamp(min=0)  # cells from the middle of the limb
    chord = (outer**2 - off**2).clamp(min=0).sqrt() - (inner**2 - off**2).clamp(min=0).sqrt()
    chord = chord / (outer**2 - inner**2).sqrt()  # 1 where the beam runs along the shell
    middle, along = axis(mask)
    across = torch.stack([-along[:, 1], along[:, 0]], dim=1) * torch.where(own["side"] < 0.5, -1.0, 1.0)[:, None]
    sloped = _slope(inside)
    faces = -(sloped[0] * across[:, 0, None, None] + sloped[1] * across[:, 1, None, None])
    # Less of it over the middle than a round shell has; a sheet on one side has none there, and bends round the edge.
    edge = (off / radius).clamp(max=1) ** 2
    chord = torch.where(splint, chord * edge * (3 * faces + 0.5).clamp(0, 1), chord * (0.6 + 0.4 * edge))
    ends = _ends(mask, middle, along, own, radius[:, 0, 0])
    x, y = (each / cell for each in grid(grey))
    for place, inward in ends:
        into = (x - place[:, 0, None, None]) * inward[:, 0, None, None] + (y - place[:, 1, None, None]) * inward[:, 1, None, None]
        chord = chord * ((into + 0.12 * folds) * cell + 0.5).clamp(0, 1)
    texture = _texture(x, y, middle, along, own, size).mul(0.3).add(1).clamp(min=0.2)
    number = own["density"][:, None, None]
    density = torch.where(splint, 1.1 + 1.3 * number, 1.0 + 1.2 * number)
    return _exposed(grey, chord * texture * density, images, limbs)


def _texture(x: torch.Tensor, y: torch.Tensor, middle: torch.Tensor, along: torch.Tensor, own: Named, size: int) -> torch.Tensor:
    """(B, S, S) of mean 0 and spread about 1: creases across the limb, from the turns of the bandage, and a fine weave."""
    x, y = x - middle[:, 0, None, None], y - middle[:, 1, None, None]
    u = x * along[:, 0, None, None] + y * along[:, 1, None, None]
    v = y * along[:, 0, None, None] - x * along[:, 1, None, None]
    rough = grain_of(own["y"], own["x"], CELLS, u.device)
    creases = grid_sample(rough, torch.stack([0.25 * v, 1.2 * u], dim=-1) / CELLS, padding_mode="reflection", align_corners=False)[:, 0]
    weave = blurred(grain_of(own["y"], own["x"], size, u.device), torch.full_like(own["x"], 0.8), 0.8)[:, 0]
    return 0.9 * creases + weave


def _ends(
    mask: torch.Tensor, middle: torch.Tensor, along: torch.Tensor, own: Named, radius: torch.Tensor
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Where a cast ends, twice: a place on the limb (B, 2) in cells and the direction from there into the cast."""
    x, y = cells(mask)
    run = (x - middle[:, 0, None, None]) * along[:, 0, None, None] + (y - middle[:, 1, None, None]) * along[:, 1, None, None]
    far = (run.abs() * mask).amax(dim=(1, 2))
    found = []
    # From a third of the way to the end of the limb to beyond it, where no end is in view
    for sign, number in ((-1.0, own["start"]), (1.0, own["end"])):
        share = 0.25 + 0.95 * number
        at = (sign * share * far)[:, None, None]
        slab = mask * ((run - at).abs() < 2.5)
        bare = slab.sum(dim=(1, 2)) < 1
        spot = torch.where(bare[:, None], middle + along * (sign * share * far)[:, None], axis(slab)[0])
        reach = ((x - spot[:, 0, None, None]) ** 2 + (y - spot[:, 1, None, None]) ** 2) < (2.2 * radius[:, None, None]) ** 2
        _, local = axis(mask * reach)
        local = torch.where(((local * along).sum(dim=1).abs() < 0.6)[:, None], along, local)  # a hand or a bend has no axis of its own
        inward = local * torch.where(((middle - spot) * local).sum(dim=1) < 0, -1.0, 1.0)[:, None]
        found.append((spot, torch.where(bare[:, None], -sign * along, inward)))
    return found


def _slope(field: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How fast a smooth field (B, S, S) rises in x and y, per pixel, over its own steepness: the direction in which it rises."""
    dx = torch.nn.functional.pad(field[:, :, 2:] - field[:, :, :-2], (1, 1, 0, 0))
    dy = torch.nn.functional.pad(field[:, 2:] - field[:, :-2], (0, 0, 1, 1))
    steep = (dx**2 + dy**2).sqrt().clamp(min=1e-4)
    return dx / steep, dy / steep


def _with_metal(grey: torch.Tensor, own: Named, images: BatchImages) -> torch.Tensor:
    limbs = find_limbs(grey, images, own["limb"])
    cell = grey.shape[-1] / CELLS
    deep = limbs.inside > 1.5
    radius = (2 * limbs.inside.clamp(min=0).sum(dim=(1, 2)) / (limbs.inside > 0).float().sum(dim=(1, 2)).clamp(min=1)).clamp(min=2)
    bone = limbs.bone.clamp(min=0) * deep
    spot = drawn_cell(bone**3, own["place"])
    place = torch.stack([spot % CELLS, spot // CELLS], dim=1) + 0.5
    x, y = cells(bone)
    for _ in range(3):  # onto the axis of the bone that the cell belongs to
        near = ((x - place[:, 0, None, None]) ** 2 + (y - place[:, 1, None, None]) ** 2) / (0.8 * radius[:, None, None]) ** 2
        place, along = axis(bone**2 * torch.exp(-near))
    before, after = _room(limbs.inside, place, along)
    length = 0.35 + 0.6 * own["length"]
    before, after = before * length, after * length
    x, y = (each / cell for each in grid(grey))
    x, y = x - place[:, 0, None, None], y - place[:, 1, None, None]
    u = x * along[:, 0, None, None] + y * along[:, 1, None, None]
    v = y * along[:, 0, None, None] - x * along[:, 1, None, None]
    thick = _metal(u * cell, v * cell, (before * cell, after * cell), radius * cell, own)
    corners = images.corners()
    first_x, first_y, last_x, last_y = ((corners[..., each] + sign * _CLEAR)[..., None, None] for each, sign in enumerate((-1, -1, 1, 1)))
    px, py = (each[:, None] for each in grid(grey))
    boxed = ((px > first_x) & (px < last_x) & (py > first_y) & (py < last_y)).any(dim=1)
    clear = ~((thick > 0.01) & boxed).flatten(1).any(dim=1) & (before + after > 0.8 * radius)
    return _exposed(grey, thick * (1.4 + 1.6 * own["density"])[:, None, None] * clear[:, None, None], images, limbs)


def _room(inside: torch.Tensor, place: torch.Tensor, along: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How many cells the limb goes on from `place` against and along a direction, (B,) each."""
    steps = torch.linspace(0, 0.7 * CELLS, _PROFILE, device=inside.device)
    found = []
    for sign in (-1.0, 1.0):
        at = place[:, None] + sign * along[:, None] * steps[:, None]
        value = grid_sample(inside[:, None], (at / CELLS * 2 - 1)[:, None], padding_mode="zeros", align_corners=False)[:, 0, 0]
        found.append((value > 1).float().cumprod(dim=1).sum(dim=1) * 0.7 * CELLS / _PROFILE)
    return found[0], found[1]


def _metal(u: torch.Tensor, v: torch.Tensor, run: tuple[torch.Tensor, torch.Tensor], radius: torch.Tensor, own: Named) -> torch.Tensor:
    """(B, S, S) in [0, 1]: how much metal lies over each pixel, `u` along a bone and `v` across it, px; it runs from -run[0] to run[1]."""
    before, after, radius = run[0][:, None, None], run[1][:, None, None], radius[:, None, None]
    kind, number, width, turn = (own[name][:, None, None] for name in ("kind", "side", "width", "turn"))
    side = torch.where(number < 0.5, -1.0, 1.0)

    def bar(at_u: torch.Tensor, at_v: torch.Tensor, half_u: torch.Tensor, half_v: torch.Tensor) -> torch.Tensor:
        return (half_u - at_u.abs() + 0.5).clamp(0, 1) * (half_v - at_v.abs() + 0.5).clamp(0, 1)

    middle, half = (after - before) / 2, (after + before) / 2
    pitch = (0.3 + 0.25 * turn) * radius
    phase = torch.remainder(u - middle, pitch) - pitch / 2
    within = (half - pitch * 0.3 - (u - middle).abs()).clamp(0, 1)
    shank = (0.028 * radius).clamp(min=0.6)
    # A plate from the side: thin, its screws across the bone. From the front: broad, its screws seen as heads in holes.
    edge = side * (0.2 + 0.12 * width) * radius
    thin = bar(u - middle, v - edge, half, (0.035 + 0.03 * width) * radius)
    screws = bar(phase, v - edge * 0.1, shank, edge.abs() * 1.15) * within
    sideways = torch.maximum(thin, 0.9 * screws)
    broad = bar(u - middle, v, half, (0.1 + 0.06 * width) * radius) * 0.75
    hole = (phase**2 + v**2).sqrt()
    front = broad * (1 - 0.5 * (0.075 * radius - hole + 0.5).clamp(0, 1) * within) + (0.045 * radius - hole + 0.5).clamp(0, 1) * within
    plate = torch.where((number * 4 % 1) < 0.5, sideways, front.clamp(max=1))
    # A nail down the marrow, bolted near one end
    nail = bar(u - middle, v, half, (0.06 + 0.05 * width) * radius) * 0.8
    bolts = sum(bar(u - middle - half * place, v, shank, 0.3 * radius) for place in (0.8, 0.92))
    nail = torch.maximum(nail, torch.as_tensor(bolts).clamp(max=1))
    # Two crossed wires
    slant = (0.12 + 0.3 * turn) * side
    wires = [bar(u - middle, v - sign * (u - middle - half * 0.4) * slant, half * 0.7, shank) for sign in (-1.0, 1.0)]
    return torch.where(kind < _PLATES, plate, torch.where(kind < _PLATES + _NAILS, nail, torch.maximum(wires[0], wires[1])))


def _exposed(grey: torch.Tensor, thickness: torch.Tensor, images: BatchImages, limbs: Limbs) -> torch.Tensor:
    """What is left to see of a film under a `thickness` (B, S, S) of plaster or metal, in units that take its darkness down to 1 / e."""
    x, y = grid(grey)
    film = (x < images.widths[:, None, None]) & (y < images.heights[:, None, None]) & limbs.found[:, None, None]
    return 1 - (1 - grey) * torch.exp(-thickness * film)[:, None]
