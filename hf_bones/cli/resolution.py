"""`hf-bones resolution`: which size to train at."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from hf_bones.cli.errors import plain_errors
from hf_bones.curate.recipe import DEFAULT_RECIPE, load_curate_recipe


def resolution(
    place: Annotated[str, typer.Argument(metavar="PLACE", help="Collection, built dataset, folder of images, CSV or Parquet table.")],
    out: Annotated[Path, typer.Option(help="Folder for report.md, resolution.json, plots and kept features.")],
    sizes: Annotated[str, typer.Option(help="Candidate long sides, px, with commas between them.")] = "160,224,336,448",
    measure: Annotated[bool, typer.Option("--measure", help="Cross-validate a head on frozen features, and measure costs.")] = False,
    model: Annotated[str, typer.Option(help="Whose features: `bundled`, a checkpoint folder or a Hub id.")] = "bundled",
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of a Hub checkpoint.")] = None,
    keep_blocks: Annotated[int | None, typer.Option(help="Only the first blocks of the backbone.", min=1)] = None,
    licence: Annotated[list[str] | None, typer.Option(help="Only images of this licence; may be repeated.")] = None,
    limit: Annotated[int | None, typer.Option(help="Only about so many images, classes in their shares.", min=1)] = None,
    kind: Annotated[str | None, typer.Option(help="folder, manifest, dataset or collection; else detected.")] = None,
    labels: Annotated[str, typer.Option(help="Label scheme: three-class, two-class or a YAML file.")] = "three-class",
    label_map: Annotated[list[str] | None, typer.Option(metavar="WORD=CLASS", help="Their word for our class; may be repeated.")] = None,
    recipe: Annotated[str, typer.Option(help="Its `opinions` say how to cross-validate: a shipped recipe's name, or a YAML file.")] = (
        DEFAULT_RECIPE
    ),
    cache: Annotated[Path | None, typer.Option(help="Folder that features are kept in; `features` in --out if left out.")] = None,
    device: Annotated[str | None, typer.Option(help="torch device; a GPU where there is one, if left out.")] = None,
) -> None:
    """Which size to train at: what the images' sizes say and, with --measure, what each is worth and costs. Goes on where it stopped."""
    from hf_bones.dataset.command import parse_label_map
    from hf_bones.evaluation.resolution.report import advice_sentence, caveats, figures_table
    from hf_bones.evaluation.resolution.run import advise_resolution
    from hf_bones.record import public_name

    with plain_errors():
        chosen = parse_sizes(sizes)
        words = [
            "hf-bones",
            "resolution",
            public_name(place),
            "--out",
            public_name(out),
            "--sizes",
            ",".join(map(str, chosen)),
        ]
        words += ["--measure", "--model", public_name(model) if model != "bundled" else model] if measure else []
        words += [word for name in licence or () for word in ("--licence", name)] + (["--limit", str(limit)] if limit else [])
        found = advise_resolution(
            place,
            out,
            sizes=chosen,
            measure=measure,
            model=model,
            revision=revision,
            keep_blocks=keep_blocks,
            device=device,
            kind=kind,
            labels=labels,
            label_map=dict(parse_label_map(label_map or [])),
            licences=licence or (),
            limit=limit,
            cache=cache,
            settings=load_curate_recipe(recipe).opinions,
            command=shlex.join(words),
        )
    typer.echo("\n".join(figures_table(found)))
    if found.measured is not None:
        typer.echo("\n".join(["", advice_sentence(found.measured), *(f"- {caveat}" for caveat in caveats(found))]))
    typer.echo(f"report: {out / 'report.md'}")


def parse_sizes(text: str) -> list[int]:
    """Whole numbers from "160,224". Raises ValueError naming what is none."""
    try:
        return [int(word) for word in text.replace(",", " ").split()]
    except ValueError as error:
        raise ValueError(f"--sizes {text!r}: expected whole numbers of pixels with commas between them, as in 160,224,336") from error
