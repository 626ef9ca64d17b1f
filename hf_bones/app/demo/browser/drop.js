// Files for one tab: chosen, dropped or pasted while it is the open one, folders with all that is in them. They are uploaded a few at a time,
// then `trigger` tells the server, and `window.bonesFiles` holds what it takes as the value of the tab's file input.
({ element, trigger, upload, texts, many, most, name }) => {
  const AT_ONCE = 3, NAMED = 3, MOST_FILES = 2000;
  const fill = (text, slots) => text.replace(/\{(\w+)\}/g, (whole, slot) => slots[slot] ?? whole);
  const say = (text) => { element.querySelector(".drop-says").textContent = text; };
  const names = (files) => files.slice(0, NAMED).map((file) => file.path).join(", ") + (files.length > NAMED ? " …" : "");
  const isOpen = () => element.isConnected && element.offsetParent !== null;
  let busy = false;

  async function take(found) {
    if (busy || element.closest("[data-busy]")) { say(texts.busy); return; }
    if (!found.length) return;
    const seen = many ? found : found.slice(0, 1);
    const large = seen.filter(({ file }) => file.size > most), files = seen.filter(({ file }) => file.size <= most).slice(0, MOST_FILES);
    const sent = new Array(files.length), failed = [];
    let next = 0, done = 0;
    busy = true;
    async function send() {
      while (next < files.length) {
        const place = next++, { file, path } = files[place];
        try {
          const { path: stored } = await upload(file);
          sent[place] = { path: stored, orig_name: path, size: file.size, meta: { _type: "gradio.FileData" } };
        } catch {
          failed.push(files[place]);
        }
        done += 1;
        say(fill(texts.uploading, { done, total: files.length }));
      }
    }
    try {
      await Promise.all(Array.from({ length: AT_ONCE }, send));
    } finally {
      busy = false;
    }
    const told = [];
    if (large.length) told.push(fill(texts.too_large, { names: names(large) }));
    if (failed.length) told.push(fill(texts.failed, { count: failed.length, names: names(failed) }));
    say(told.join(" "));
    const stored = sent.filter(Boolean);
    if (!stored.length) return;
    window.bonesFiles = { ...window.bonesFiles, [name]: stored };
    trigger("upload", { count: stored.length });
  }

  const plain = (file) => ({ file, path: file.webkitRelativePath || file.name });
  const hidden = ({ path }) => path.split("/").some((part) => part.startsWith("."));

  // All files of what was dropped. A folder gives its entries in pieces.
  async function walk(entry, found) {
    if (found.length >= MOST_FILES) return;
    if (entry.isFile) {
      const file = await new Promise((good, bad) => entry.file(good, bad));
      found.push({ file, path: entry.fullPath.replace(/^\//, "") });
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      const entries = await new Promise((good, bad) => reader.readEntries(good, bad));
      if (!entries.length) return;
      for (const one of entries.sort((a, b) => a.name.localeCompare(b.name))) await walk(one, found);
    }
  }

  async function dropped(data) {
    const entries = [...data.items].map((item) => item.kind === "file" && item.webkitGetAsEntry?.()).filter(Boolean);
    if (!entries.some((entry) => entry.isDirectory)) return [...data.files].map(plain);
    const found = [];
    for (const entry of entries) await walk(entry, found);
    return found.filter((one) => !hidden(one));
  }

  element.querySelectorAll("[data-choose]").forEach((button, place) => {
    const input = element.querySelectorAll("input[type=file]")[place];
    button.addEventListener("click", () => input.click());
    input.addEventListener("cancel", (event) => event.stopPropagation());
  });
  // On the window, so that it comes before what the page does with the files of its other tabs.
  window.addEventListener("change", (event) => {
    if (event.target.type !== "file" || !element.contains(event.target)) return;
    event.stopImmediatePropagation();
    const found = [...event.target.files].map(plain).filter((one) => !hidden(one));
    event.target.value = "";
    take(found);
  }, true);
  for (const kind of ["dragover", "drop", "paste"]) {
    window.addEventListener(kind, (event) => {
      const data = kind === "paste" ? event.clipboardData : event.dataTransfer;
      if (!isOpen() || !data || (kind !== "dragover" && !data.files.length && ![...data.items].some((item) => item.kind === "file"))) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      element.querySelector(".drop").dataset.over = kind === "dragover" ? "yes" : "no";
      if (kind !== "dragover") dropped(data).then(take);
    }, true);
  }
  window.addEventListener("dragleave", (event) => {
    if (isOpen() && !event.relatedTarget) element.querySelector(".drop").dataset.over = "no";
  }, true);
}
