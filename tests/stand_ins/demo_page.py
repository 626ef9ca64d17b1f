"""What tests do on the demo's open page."""

from __future__ import annotations

import base64
import json

from chromium import WAIT
from playwright.sync_api import Page, expect

DRAWN = """canvas => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data
    .some((value, at) => at % 4 < 3 && value > 0)"""


def on_demo(page: Page) -> Page:
    """The page when it can take films."""
    expect(page.locator(".verdict")).to_have_attribute("data-state", "empty", timeout=WAIT)
    page.wait_for_selector("html[data-takes-files]", state="attached")  # gradio runs the page's scripts after it has drawn the page
    page.wait_for_selector("#classify-files", state="attached")
    return page


def expect_answer(page: Page, name: str, *, study: bool = False) -> None:
    """Verdict, a probability for each class and the film are in view, and all are of the film called `name`."""
    expect(page.locator(".bones-classify")).to_have_attribute("data-state", "ok", timeout=WAIT)
    expect(page.locator(".verdict h2")).to_contain_text("%")
    for label in ("Healthy", "Fractured", "Beyond repair"):
        expect(page.locator("#view .probabilities")).to_contain_text(label)
    expect(page.locator(".viewer[data-ready]")).to_have_attribute("data-film", name, timeout=WAIT)
    finding = json.loads(page.locator("#finding").text_content() or "")
    assert (finding["views"][0] if study else finding)["source"] == name
    assert page.locator(".viewer canvas").evaluate(DRAWN), "the film is drawn"


def send_files(page: Page, event: str, files: dict[str, bytes]) -> None:
    """Drops or pastes files on the page, as a browser does: with their bytes in the event."""
    page.evaluate(
        """([event, files]) => {
            const data = new DataTransfer();
            for (const [name, content] of files) {
                const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
                data.items.add(new File([bytes], name, { type: name.endsWith(".png") ? "image/png" : "" }));
            }
            const target = document.querySelector("#radiograph"), options = { bubbles: true, cancelable: true };
            target.dispatchEvent(event === "paste"
                ? new ClipboardEvent("paste", { ...options, clipboardData: data })
                : new DragEvent("drop", { ...options, dataTransfer: data }));
        }""",
        [event, [[name, base64.b64encode(content).decode()] for name, content in files.items()]],
    )
