"""The page's JavaScript: what gradio's own image box cannot do.

Its box takes files that the browser calls images, so a DICOM dropped on it would be turned away, and it pastes at the click of a button
only. Here, anything dropped or pasted anywhere on the page goes through the upload button that takes every file.
"""

from __future__ import annotations

ON_LOAD = """
() => {
  const hand_over = (event, data) => {
    const file = data && data.files && data.files[0];
    const button = document.getElementById("other-file");
    const input = button && button.parentElement.querySelector(":scope > input[type=file]");
    if (!file || !input) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const one = new DataTransfer();
    one.items.add(file);
    input.files = one.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  };
  document.addEventListener("paste", (event) => hand_over(event, event.clipboardData), true);
  document.addEventListener("drop", (event) => hand_over(event, event.dataTransfer), true);
  document.addEventListener("dragover", (event) => event.preventDefault(), true);
  document.documentElement.dataset.takesFiles = "yes";
}
"""

# Runs where a component is shown, with `element`, `trigger` and `watch` from gradio.
ANNOUNCE = """
element.setAttribute("role", "status");
element.setAttribute("aria-live", "polite");
watch("value", () => element.querySelector(".verdict").scrollIntoView({ block: "nearest" }));
"""
CHOOSE_EXAMPLE = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-example]");
  if (button) trigger("click", { example: Number(button.dataset.example) });
});
"""
