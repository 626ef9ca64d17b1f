"""The Space: the demo of hf_bones for the checkpoint named by HF_BONES_MODEL (`bundled`, a folder or a Hub id)."""

import os

from hf_bones.app import launch

if __name__ == "__main__":
    launch(os.environ.get("HF_BONES_MODEL") or "bundled", open_browser=False)
