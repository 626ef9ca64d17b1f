"""What a search found: a table of its trials (trials.md, trials.csv), a plot (search.png), and the best recipe (best.yaml)."""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from hf_bones.config.recipe import STAGES, RecipeError
from hf_bones.config.search_space import Range
from hf_bones.pages.tables import CsvWriter, markdown_table
from hf_bones.record import public_name
from hf_bones.training.search.plot import plot_search
from hf_bones.training.search.study import TrialRow

BEST_FILE, TABLE, CSV, PLOT = "best.yaml", "trials.md", "trials.csv", "search.png"
# Keys whose value may be a folder of this machine, and the key with the Hub id to write in its place, if any.
PLACES = {
    "dataset": "dataset_id", "model": "base_model_id", "label_scheme": None, "arrays_dir": None, "cached_dir": None, "teacher": None,
    "teacher_probabilities": None, "unlabelled": None,
}  # fmt: skip


def best_of(rows: Iterable[TrialRow]) -> TrialRow | None:
    """The finished trial with the highest score, the earliest of equal ones; None before any is finished."""
    finished = [row for row in rows if row.state == "complete" and row.score is not None]
    return max(finished, key=lambda row: (row.score, -row.number), default=None)


def write_report(rows: Sequence[TrialRow], data: Mapping[str, Any], space: Mapping[str, Range], output: Path, whole: bool = False) -> Path:
    """Writes table, plot and best recipe of the trials so far; once the search is `whole`, also says where they are.

    `data` is the recipe that is searched over (`Recipe.as_dict`), `space` its keys. Returns the file of the best recipe.
    Raises `RecipeError` for a whole search without a finished trial.
    """
    write_csv(rows, list(space), output / CSV)
    (output / TABLE).write_text(table_text(rows, list(space), data["name"]), encoding="utf-8")
    if any(row.curve or row.score is not None for row in rows):
        plot_search(rows, space, output / PLOT)
    best = best_of(rows)
    if best is None:
        if whole and all(row.state != "running" for row in rows):
            raise RecipeError(f"search: none of {len(rows)} trials could be finished; {output / TABLE} says why")
        return output / BEST_FILE
    found, left_out = best_recipe(data, best, len(rows))
    write_recipe(found, output / BEST_FILE, f"Trial {best.number} of a search of {len(rows)} trials ({output.name}/{TABLE}).")
    if whole:
        options = {**left_out, "output_dir": f"runs/{found['name']}"}
        line = ["hf-bones", "train", "--recipe", str(output / BEST_FILE)]
        line += [word for key, value in options.items() for word in (f"--{key}", *(value if isinstance(value, list) else [value]))]
        print(f"\nbest        trial {best.number}: validation selection {best.score:.4f} ± {best.standard_error:.4f} (standard error)")
        print(f"table       {output / TABLE}, {CSV}; plot {PLOT}")
        print(f"checkpoint  {output / best.folder} (finished: weights, record, card)")
        print(f"recipe      {output / BEST_FILE}; to train it again:\n            {shlex.join(line)}")
    return output / BEST_FILE


