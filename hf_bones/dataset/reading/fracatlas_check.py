"""Where FracAtlas contradicts itself: the folder that a film lies in, what `dataset.csv` says of it, and its boxes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from hf_bones.dataset.reading.contradiction import KEPT, LEFT_OUT, Contradiction

FOLDER, BOXES = "FracAtlas: folder against table", "FracAtlas: boxes against table"
_FOLDERS = {"fractured": True, "non_fractured": False}


def fracatlas_contradictions(
    fractured: Mapping[str, bool], films: Iterable[Path], boxes: Callable[[str], int], *, decided: bool
) -> list[Contradiction]:
    """What contradicts itself among the films of FracAtlas. `fractured` is the table's word on each file name; `films` are all image
    files; `boxes` counts the boxes of a name. `decided`: somebody else says what the films are, and nothing is left out.

    A film that two of the three call differently is left out, since nobody knows which is right. A fractured film without a box is kept,
    and told of where other films have boxes.
    """
    places: dict[str, set[bool]] = defaultdict(set)
    names = set()
    for path in films:
        names.add(path.name)
        if path.parent.name.casefold() in _FOLDERS:
            places[path.name].add(_FOLDERS[path.parent.name.casefold()])
    counts = {name: boxes(name) for name in fractured}
    boxed = any(counts[name] for name, broken in fractured.items() if broken)
    found = []
    for name, broken in fractured.items():
        said = "fractured" if broken else "not fractured"
        if places[name] - {broken}:
            lies = " and ".join(sorted("Fractured" if folder else "Non_fractured" for folder in places[name]))
            found.append(Contradiction(FOLDER, name, name, f"in {lies}, the table says {said}", KEPT if decided else LEFT_OUT))
        elif counts[name] and not broken:
            found.append(Contradiction(BOXES, name, name, f"{counts[name]} boxes, the table says {said}", KEPT if decided else LEFT_OUT))
        elif broken and boxed and not counts[name]:
            found.append(Contradiction(BOXES, name, name, f"no box, the table says {said}", KEPT))
    found += [Contradiction(FOLDER, name, name, "no row in the table", LEFT_OUT) for name in sorted(names - set(fractured))]
    return found
