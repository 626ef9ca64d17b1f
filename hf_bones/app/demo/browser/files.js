// Every file takes one way: through gradio's upload button, which takes all kinds, so that DICOM comes as JPEG does. What is dropped or pasted
// anywhere on the page while this tab is shown, or chosen in it, is handed to that button. Several are views of one patient; of whatever
// cannot be read the page says so.
({ root, words, fill, say, wait }) => {
  const page = document.documentElement, shownNames = 5, most = Number(words.most);
  const find = (selector) => root.querySelector(selector);
  const isShown = () => root.isConnected && root.offsetParent !== null;
  const tooLarge = (file) => file.size > Number(find("#not-read").dataset.maxBytes);
  const button = () => document.querySelector("#classify-files")?.parentElement.querySelector(":scope > input[type=file]");
  const there = () => root.querySelectorAll("[data-view]").length || (root.querySelector(".film-acts").hidden ? 0 : 1);

  function listed(names) {
    const more = names.length - shownNames, first = names.slice(0, shownNames).join(", ");
    return more > 0 ? fill("files.more", { names: first, count: more }) : first;
  }
  function report(left, taken) {
    const reasons = [...new Set(left.map(([, why]) => why))].map((why) => {
      return listed(left.filter((one) => one[1] === why).map(([name]) => name)) + " (" + why + ")";
    });
    const start = taken.length ? fill("files.taken", { names: listed(taken.map((file) => file.name)) }) + " " : "";
    say(left.length ? start + fill("files.not_read", { reasons: reasons.join("; ") }) : "");
  }

  function give(files, adding = false, folders = []) {
    if (!button()) return;
    const room = adding ? most - there() : most;
    const refused = (file, at) => (folders[at] ? words["files.folder"] : tooLarge(file) ? words["files.too_large"] : "");
    const sound = files.filter((file, at) => !refused(file, at)), taken = sound.slice(0, room);
    const left = files.flatMap((file, at) => (taken.includes(file) ? [] : [[file.name, refused(file, at) || fill("files.too_many", { most })]]));
    report(left, taken);
    if (!taken.length) return;
    const all = new DataTransfer(), input = button();
    for (const file of taken) all.items.add(file);
    input.files = all.files;
    if (adding) page.dataset.adding = "yes"; else delete page.dataset.adding;
    wait();
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }
  function handOver(event, ...given) {
    event.preventDefault();
    event.stopImmediatePropagation();
    give(...given);
  }
  const listen = (name, heard) => document.addEventListener(name, (event) => { if (isShown()) heard(event); }, true);

  listen("paste", (event) => {
    const files = [...(event.clipboardData?.files || [])];
    if (files.length) handOver(event, files);
  });
  listen("drop", (event) => {
    const items = [...(event.dataTransfer?.items || [])].filter((item) => item.kind === "file");
    handOver(event, [...(event.dataTransfer?.files || [])], false, items.map((item) => Boolean(item.webkitGetAsEntry?.()?.isDirectory)));
    if (!items.length) say(words["files.none"]);
    root.classList.remove("dragged");
  });
  listen("dragover", (event) => { event.preventDefault(); root.classList.add("dragged"); });
  listen("dragleave", (event) => { if (!event.relatedTarget) root.classList.remove("dragged"); });
  listen("change", (event) => {
    const { target } = event;
    if (target.type !== "file" || !root.contains(target)) return;
    const files = [...target.files];
    if (files.length) handOver(event, files, target.dataset.adding === "yes");
    target.value = "";  // so that the same file can be chosen again
  });

  async function paste() {
    let items;
    try { items = await navigator.clipboard.read(); } catch (error) { say(words.paste_refused); return; }
    for (const item of items) {
      const kind = item.types.find((type) => type.startsWith("image/"));
      if (kind) { give([new File([await item.getType(kind)], "pasted." + kind.split("/")[1].split("+")[0], { type: kind })]); return; }
    }
    say(words.paste_none);
  }
  return { give, paste };
}
