"""Judges 300 unselected drawn radiographs with a checkpoint; writes the counts into its record.json and its card anew.

python scripts/judge_drawn.py hf_bones/checkpoint --examples    # the bundled model, and the demo's examples chosen from these films
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from tqdm import tqdm

from hf_bones.app.demo.examples import EXAMPLES_FILE, choose_examples
from hf_bones.dataset.drawn.radiograph import HARD, PLAIN
from hf_bones.evaluation.drawn_films import COUNT, RECORD_KEY, SEED, JudgedFilm, judge_drawn, judged_counts
from hf_bones.hub.card import write_card
from hf_bones.hub.card_figures import drawn_sentence
from hf_bones.inference.checkpoint import RECORD_FILE
from hf_bones.inference.predictor import BonePredictor
from hf_bones.record import read_json, write_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="folder with the checkpoint and its record.json")
    parser.add_argument("--count", type=int, default=COUNT, help="films to draw")
    parser.add_argument("--seed", type=int, default=SEED, help="seed of the films")
    parser.add_argument("--examples", action="store_true", help="choose the demo's examples from these films and from plain ones")
    args = parser.parse_args()
    predictor = BonePredictor.from_pretrained(args.checkpoint)
    judged = judge(predictor, args.count, args.seed, HARD)
    record = args.checkpoint / RECORD_FILE
    write_json(record, {**read_json(record), RECORD_KEY: judged_counts(judged)})
    print(drawn_sentence(read_json(record)))
    print(f"card        {write_card(args.checkpoint, name=card_title(args.checkpoint))}")
    if args.examples:
        chosen = choose_examples([*judge(predictor, args.count // 4, args.seed, PLAIN), *judged])
        write_json(EXAMPLES_FILE, {"examples": chosen})
        for each in chosen:
            print(f"example     {each}")


def judge(predictor: BonePredictor, count: int, seed: int, mode: str) -> list[JudgedFilm]:
    return list(tqdm(judge_drawn(predictor, count=count, seed=seed, mode=mode), total=count, unit="film", desc=mode))


def card_title(checkpoint: Path) -> str | None:
    """The title of the card that is there, unescaped, which `write_card` would else name after the folder."""
    card = checkpoint / "README.md"
    lines = card.read_text(encoding="utf-8").splitlines() if card.is_file() else []
    return next((re.sub(r"\\(?=[^A-Za-z0-9\s])", "", line.removeprefix("# ")) for line in lines if line.startswith("# ")), None)


if __name__ == "__main__":
    main()
