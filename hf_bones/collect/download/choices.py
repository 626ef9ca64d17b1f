"""What is asked of `hf-bones download` beside the set."""

from __future__ import annotations

from dataclasses import dataclass

from hf_bones.config.choices import choice


@dataclass(frozen=True)
class DownloadChoices:
    """How a set is downloaded. `sets` is a list of sets of one's own, in the form of `recipes/download/sets.yaml`."""

    only: tuple[str, ...] = choice((), "Only the files with such a name, such as `*.csv`; may be repeated.", metavar="PATTERN")
    unpack: bool = choice(True, "Unpack archives.")
    keep_archives: bool = choice(False, "Keep archives after they were unpacked.")
    sets: str = choice("", "A list of sets of your own, over the one that ships.", metavar="FILE")
    contact: str = choice("", "Your e-mail address or web page, which goes into the User-Agent.")
    allow_private: tuple[str, ...] = choice(
        (), "A server of your own: address, network or host name that may be private.", metavar="ADDRESS"
    )
