from hf_bones.manifest import Manifest


def finish_forgetting(manifest: Manifest) -> None:
    """To be written."""
