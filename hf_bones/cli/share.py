"""`hf-bones demo`, `review` and `push`: a model and its images before others' eyes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hf_bones.app.demo.wording import DEFAULT, languages, load_words
from hf_bones.app.port import require_free_port
from hf_bones.cli.options import AllowHost, Browser, Host, ModelOption, Place, Port, Revision
from hf_bones.cli.output import answer


def demo(
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL",
            help="`bundled`, a checkpoint folder, or a Hub id, with @REVISION or without; may be repeated: the page lets choose. "
            "Without it those in HF_BONES_MODEL (commas between them), else `bundled`.",
        ),
    ] = None,
    revision: Revision = None,
    allow_any_model: Annotated[bool, typer.Option(help="Visitors may type any other Hub id.")] = False,
    language: Annotated[str, typer.Option(help=f"Language of the page: {', '.join(languages())}.")] = DEFAULT,
    host: Host = None,
    port: Port = None,
    allow_host: AllowHost = None,
    auth: Annotated[
        str | None,
        typer.Option(metavar="USER:PASSWORD", help="Let in only who logs in. Others on this machine can read it here: see --auth-file."),
    ] = None,
    auth_file: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="The same from a file's first line; HF_BONES_AUTH in the environment does it too."),
    ] = None,
    mcp: Annotated[bool, typer.Option(help="Serve agents too, by the Model Context Protocol. Needs `hf-bones[mcp]`.")] = False,
    share: Annotated[bool, typer.Option(help="Also open a public gradio link.")] = False,
    browser: Browser = True,
) -> None:
    """Open the web demo."""
    require_free_port(host, port)
    load_words(language)
    from hf_bones.app.demo.settings import log_in, models_named

    models, user = models_named(model, revision), log_in(auth, auth_file)
    from hf_bones.app import launch

    launch(
        *models,
        allow_any_model=allow_any_model,
        language=language,
        host=host,
        port=port,
        allowed=allow_host or (),
        auth=user,
        mcp=mcp,
        share=share,
        open_browser=browser,
    )


def review(
    place: Place,
    reviewer: Annotated[str, typer.Option(help="Your name, which signs your decisions; without it, the page asks.")] = "",
    labels: Annotated[
        str, typer.Option(help="Classes to give: three-class, two-class or a YAML file; auto: a dataset's own, else three.")
    ] = "auto",
    model: ModelOption = "bundled",
    host: Host = None,
    port: Port = None,
    allow_host: AllowHost = None,
    browser: Browser = True,
) -> None:
    """Look through images: filter, see one large beside its near-duplicates, relabel, drop, restore; two reviewers and kappa."""
    require_free_port(host, port)
    from hf_bones.app.review.page import launch_review

    launch_review(
        place, reviewer=reviewer, labels=labels, model=model, host=host, port=port, allowed=allow_host or (), open_browser=browser
    )


def push(
    folder: Annotated[Path, typer.Argument(help="Checkpoint folder, as `hf-bones train` writes it.")],
    repo_id: Annotated[str, typer.Argument(help="Model repository on the Hub: owner/name.")],
    evaluation: Annotated[Path | None, typer.Option(help="Folder that `hf-bones evaluate` wrote: its figures go into the card.")] = None,
    keep_card: Annotated[bool, typer.Option(help="Push README.md as it is instead of rewriting it.")] = False,
    public: Annotated[bool, typer.Option(help="Make a new repository public.")] = False,
    revision: Annotated[str | None, typer.Option(help="Branch to push to.")] = None,
    message: Annotated[str | None, typer.Option(help="Commit message.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Write the card, check and list the files; send nothing.")] = False,
) -> None:
    """Write a checkpoint's card and push it to the Hub, in one commit. Needs `hf auth login` or HF_TOKEN."""
    from hf_bones.api.push import push as push_to_hub

    pushed = push_to_hub(
        folder, repo_id, evaluation=evaluation, keep_card=keep_card, public=public, revision=revision, message=message, dry_run=dry_run
    )
    done = f"would push to {pushed.url}" if pushed.commit is None else f"pushed to {pushed.url} at {pushed.commit}"
    answer(pushed, [*pushed.files, done])
