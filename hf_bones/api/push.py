"""`hf_bones.push`: a checkpoint with its card onto the Hub, as `hf-bones push` sends it."""

from __future__ import annotations

from pathlib import Path

from hf_bones.api.keywords import names_nearest
from hf_bones.hub.card import write_card
from hf_bones.hub.push import Pushed, push_checkpoint


@names_nearest
def push(
    checkpoint: str | Path,
    repo_id: str,
    *,
    evaluation: str | Path | None = None,
    keep_card: bool = False,
    public: bool = False,
    revision: str | None = None,
    message: str | None = None,
    token: str | None = None,
    dry_run: bool = False,
) -> Pushed:
    """Writes a checkpoint's card and pushes it to the Hub in one commit, as `hf-bones push` does.

    Only safetensors, config, decision rule, record, card, metrics and plots are sent; other files in the folder stay.

    Args:
        checkpoint: Folder that `train` wrote.
        repo_id: Model repository, owner/name; made where it is not there.
        evaluation: Folder that `evaluate` wrote for this checkpoint: its figures go into the card.
        keep_card: Push README.md as it is instead of writing it anew.
        public: Make a new repository public. An existing one stays as it is.
        revision: Branch to push to, made where it is not there. None: main.
        message: Commit message.
        token: Hub token with write access. None: that of `hf auth login` or HF_TOKEN.
        dry_run: Write the card, check and list the files; send nothing.

    Returns:
        The address, the commit (None on a dry run), and the names of the files that are there now.

    Raises:
        PushError: A folder that must not be pushed, no valid token, or what the Hub refuses. A ValueError.
        OSError: No network, or HF_HUB_OFFLINE is set.
        ValueError: `keep_card` together with `evaluation`.
        FileNotFoundError: No checkpoint in the folder, or no `metrics.json` in that of the evaluation.

    Examples:
        >>> from hf_bones import push
        >>> pushed = push("runs/mine", "ada/my-bones", evaluation="runs/report")
        >>> pushed.url
        '.../ada/my-bones'
        >>> "model.safetensors" in pushed.files
        True
    """
    if keep_card and evaluation:
        raise ValueError("keep_card and evaluation cannot be used together: figures are put in by rewriting the card")
    if not keep_card:
        write_card(checkpoint, name=repo_id, evaluation=evaluation)
    return push_checkpoint(checkpoint, repo_id, private=not public, token=token, revision=revision, commit_message=message, dry_run=dry_run)
