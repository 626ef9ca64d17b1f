"""Writes the list of films that a checkpoint has seen (seen.npz) from the dataset that it was trained on, for one made by other means.

    python scripts/write_seen.py data/fracatlas hf_bones/checkpoint --licence CC-BY-4.0

`hf-bones train` and `distil` write it themselves. A dataset that the checkpoint never had makes a list that is wrong.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", help="what it was trained and validated on: a folder that `hf-bones build` wrote")
    parser.add_argument("checkpoint", type=Path, help="its folder")
    parser.add_argument("--licence", action="append", default=[], help="only rows of this licence; may be repeated")
    options = parser.parse_args()

    from hf_bones.config.recipe import DataConfig
    from hf_bones.inference.checkpoint import CONFIG_FILE, scheme_of
    from hf_bones.inference.decision import read_decision
    from hf_bones.record import read_json
    from hf_bones.training.data.rows import training_rows
    from hf_bones.training.run.seen import write_seen

    decision = read_decision(options.checkpoint)
    scheme = decision.scheme if decision else scheme_of(read_json(options.checkpoint / CONFIG_FILE), str(options.checkpoint))
    rows = training_rows(DataConfig(dataset=options.dataset, train_licences=options.licence), scheme, seed=0)
    seen = write_seen(options.checkpoint, rows)
    learnt = int((~seen.validation).sum())
    size = (options.checkpoint / "seen.npz").stat().st_size
    print(f"{options.checkpoint / 'seen.npz'}: {learnt:,} films learnt from, {len(seen) - learnt:,} validated on; {size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
