// Anything dropped or pasted anywhere on the page goes through the upload button that takes every file. gradio's own image box takes only
// what the browser calls an image, so that a DICOM would be turned away, and pastes at the click of a button only.
() => {
  const handOver = (event, data) => {
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
  document.addEventListener("paste", (event) => handOver(event, event.clipboardData), true);
  document.addEventListener("drop", (event) => handOver(event, event.dataTransfer), true);
  document.addEventListener("dragover", (event) => event.preventDefault(), true);
  document.documentElement.dataset.takesFiles = "yes";
}
