"""Where a checkpoint's files are: the bundled model, a folder, or one download from the Hub.

Only the files a prediction needs are fetched, and only safetensors weights are accepted: a pickle can run code when it is loaded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from hf_bones.curation.duplicates.seen_films import SEEN_FILE, SeenFilms, read_seen_films
from hf_bones.inference.decision import FILE_NAME as DECISION_FILE
from hf_bones.inference.decision import DecisionRule, read_decision
from hf_bones.inference.gate.fitted import FILE_NAME as GATE_FILE
from hf_bones.inference.gate.fitted import Gate, read_gate
from hf_bones.inference.second_look import SecondLook
from hf_bones.labels import SHIPPED_SCHEMES, LabelClass, LabelScheme
from hf_bones.preprocess import InputSpec, spec_from_processor
from hf_bones.reach import offline_where_unreached
from hf_bones.record import read_json, sha256_file, sha256_rows
from hf_bones.training.backbone.checkpoint_sizes import MAX_INPUT_SIDE
from hf_bones.training.backbone.patch_head import BOX_HEAD
from hf_bones.training.backbone.patch_head import FILE_NAME as PATCH_HEAD

BUNDLED = "bundled"
CONFIG_FILE = "config.json"
PROCESSOR_FILE = "preprocessor_config.json"
WEIGHTS_FILE = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
RECORD_FILE = "record.json"
PATCH_HEAD_FILE = PATCH_HEAD  # only where a run had box_loss
BOX_HEAD_FILE = BOX_HEAD  # only where one was fitted

# What is fetched from the Hub.
NEEDED_FILES = (
    CONFIG_FILE,
    PROCESSOR_FILE,
    WEIGHTS_FILE,
    WEIGHTS_INDEX,
    "model-*-of-*.safetensors",
    PATCH_HEAD_FILE,
    BOX_HEAD_FILE,
    GATE_FILE,
    DECISION_FILE,
    RECORD_FILE,
)
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")


class CheckpointError(ValueError):
    """A checkpoint that cannot be found or used; the message names it and says what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint on disk. `revision` is the commit a Hub id resolved to, else None."""

    name: str
    folder: Path
    revision: str | None = None


def find_checkpoint(name: str | Path, revision: str | None = None) -> Checkpoint:
    """The checkpoint called `name`: `bundled`, a folder, or a Hub id `owner/name` (with `revision` a branch, tag or commit).

    A folder wins over a Hub id of the same name. Raises `CheckpointError` when there is none, or when it is incomplete.
    """
    text = str(name)
    if text == BUNDLED:
        found = Checkpoint(BUNDLED, find_folder(BUNDLED))
    elif Path(text).expanduser().is_dir():
        found = Checkpoint(text, Path(text).expanduser())
    elif Path(text).expanduser().is_file():
        raise CheckpointError(f"{text} is a file; name the folder that holds config.json and model.safetensors")
    elif isinstance(name, str) and HUB_ID.fullmatch(text):
        found = _download(text, revision)
    else:
        raise CheckpointError(f"no checkpoint {text!r}: it is neither '{BUNDLED}', nor a folder here, nor a Hub id such as 'owner/name'")
    if revision is not None and found.revision is None:
        raise CheckpointError(f"revision {revision!r} was given for {text!r}, but only Hub ids have revisions; leave it out")
    _check_complete(found)
    return found


def _download(repo_id: str, revision: str | None) -> Checkpoint:
    import httpx2
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    at = f" at revision {revision!r}" if revision else ""
    try:
        with offline_where_unreached() as problem:
            folder = Path(snapshot_download(repo_id, revision=revision, allow_patterns=list(NEEDED_FILES)))
    except HFValidationError as error:
        raise CheckpointError(f"no folder {repo_id!r} here, and it cannot be a Hub id: {error}") from error
    except GatedRepoError as error:
        raise CheckpointError(f"{repo_id} is gated: accept its terms on the Hub, then log in with `hf auth login`") from error
    except RepositoryNotFoundError as error:
        raise CheckpointError(
            f"no folder {repo_id!r} here, and no model of that name on the Hub that this token may read. "
            "Check the spelling; for a private model log in with `hf auth login` or set HF_TOKEN"
        ) from error
    except RevisionNotFoundError as error:
        raise CheckpointError(f"{repo_id} has no revision {revision!r} on the Hub; name a branch, tag or commit that it has") from error
    except LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"no folder {repo_id!r} here, and the Hub cannot be reached to look for it ({problem or 'it does not answer'}). "
            f"Check the network (or HF_HUB_OFFLINE), or name a folder, or use '{BUNDLED}'"
        ) from error
    except (HfHubHTTPError, EntryNotFoundError, httpx2.HTTPError) as error:
        if isinstance(error, HfHubHTTPError) and error.response.status_code == 401:
            raise CheckpointError(f"the Hub refused the token sent for {repo_id}: log in with `hf auth login`, or fix HF_TOKEN") from error
        raise CheckpointError(f"the Hub did not return {repo_id}{at}: {error}") from error
    return Checkpoint(repo_id, folder, folder.name if _COMMIT.fullmatch(folder.name) else revision)


def find_seen_films(name: str | Path, revision: str | None = None) -> SeenFilms | None:
    """The films that the checkpoint called `name` (as for `find_checkpoint`) has seen; None where it does not say, or the Hub does not.

    Of a checkpoint on the Hub this one file is fetched, which a prediction does not need. Raises ValueError naming a damaged file.
    """
    text = str(name)
    if text == BUNDLED or Path(text).expanduser().is_dir():
        path = find_folder(text) / SEEN_FILE
        return read_seen_films(path) if path.is_file() else None
    if not HUB_ID.fullmatch(text):
        return None
    import httpx2
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        with offline_where_unreached():
            return read_seen_films(Path(hf_hub_download(text, SEEN_FILE, revision=revision)))
    except (EntryNotFoundError, LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, httpx2.HTTPError):
        return None


def find_folder(name: str) -> Path:
    """Where a checkpoint of this machine lies: that of `bundled` in the package, any other as it is named."""
    return Path(str(resources.files("hf_bones").joinpath("checkpoint"))) if name == BUNDLED else Path(name).expanduser()


def weights_digest(name: str) -> str:
    """What tells a checkpoint of this machine from another of the same name: `sha256:` and 16 digits over all that its answers rest on."""
    folder = find_folder(name)
    files = [*sorted(folder.glob("*.safetensors")), *(folder / each for each in (CONFIG_FILE, PROCESSOR_FILE, DECISION_FILE))]
    digest = sha256_rows([path.name, sha256_file(path)] for path in files if path.is_file())
    return f"sha256:{digest[:16]}"


def _check_complete(checkpoint: Checkpoint) -> None:
    folder = checkpoint.folder
    where = f"{checkpoint.name}" if checkpoint.revision is None else f"{checkpoint.name} at {checkpoint.revision[:12]}"
    if checkpoint.name == BUNDLED and not (folder / CONFIG_FILE).is_file():
        raise CheckpointError(
            f"this copy of hf-bones has no bundled model ({folder} holds no {CONFIG_FILE}); reinstall it, or name a folder or a Hub id"
        )
    if not (folder / CONFIG_FILE).is_file():
        raise CheckpointError(f"{where}: no {CONFIG_FILE}; a checkpoint folder is what `save_pretrained` or `hf-bones train` writes")
    if not (folder / WEIGHTS_FILE).is_file() and not (folder / WEIGHTS_INDEX).is_file():
        pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLE_SUFFIXES)
        found = f" (found {', '.join(pickles)})" if pickles else ""
        raise CheckpointError(
            f"{where}: no {WEIGHTS_FILE}{found}. Pickled weights can run code and are not loaded; if you trust them, convert them once: "
            "`AutoModelForImageClassification.from_pretrained(...).save_pretrained(FOLDER)`"
        )
    if not (folder / PROCESSOR_FILE).is_file():
        raise CheckpointError(
            f"{where}: no {PROCESSOR_FILE}, so the input size is unknown; "
            "save one with `hf_bones.preprocess.image_processor(InputSpec(SIZE)).save_pretrained(FOLDER)`"
        )


def spec_of(checkpoint: Checkpoint) -> InputSpec:
    """The model input that a checkpoint asks for. Raises `CheckpointError` for a size that no film needs."""
    path = checkpoint.folder / PROCESSOR_FILE
    spec = spec_from_processor(read_json(path), str(path))
    if not 0 < spec.size <= MAX_INPUT_SIDE:
        raise CheckpointError(f"{checkpoint.name}: {PROCESSOR_FILE} asks for images of {spec.size} px; at most {MAX_INPUT_SIDE}")
    return spec


def decision_of(checkpoint: Checkpoint, config: dict[str, Any], spec: InputSpec) -> tuple[DecisionRule, bool]:
    """A checkpoint's decision.json, and whether there is one; without it nothing is calibrated.

    Raises `CheckpointError` where it was fitted for other classes or another size.
    """
    decision = read_decision(checkpoint.folder)
    if decision is None:
        return DecisionRule(temperature=1.0, scheme=scheme_of(config, str(checkpoint.folder)), image_size=spec.size), False
    check_labels(decision.scheme, config, str(checkpoint.folder))
    if decision.image_size != spec.size:
        raise CheckpointError(
            f"{checkpoint.folder}: decision.json was fitted at {decision.image_size} px, preprocessor_config.json says {spec.size} px; "
            "calibrate this checkpoint again"
        )
    return decision, True


def gate_of(checkpoint: Checkpoint) -> Gate | None:
    """A checkpoint's gate, None where it has none. Raises `CheckpointError` for one that is malformed or not all there."""
    try:
        return read_gate(checkpoint.folder)
    except ValueError as error:
        raise CheckpointError(f"{checkpoint.name}: {error}") from error


