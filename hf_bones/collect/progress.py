"""The progress of a run on the terminal: URLs done of those known, their rate, how many were refused or failed, and the searches."""

from __future__ import annotations

from collections.abc import Mapping

from tqdm import tqdm

from hf_bones.collect.reasons import Outcome


class Progress:
    """A bar that grows as searches find more. `states` are the counts at the start; nothing is shown unless `show`."""

    def __init__(self, show: bool, states: Mapping[str, int]) -> None:
        self._counts = dict.fromkeys(("stored", "refused", "failed"), 0)
        self._search_text = ""
        self._bar = tqdm(
            total=states.get(Outcome.WAITING, 0), desc="collect", unit="url", disable=not show, smoothing=0.05, dynamic_ncols=True
        )

    def queued(self) -> None:
        """One more URL is to be fetched."""
        if self._bar.total is not None:
            self._bar.total += 1
        self._show()

    def done(self, outcome: str) -> None:
        """A URL has its outcome: "stored", "refused" or "failed"."""
        self._counts[outcome] += 1
        self._bar.update(1)
        self._show()

    def searches(self, done: int, total: int) -> None:
        self._search_text = f"searches {done}/{total}"
        self._show()

    def _show(self) -> None:
        if not self._bar.disable:
            counts = ", ".join(f"{name} {count}" for name, count in self._counts.items())
            self._bar.set_postfix_str(f"{counts}; {self._search_text}", refresh=False)

    def close(self) -> None:
        self._bar.close()
