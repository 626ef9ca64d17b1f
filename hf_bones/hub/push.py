"""Pushes a checkpoint to the Hub: one commit, listed files only.

What goes up is what a checkpoint needs and what describes it; anything else in the folder (training state, pages with pictures of
patients, pickles) stays. Not here: pulling (`inference/checkpoint.py`) and the words of the card (`card.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hf_bones.curation.duplicates.seen_films import SEEN_FILE
from hf_bones.hub.card import CARD_FILE, METRICS_FILE, PLOTS
from hf_bones.inference.checkpoint import CONFIG_FILE, NEEDED_FILES, PICKLE_SUFFIXES, PROCESSOR_FILE, WEIGHTS_FILE, WEIGHTS_INDEX

ALLOWED_FILES = (*NEEDED_FILES, SEEN_FILE, METRICS_FILE, CARD_FILE, "NOTICE", "LICENSE", *PLOTS)


class PushError(ValueError):
    """A checkpoint that must not or could not be pushed; the message names it and says what to do."""


@dataclass(frozen=True)
class Pushed:
    """What was pushed.

    Attributes:
        url: The repository's address.
        commit: The commit; None on a dry run.
        files: The names of the files that it now holds from here.
    """

    url: str
    commit: str | None
    files: tuple[str, ...]


def files_to_push(folder: str | Path) -> list[Path]:
    """The files of a checkpoint that go to the Hub, sorted by name.

    Raises `PushError` when the folder holds a pickle, or lacks the card, the weights, or a file without which they cannot be used.
    """
    source = Path(folder)
    if not source.is_dir():
        raise PushError(f"{source}: no such folder; push the folder that `hf-bones train` wrote")
    pickles = sorted(path.name for path in source.iterdir() if path.suffix in PICKLE_SUFFIXES)
    if pickles:
        raise PushError(f"{source}: holds {', '.join(pickles)}; pickles can run code. Keep only safetensors weights in what you push")
    if not (source / CARD_FILE).is_file():
        raise PushError(f"{source}: no {CARD_FILE}; write the card first: hf_bones.hub.card.write_card({str(source)!r})")
    missing = [name for name in (CONFIG_FILE, PROCESSOR_FILE) if not (source / name).is_file()]
    if not any((source / name).is_file() for name in (WEIGHTS_FILE, WEIGHTS_INDEX)):
        missing.append(WEIGHTS_FILE)
    if missing:
        raise PushError(f"{source}: {', '.join(missing)} missing; push the folder that `hf-bones train` wrote")
    return sorted({path for pattern in ALLOWED_FILES for path in source.glob(pattern) if path.is_file()})


def push_checkpoint(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool = True,
    token: str | None = None,
    revision: str | None = None,
    commit_message: str | None = None,
    dry_run: bool = False,
) -> Pushed:
    """Uploads a checkpoint to the model repository `owner/name`, made if it is not there, and returns its address and commit.

    private: of a new repository; that of an existing one is left as it is. token: by default the one of `hf auth login` or HF_TOKEN.
    revision: a branch, made if it is not there; `main` by default. All files go up in one commit, so that nobody can pull half a
    checkpoint; files already there and unchanged are not sent again. dry_run: check and list only, nothing leaves this machine.
    Raises `PushError` for a folder that must not be pushed, and for what the Hub refuses.
    """
    files = files_to_push(folder)
    names = tuple(path.name for path in files)

    from huggingface_hub import CommitOperationAdd, HfApi

    check_repo_id(repo_id)
    api = HfApi(token=token)
    if dry_run:
        return Pushed(f"{api.endpoint}/{repo_id}", None, names)
    with said_plainly(repo_id, kept=f"The checkpoint is still in {folder}"):
        url = api.create_repo(repo_id, private=private, exist_ok=True)
        if revision is not None:
            api.create_branch(url.repo_id, branch=revision, exist_ok=True)
        done = api.create_commit(
            url.repo_id,
            operations=[CommitOperationAdd(path_in_repo=path.name, path_or_fileobj=path) for path in files],
            commit_message=commit_message or "Push checkpoint with hf-bones",
            revision=revision,
        )
    return Pushed(str(url), done.oid, names)


def check_repo_id(repo_id: str) -> None:
    """Raises `PushError` for what cannot be the name of a repository."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise PushError(f"{repo_id!r} cannot be a Hub id: {error}") from error


@contextmanager
def said_plainly(repo_id: str, *, kept: str) -> Iterator[None]:
    """Within it, what the Hub refuses while `repo_id` is pushed is a `PushError`; `kept` says what is not lost where it does not answer."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    try:
        yield
    except LocalTokenNotFoundError as error:
        raise PushError(f"pushing {repo_id} needs a token: log in with `hf auth login` or set HF_TOKEN") from error
    except HfHubHTTPError as error:
        if error.response.status_code in (401, 403):
            raise PushError(
                f"the Hub refused {repo_id} ({error.response.status_code}): the token is missing, wrong, or may not write there. "
                "Log in with `hf auth login` or set HF_TOKEN to a token with write access"
            ) from error
        raise PushError(f"the Hub refused {repo_id}: {error}") from error
    except httpx2.HTTPError as error:
        raise PushError(f"the Hub cannot be reached to push {repo_id}: {error}. {kept}") from error
