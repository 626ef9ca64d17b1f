"""A folder that may not be opened costs its own entry of a build. Run: pytest tests/dataset/test_locked_folders.py"""

import errno
from pathlib import Path

from small_collection import jpeg

from hf_bones.dataset.choices import BuildChoices
from hf_bones.dataset.command import build_command


def test_a_locked_folder_costs_its_own_entry_in_a_build(tmp_path, monkeypatch):
    for label in ("healthy", "fractured"):
        for patient in range(3):
            (tmp_path / "data" / label / f"p{patient}").mkdir(parents=True)
            (tmp_path / "data" / label / f"p{patient}" / "v.png").write_bytes(jpeg(10 * patient + len(label)))
    read = Path.iterdir

    def locked(self):
        if self.parts[-2:] == ("fractured", "p1"):
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return read(self)

    monkeypatch.setattr(Path, "iterdir", locked)
    built = build_command([str(tmp_path / "data")], tmp_path / "out", BuildChoices(labels="two-class"), progress=False)
    (refused,) = built.refused
    assert Path(refused.name).as_posix() == "fractured/p1" and refused.reason == "unreadable_file" and "folder" in refused.detail
    assert sum(row["count"] for row in built.summary["counts"]) == 5