def scheme_of(config: dict[str, Any], source: str) -> LabelScheme:
    """The classes of a checkpoint that carries no written definitions, from `id2label` of its config.json.

    A shipped scheme with the same names lends its definitions. Raises `CheckpointError` when there are fewer than two distinct names.
    """
    names = _class_names(config)
    for shipped in SHIPPED_SCHEMES.values():
        if shipped.names == names:
            return shipped
    try:
        classes = tuple(LabelClass(name, "No definition came with this checkpoint.") for name in names)
        return LabelScheme("from config.json", classes, normal="healthy" if "healthy" in names else names[0] if names else "healthy")
    except ValueError as error:
        raise CheckpointError(f"{source}: 'id2label' does not name two or more classes: {error}") from error


def check_labels(scheme: LabelScheme, config: dict[str, Any], source: str) -> None:
    """Raises `CheckpointError` unless decision.json and config.json name the same classes in the same order."""
    names = _class_names(config)
    if names != scheme.names:
        raise CheckpointError(
            f"{source}: {DECISION_FILE} is for classes {list(scheme.names)}, but {CONFIG_FILE} has {list(names)}; "
            "they must name the same classes in the same order: calibrate this checkpoint again"
        )


def _class_names(config: dict[str, Any]) -> tuple[str, ...]:
    """What config.json calls the outputs, in their order: `id2label`, or `label_names`, as the configs of timm's networks have it."""
    by_id = {int(index): str(label) for index, label in (config.get("id2label") or {}).items()}
    return tuple(by_id[index] for index in sorted(by_id)) or tuple(map(str, config.get("label_names") or ()))


def second_look_of(name: str, decision: DecisionRule, *, has_patch_head: bool) -> SecondLook:
    """The second look of checkpoint `name`. Raises `CheckpointError` saying what to do where it has none."""
    if not has_patch_head:
        raise CheckpointError(
            f"{name}: no second look: it has no {PATCH_HEAD_FILE}, which a run with box_loss over 0 writes. Train it with box_loss and "
            "second_look: true, or leave out zoom"
        )
    if decision.second_look is None:
        raise CheckpointError(
            f"{name}: no second look: its decision.json says none. Fit one on films that it did not learn from with "
            "`hf-bones second-look FOLDER DATASET`, or leave out zoom"
        )
    return decision.second_look
