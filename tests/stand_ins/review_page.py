"""What tests of the review page in a browser ask of it and of its collection."""

from __future__ import annotations

from pathlib import Path

from chromium import WAIT
from playwright.sync_api import Page, expect

from hf_bones.manifest.store import Decision, open_manifest


def decisions(folder: Path) -> list[Decision]:
    with open_manifest(folder) as manifest:
        return list(manifest.decisions())


def current(page: Page) -> str:
    return page.locator(".gallery .card.current").get_attribute("data-sha") or ""


def expect_saved(page: Page, words: str) -> None:
    expect(page.locator(".said[data-kind=saved]").first).to_contain_text(words, timeout=WAIT)  # each is synced to the disk
