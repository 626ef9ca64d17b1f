"""What is asked of a run of `hf-bones collect` beside its recipe."""

from __future__ import annotations

from dataclasses import dataclass

from hf_bones.config.choices import choice


@dataclass(frozen=True)
class Choices:
    """What the command line adds to a recipe. `providers` are the only ones to ask, also where the recipe disables them."""

    providers: tuple[str, ...] = choice((), "Ask only this provider of the recipe; may be repeated.", name="provider")
    limit: int | None = choice(None, "Candidates of each search, instead of the recipe's limit.", least=1)
    contact: str | None = choice(None, "Your e-mail address or web page, for site owners.")
    unknown_licence: str | None = choice(None, "`skip` or `fetch` images that state no licence.")
    allow_private: tuple[str, ...] = choice(
        (), "A server of your own: address, network or host name that may be private.", metavar="ADDRESS"
    )
    retry_failed: bool = choice(False, "Ask again for URLs that failed, or led to a private address, in an earlier run.")
