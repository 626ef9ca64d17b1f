"""The demo as a Space on the Hub: `app.py`, the package as a wheel, pinned requirements and a README with the Space's settings.

What is written into a folder and what is pushed are the same files, and `demo/` of the repository is those of the bundled model. Not here:
the page itself (`hf_bones/app/demo/`) and how the wheel is made (`wheel.py`).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from hf_bones.hub.push import Pushed, PushError, check_repo_id, files_to_push, said_plainly
from hf_bones.hub.wheel import package_version, pinned_requirements, write_wheel
from hf_bones.inference.checkpoint import BUNDLED, HUB_ID
from hf_bones.pages.templates import render

PYTHON = "3.12"  # the newest that the tests run with
CHECKPOINTS = "checkpoints"
CPU_TORCH = "--extra-index-url https://download.pytorch.org/whl/cpu"  # without it torch brings 3 GB of CUDA
_OURS = ("app.py", "README.md", "requirements.txt")


def write_space(folder: Path, models: Sequence[str] = (BUNDLED,), *, zero_gpu: bool = False) -> tuple[str, ...]:
    """Writes a Space for `models` into `folder`, made where it is not there, and returns the names of its files, sorted.

    models: `bundled`, Hub ids, or checkpoint folders, whose files are copied; the first one is shown first. zero_gpu: for hardware that
    lends a GPU for moments (torch with CUDA). What an earlier call left and is no longer needed goes. Raises `PushError` for a model that
    is none of these, or whose folder must not be pushed, and `PackageError` as `write_wheel`.
    """
    models = list(dict.fromkeys(models))
    folders = _checkpoint_folders(models)
    pins = pinned_requirements()
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("hf_bones-*.whl"):
        old.unlink()
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    for name, files in folders.items():
        place = folder / CHECKPOINTS / _own_name(name)
        place.mkdir(parents=True)
        for file in files:
            shutil.copyfile(file, place / file.name)
    write_wheel(folder)
    named = [f"{CHECKPOINTS}/{_own_name(name)}" if name in folders else name for name in models]
    (folder / "app.py").write_text(render("hub/space_app.py.j2", models=Markup(_as_code(named))), encoding="utf-8")
    (folder / "requirements.txt").write_text("\n".join([*([] if zero_gpu else [CPU_TORCH]), *pins]) + "\n", encoding="utf-8")
    readme = render(
        "hub/space_readme.md.j2",
        gradio=next(pin.partition("==")[2] for pin in pins if pin.startswith("gradio==")),
        python=PYTHON,
        version=package_version(),
        zero_gpu=zero_gpu,
        hub_ids=[Markup(name) for name in models if name not in folders and name != BUNDLED],
        folders=[_own_name(name) for name in folders],
    )
    (folder / "README.md").write_text(readme, encoding="utf-8")
    return space_files(folder)


def space_files(folder: Path) -> tuple[str, ...]:
    """The names of the files of a Space in `folder`, below it, sorted; whatever else lies there is not one."""
    found = [folder / name for name in _OURS] + [*folder.glob("hf_bones-*.whl"), *(folder / CHECKPOINTS).rglob("*")]
    return tuple(sorted(path.relative_to(folder).as_posix() for path in found if path.is_file()))


def push_space(
    repo_id: str,
    models: Sequence[str] = (BUNDLED,),
    *,
    private: bool = True,
    zero_gpu: bool = False,
    token: str | None = None,
    message: str | None = None,
) -> Pushed:
    """Uploads a Space for `models` (as for `write_space`) to `owner/name`, made if it is not there, in one commit.

    private: of a new Space; that of an existing one is left as it is. Its earlier wheel and checkpoints go in the same commit where they
    are no longer needed; files of others in it stay. Raises `PushError` for what must not be pushed and for what the Hub refuses.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    check_repo_id(repo_id)
    with tempfile.TemporaryDirectory(prefix="hf-bones-space-") as temporary:
        folder = Path(temporary)
        names = write_space(folder, models, zero_gpu=zero_gpu)
        api = HfApi(token=token)
        with said_plainly(repo_id, kept="Nothing was changed there"):
            url = api.create_repo(repo_id, repo_type="space", space_sdk="gradio", private=private, exist_ok=True)
            there = api.list_repo_files(url.repo_id, repo_type="space")
            gone = [name for name in there if _is_made(name) and name not in names]
            added = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=folder / name) for name in names]
            done = api.create_commit(
                url.repo_id,
                repo_type="space",
                operations=[*added, *(CommitOperationDelete(path_in_repo=name, is_folder=False) for name in gone)],
                commit_message=message or f"hf-bones {package_version()}",
            )
    return Pushed(str(url), done.oid, names)


def _is_made(name: str) -> bool:
    return name.startswith(f"{CHECKPOINTS}/") or ("/" not in name and name.startswith("hf_bones-") and name.endswith(".whl"))


def _checkpoint_folders(models: Sequence[str]) -> dict[str, list[Path]]:
    """Of the models that are folders here, the files that go up."""
    if not models:
        raise PushError(f"a Space needs a model: '{BUNDLED}', a Hub id, or a checkpoint folder")
    folders: dict[str, list[Path]] = {}
    for model in models:
        if model == BUNDLED:
            continue
        if Path(model).expanduser().is_dir():
            folders[model] = files_to_push(Path(model).expanduser())
        elif not HUB_ID.fullmatch(model):
            raise PushError(f"no model {model!r}: it is neither '{BUNDLED}', nor a folder here, nor a Hub id such as 'owner/name'")
    names = [_own_name(name) for name in folders]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise PushError(f"two folders of the models are called {', '.join(twice)}; a Space keeps them by that name, so rename one")
    return folders


def _own_name(folder: str) -> str:
    return Path(folder).expanduser().resolve().name


def _as_code(names: Sequence[str]) -> str:
    quoted = ", ".join('"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"' for name in names)
    return f"[{quoted}]"
