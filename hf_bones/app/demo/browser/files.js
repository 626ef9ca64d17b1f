// Every file takes one way: through the upload button, which takes all kinds. gradio's own image box takes only what the browser calls an
// image, so that a DICOM would be turned away, and pastes at the click of a button only. So what is dropped or pasted anywhere on the page, or
// chosen in the box, is handed to the button. One film is read; of whatever else came with it the page says that it was not.
() => {
  const find = (selector) => document.querySelector(selector), shownNames = 5;
  const say = (text) => { const place = find("#not-read p"); if (place) place.textContent = text; };
  const tooLarge = (file) => file.size > Number(find("#not-read p")?.dataset.maxBytes || Number.MAX_VALUE);
  const wait = () => { const verdict = find("#verdict .verdict"); if (verdict) verdict.dataset.state = "waiting"; };

  function report(left, taken) {
    const reasons = [...new Set(left.map(([, why]) => why))].map((why) => {
      const names = left.filter((one) => one[1] === why).map(([name]) => name), more = names.length - shownNames;
      return names.slice(0, shownNames).join(", ") + (more > 0 ? " and " + more + " more" : "") + " (" + why + ")";
    });
    say(left.length ? (taken ? "Taken: " + taken.name + ". " : "") + "Not read: " + reasons.join("; ") + "." : "");
  }

  const button = () => find("#other-file")?.parentElement.querySelector(":scope > input[type=file]");
  function give(file) {
    const one = new DataTransfer(), input = button();
    one.items.add(file);
    input.files = one.files;
    wait();
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }

  function handOver(event, files, folders = []) {
    if (!button()) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const refused = (file, at) => (folders[at] ? "a folder; hf-bones predict takes it" : tooLarge(file) ? "too large" : "");
    const taken = files.find((file, at) => !refused(file, at));
    report(files.flatMap((file, at) => (file === taken ? [] : [[file.name, refused(file, at) || "one film at a time"]])), taken);
    if (taken) give(taken);
  }
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files || [])];
    if (files.length) handOver(event, files);
  }, true);
  document.addEventListener("drop", (event) => {
    const items = [...(event.dataTransfer?.items || [])].filter((item) => item.kind === "file");
    handOver(event, [...(event.dataTransfer?.files || [])], items.map((item) => Boolean(item.webkitGetAsEntry?.()?.isDirectory)));
    if (!items.length) say("Nothing was read: no file came. Save the picture, then drop its file.");
  }, true);
  document.addEventListener("dragover", (event) => event.preventDefault(), true);
  document.addEventListener("change", (event) => {
    const { target } = event, files = target.type === "file" ? [...target.files] : [];
    if (!files.length) return;
    if (!event.isTrusted && target === button()) return;
    handOver(event, files);
    if (target !== button()) target.value = "";  // so that the same file can be chosen again
  }, true);
  document.addEventListener("click", (event) => { if (event.target.closest("[data-example]")) say(""); }, true);
  document.documentElement.dataset.takesFiles = "yes";
}
