"""Folders of images by label: which level names splits, which labels, which patients, and what lies beside them.

`LABEL/image` is the plainest; splits may stand above the labels or below, in any usual spelling; further folders below a label may be
patients. What has no label or lies beside the splits is left out by name. A word that the scheme does not know stays a label, which the
build then refuses.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hf_bones.collect.providers.folder import image_files
from hf_bones.curation.splits.names import TRAIN
from hf_bones.dataset.reading.layouts.folder_names import ClassOf, is_beside, is_wrapper, split_and_label, split_of_folder
from hf_bones.dataset.reading.layouts.said import left_out_notes
from hf_bones.dataset.reading.sources import LeftOut, Reading, SourceRow
from hf_bones.dataset.reading.tables import SourceError
from hf_bones.labels import THREE_CLASS

GROUP_BY_FOLDER = "folder"
_NAMED = 3  # names that a note gives

Parts = tuple[str, ...]


@dataclass
class _Film:
    """An image and what its folders say. `words` are those that name neither a split nor a part of a layout."""

    path: Path
    parts: Parts
    split: str = ""
    words: Parts = ()
    pattern: tuple[str, ...] = ()
    reason: str = ""  # why it is left out


@dataclass
class _Splits:
    """Folders that name a split, by where they stand, and the labels that some name with it; those that would name one, but whose
    neighbours do not; all that stand beside splits."""

    named: dict[Parts, str] = field(default_factory=dict)
    labels: dict[Parts, str] = field(default_factory=dict)
    doubtful: list[Parts] = field(default_factory=list)
    beside: set[Parts] = field(default_factory=set)


def folder_rows(
    root: Path,
    *,
    source: str = "",
    licence: str = "",
    class_of: ClassOf = lambda word: THREE_CLASS.class_of(word) or "",
    group_from: str = "",
    names: Sequence[str] = THREE_CLASS.names,
) -> Reading:
    """Rows of the images below `root`, whose labels are names of folders; `class_of` says what a word stands for beyond doubt.

    `group_from` "folder" makes groups of the folders below each label (else above). `names` are the classes, for the answer to a folder
    without labels. Raises `SourceError` where there is no image or no label, where labels lie beside splits, or where there are no such
    groups.
    """
    films = [_Film(path, path.relative_to(root).parent.parts) for path in image_files(root)]
    if not films:
        raise SourceError(f"{root}: holds no image files. {wanted_tree(root, names)}")
    built = _built_datasets(root, films)
    splits = _find_splits({film.parts for film in films if not _within(film.parts, built)}, class_of)
    for film in films:
        if within := _within(film.parts, built):
            film.reason = f"in a dataset that was built: {'/'.join(within)}/"
        else:
            _read_parts(film, splits, class_of)
    _require_no_labels_beside(root, splits, class_of)
    depth = _label_depth([film.words for film in films if not film.reason], class_of)
    for film in films:
        if not film.reason and len(film.words) <= depth:
            film.reason = "a folder that cannot be opened" if film.path.is_dir() else "no label: it lies in no label's folder"
    kept = [film for film in films if not film.reason]
    _require_labels(root, films, kept, depth, class_of, names)
    groups = [_group_folder(film.words, depth, class_of) for film in kept]
    if group_from == GROUP_BY_FOLDER and not any(groups):
        raise SourceError(f"{root}: --group-from folder: no folder lies between a label and its images, so there is nothing to group by")
    rows = [
        SourceRow(
            label=film.words[depth],
            file=film.path,
            group=group if group_from == GROUP_BY_FOLDER else "",
            source=source or root.name,
            licence=licence or "unknown",
            split=film.split,
            image_id=film.path.relative_to(root).as_posix(),
        )
        for film, group in zip(kept, groups, strict=True)
    ]
    left_out = [LeftOut(film.path.relative_to(root).as_posix(), film.reason) for film in films if film.reason]
    notes = [*left_out_notes(left_out), *_split_notes(splits), *_class_notes(kept, depth, class_of)]
    notes += _group_notes(kept, groups, depth, group_from)
    return Reading(rows, left_out, notes, layout=_layout(kept, depth, splits))


def wanted_tree(root: Path, names: Sequence[str], given: Path | None = None) -> str:
    """What a folder of films should look like, and what else would do: for whoever gave another, or `given` above it."""
    width = max(map(len, names)) + 2
    lines = [f"{root.name or root}/", *(f"  {f'{name}/':<{width}}film01.png …" for name in names)]
    places = [folder for folder in dict.fromkeys((given or root, root)) if folder.is_dir()]
    tables = [path for folder in places for path in sorted(folder.iterdir()) if path.suffix.lower() in (".csv", ".tsv")]
    table = f"There is a table, too: hf-bones build {tables[0]}" if tables else "Or give a table with the columns file and label"
    return "Wanted is a folder for each label, with or without train, val and test around them:\n" + "\n".join(lines) + f"\n{table}"


def _built_datasets(root: Path, films: Sequence[_Film]) -> set[Parts]:
    """Folders below `root` that `hf-bones build` wrote, or that `save_to_disk` did: whoever builds within a source reads it again."""
    folders = {film.parts[:depth] for film in films for depth in range(1, len(film.parts) + 1)}
    return {parts for parts in folders if root.joinpath(*parts, "dataset_dict.json").is_file()}


def _within(parts: Parts, folders: Collection[Parts]) -> Parts:
    """Which of the folders `parts` lie in, or are; empty for none."""
    return next((parts[:depth] for depth in range(1, len(parts) + 1) if parts[:depth] in folders), ())


def _find_splits(places: Collection[Parts], class_of: ClassOf) -> _Splits:
    """A folder names a split if all its neighbours do, or if there is one for training among them, or two of different splits."""
    children: dict[Parts, set[str]] = defaultdict(set)
    for parts in places:
        for depth, name in enumerate(parts):
            children[parts[:depth]].add(name)
    found = _Splits()
    for above, names in children.items():
        named = {name: split for name in sorted(names) if (split := split_of_folder(name)) and not class_of(name)}
        both = {
            name: found for name in sorted(names) if name not in named and not class_of(name) for found in [split_and_label(name, class_of)]
        }
        both = {name: found for name, found in both.items() if found[0]}
        if not named and len({split for split, _ in both.values()}) > 1:
            named = {name: split for name, (split, _) in both.items()}
            found.labels |= {(*above, name): label for name, (_, label) in both.items()}
        if not named:
            continue
        others = {name for name in names if name not in named}
        if TRAIN in named.values() or len(set(named.values())) > 1 or all(is_beside(name) for name in others):
            found.named |= {(*above, name): split for name, split in named.items()}
            found.beside |= {(*above, name) for name in others}
        else:
            found.doubtful += [(*above, name) for name in named]
    return found


def _read_parts(film: _Film, splits: _Splits, class_of: ClassOf) -> None:
    words, pattern = [], []
    for depth, name in enumerate(film.parts):
        here = film.parts[: depth + 1]
        if here in splits.named:
            pattern.append("SPLIT")
            if film.split and film.split != splits.named[here]:
                film.reason = f"two splits: {'/'.join(here)}"
            film.split = splits.named[here]
            if here in splits.labels:
                words.append(splits.labels[here])
                pattern[-1:] = ["SPLIT", "FOLDER"]
        elif here in splits.beside:
            film.reason = film.reason or f"beside the splits, in none of them: {'/'.join(here)}/"
        elif is_beside(name) and not class_of(name):
            film.reason = film.reason or f"in a folder that holds no films of the set: {'/'.join(here)}/"
        elif not is_wrapper(name) or class_of(name):
            words.append(name)
            pattern.append("FOLDER")
    inner = {place[:-1] for place in splits.named if len(place) > 1}
    if not film.reason and not film.split and film.parts in inner:
        film.reason = f"beside the splits, in none of them: {'/'.join(film.parts)}/"
    film.words, film.pattern = tuple(words), tuple(pattern)


def _require_no_labels_beside(root: Path, splits: _Splits, class_of: ClassOf) -> None:
    labels = sorted("/".join(parts) for parts in splits.beside if class_of(parts[-1]))
    if labels:
        named = ", ".join(sorted("/".join(parts) for parts in splits.named))
        raise SourceError(f"{root}: the label folder {labels[0]} lies beside the splits {named}: move it into one of them")


def _label_depth(words: Sequence[Parts], class_of: ClassOf) -> int:
    """Which of the words is the label: the first, unless all of the second are known and the first are not, or are of one class only.

    So are "bone fractures/healthy" and "bone fractures/fractured", whose first says what the set is of.
    """
    first, second = ({each[depth] for each in words if len(each) > depth} for depth in (0, 1))
    outer, inner = {class_of(word) for word in first} - {""}, {class_of(word) for word in second}
    if not second or "" in inner:
        return 0
    deep = all(len(each) > 1 for each in words)
    return 1 if not outer or (len(outer) == 1 and len(inner) > 1 and deep) else 0


def _require_labels(root: Path, films: Sequence[_Film], kept: Sequence[_Film], depth: int, class_of: ClassOf, names: Sequence[str]) -> None:
    if not kept:
        reason, count = Counter(film.reason for film in films).most_common(1)[0]
        raise SourceError(f"{root}: {len(films)} images, none in a label's folder ({count} × {reason}). {wanted_tree(root, names)}")
    labels = {film.words[depth] for film in kept}
    split_words = sorted(word for word in labels if split_of_folder(word) and not class_of(word))
    if split_words:
        others = ", ".join(sorted(labels - set(split_words))) or "images"
        raise SourceError(
            f"{root}: {split_words[0]!r} names a split and lies beside {others}, which name none. Put the label folders into folders for "
            "train and test, or move it away"
        )
    if len(labels) == 1 and not class_of(*labels):
        (word,) = labels
        raise SourceError(
            f"{root}: {len(kept)} images, all in the folder {word!r}, which is no label that is known. {wanted_tree(root, names)}"
        )


def _group_folder(words: Parts, depth: int, class_of: ClassOf) -> str:
    """The folder that may be a patient: the first below the label that is called after no class, else the one above it."""
    below = next((word for word in words[depth + 1 :] if not class_of(word)), "")
    return below or (words[depth - 1] if depth else "")


def _split_notes(splits: _Splits) -> list[str]:
    return [
        f"{'/'.join(parts)}/ is named after a split, and its neighbours are not: it was read as a folder like them"
        for parts in splits.doubtful[:_NAMED]
    ]


def _class_notes(kept: Sequence[_Film], depth: int, class_of: ClassOf) -> list[str]:
    """Of folders below labels that are called after classes: the upper name counts, and a lower one of another class is told of."""
    torn = Counter(
        (film.words[depth], film.words[depth + 1])
        for film in kept
        if len(film.words) > depth + 1 and class_of(film.words[depth + 1]) not in ("", class_of(film.words[depth]))
    )
    return [
        f"{count} images in {label}/{below}/ were read as {label!r}; where {below!r} is their label, put it beside the others"
        for (label, below), count in torn.most_common(_NAMED)
    ]


def _group_notes(kept: Sequence[_Film], groups: Sequence[str], depth: int, group_from: str) -> list[str]:
    outer = sorted({film.words[0] for film in kept}) if depth else []
    more = ", …" if len(outer) > _NAMED else ""
    notes = [f"labels lie below {', '.join(outer[:_NAMED])}{more}: read as parts of one source"] if outer else []
    there = sorted({group for group in groups if group})
    if group_from == GROUP_BY_FOLDER:
        alone = groups.count("")
        return [*notes, *([f"{alone} images lie in no folder of their label's, and stand alone"] if alone else [])]
    if len(there) < 2:
        return notes
    first = next(film for film, group in zip(kept, groups, strict=True) if group)
    where = f"above the labels (such as {outer[0]}/)" if depth else f"between labels and images (such as {'/'.join(first.parts)}/)"
    advice = "Where each is a patient or a study, keep its films in one split: --group-from folder"
    return [*notes, f"{len(there)} folders lie {where}. {advice}"]


def _layout(kept: Sequence[_Film], depth: int, splits: _Splits) -> str:
    patterns: Counter[tuple[str, ...]] = Counter()
    for film in kept:
        words = iter(range(len(film.words)))
        patterns[tuple("LABEL" if part == "FOLDER" and next(words) == depth else part for part in film.pattern)] += 1
    shown = " and ".join("/".join((*pattern, "image")) for pattern, _ in patterns.most_common(2))
    read = dict.fromkeys((parts[-1], split) for parts, split in splits.named.items() if parts[-1] != split)
    said = ", ".join(f"{word} as {split}" for word, split in read)
    return shown + (f"; splits: {said}" if said else "")
