"""axe-core on an open page: what keeps people with a screen reader, a keyboard or weak eyes away from it."""

from __future__ import annotations

from collections.abc import Sequence

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

GRAVE = ("serious", "critical")


def grave_findings(page: Page, *, without: Sequence[str] = ()) -> list[str]:
    """The serious and critical findings on a page, a line each: rule and element; `without` are selectors of controls that are not ours."""
    context = {"exclude": [[selector] for selector in without]} if without else None
    violations = Axe().run(page, context=context).response["violations"]
    return [
        f"{found['id']} ({found['impact']}): {' '.join(map(str, node['target']))}: {node['html'][:120]}"
        for found in violations
        if found["impact"] in GRAVE
        for node in found["nodes"]
    ]
