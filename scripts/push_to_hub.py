"""Writes the card of a checkpoint and pushes it to the Hub, in one commit.

    python scripts/push_to_hub.py runs/quickstart my-name/my-bones --evaluation runs/evaluation

The repository is private unless `--public` is given. Needs a token with write access: `hf auth login` or HF_TOKEN.
"""

import sys

from hf_bones.cli.main import app

if __name__ == "__main__":
    app(["push", *sys.argv[1:]])