def best_recipe(data: Mapping[str, Any], best: TrialRow, trials: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The recipe of a trial without this machine's absolute paths, and what of them has to be given on the command line.

    `data` and the recipe are plain data, as `Recipe.as_dict` gives it.
    """
    name = f"{data['name']}-best"
    said = f"{data['description'].rstrip('.')}. The best of {trials} trials by validation selection score ({best.score:.4f})."
    found = {key: value for key, value in data.items() if key != "search"} | {"name": name, "description": said}
    stage_of = {key: stage for stage, kind in STAGES.items() for key in vars(kind())}

    def put(key: str, value: Any) -> None:
        found[stage_of[key]] = {**found.get(stage_of[key], {}), key: value}

    for key, value in {**best.params, "output_dir": f"runs/{name}", "resume": True}.items():
        put(key, value)
    here: dict[str, Any] = {}
    for key, hub_key in PLACES.items():
        value = found.get(stage_of[key], {}).get(key, "")
        places = value if isinstance(value, list) else [value]
        if any(Path(place).is_absolute() for place in places):
            here[key] = value
            hub_id = found[stage_of[hub_key]].get(hub_key) if hub_key else None
            names = [public_name(place) if Path(place).is_absolute() else place for place in places]
            put(key, names if isinstance(value, list) else hub_id or names[0])
    return found, here


def write_recipe(data: Mapping[str, Any], path: Path, comment: str) -> None:
    """Writes a recipe (`Recipe.as_dict`) as YAML that `--recipe` takes: what differs from the defaults, stage by stage."""
    kept: dict[str, Any] = {"name": data["name"], "description": data["description"]}
    for stage, kind in STAGES.items():
        usual = dataclasses.asdict(kind())
        if changed := {key: value for key, value in data.get(stage, {}).items() if value != usual[key]}:
            kept[stage] = changed
    if data["trainer"]:
        kept["trainer"] = data["trainer"]
    text = yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, width=140)
    partial = path.with_name(f".{path.name}")
    partial.write_text(f"# {comment}\n{text}", encoding="utf-8")
    partial.replace(path)


def write_csv(rows: Sequence[TrialRow], keys: Sequence[str], path: Path) -> None:
    """One line a trial, by number, values in full."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        table = CsvWriter(stream)
        table.writerow(["trial", "folder", "state", "selection", "standard_error", "evaluations", "minutes", *keys, "reason"])
        for row in rows:
            figures = ["" if value is None or math.isnan(value) else value for value in (row.score, row.standard_error)]
            values = [row.params.get(key, "") for key in keys]
            table.writerow([row.number, row.folder, row.state, *figures, len(row.curve), round(row.minutes, 2), *values, row.reason])


def table_text(rows: Sequence[TrialRow], keys: Sequence[str], name: str) -> str:
    """trials.md: the trials of a recipe by score, finished ones first."""
    best = best_of(rows)
    states = {state: sum(row.state == state for row in rows) for state in ("complete", "pruned", "ended", "running")}
    counts = ", ".join(f"{count} {state}" for state, count in states.items() if count)
    lines = [
        f"# Search of the recipe {name}",
        "",
        f"{len(rows)} trials: {counts}; {sum(row.minutes for row in rows):.1f} minutes in all.",
    ]
    if best is not None and best.score is not None:
        near = [row for row in rows if row.state == "complete" and row is not best and (row.score or 0) >= best.score - best.standard_error]
        lines += [
            "",
            f"Best: trial {best.number}, {best.score:.4f} ± {best.standard_error:.4f}. Within one standard error of it: "
            + (", ".join(f"trial {row.number}" for row in near) if near else "no other")
            + ". The best of many is a flattering figure: what it is worth, only rows that chose nothing can tell.",
        ]
    lines += [
        "",
        "Score: mean of AUROC(abnormal) and mean AUROC of one against rest on the validation rows; ± is its standard error over resampled "
        "groups. A pruned trial shows the best score on its way. No test row was looked at.",
        "",
    ]
    body = []
    order = {"complete": 0, "pruned": 1, "ended": 2, "running": 3}
    for row in sorted(rows, key=lambda row: (order[row.state], -(row.score or 0.0), row.number)):
        figures = ["–" if value is None or math.isnan(value) else f"{value:.4f}" for value in (row.score, row.standard_error)]
        values = [f"{value:.3g}" if isinstance(value, float) else str(value) for value in (row.params.get(key, "–") for key in keys)]
        cells = [str(row.number), row.state, *figures, str(len(row.curve)), f"{row.minutes:.1f}", *values, first_sentence(row.reason)]
        body.append(cells)
    head = ["trial", "state", "score", "±", "evaluations", "minutes", *keys, "why"]
    return "\n".join([*lines, markdown_table(head, body), "", f"![Scores by trial, by evaluation and by value]({PLOT})", ""])


def first_sentence(reason: str) -> str:
    """What stands in the table of a long reason; trials.csv has all of it."""
    return reason.partition(". ")[0].replace("|", "/").replace("\n", " ")
