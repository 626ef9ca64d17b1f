// Buttons, fields and keys. Keys do nothing while something is typed.
({ page: { root, find, all, state, keep, say }, gallery, large, windowing, agreement, decide }) => {
  const classes = root.dataset.classes.split(" ");
  const { lookUp } = gallery;
  const sheet = () => "/pictures/sheet.png?token=" + gallery.token;
  const acts = {
    relabel: (button) => decide("decide", { action: "relabel", label: button.dataset.label }),
    drop: () => decide("decide", { action: "drop" }),
    keep: () => decide("decide", { action: "keep" }),
    undo: () => decide("undo"),
    clear: () => { state.chosen = {}; state.words = ""; find(".words").value = ""; lookUp(); },
    previous: () => gallery.turnPage(-1), next: () => gallery.turnPage(1),
    sheet: () => Object.assign(document.createElement("a"), { href: sheet(), download: "" }).click(),
    agreement: agreement.open, "close-agreement": () => agreement.dialog.close(),
    back: () => large.dialog.close(), boxes: large.toggleBoxes,
    "zoom-in": () => large.zoomBy(1.5), "zoom-out": () => large.zoomBy(1 / 1.5), "zoom-off": large.fit,
    "step-back": () => large.step(-1), "step-on": () => large.step(1),
    invert: windowing.invert, "window-off": windowing.reset,
    adjudicate: ({ dataset: { action, label } }) => decide("decide", { action, label, adjudicate: true }),
    filters: (button) => button.setAttribute("aria-expanded", String(find(".filters").classList.toggle("open"))),
    ask: large.askModel, heat: large.toggleHeat, compare: (button) => large.compare(button.dataset.sha),
    open: (button) => large.open(button.dataset.sha),
    "open-differing": (button) => { agreement.dialog.close(); large.open(button.dataset.sha, agreement.differing); },
  };
  root.addEventListener("click", (event) => {
    const button = event.target.closest("[data-act]");
    if (button) { acts[button.dataset.act](button); return; }
    const card = event.target.closest(".gallery .card");
    if (card) { gallery.mark(card.dataset.sha); large.open(card.dataset.sha); }
  });

  find(".facets").addEventListener("change", (event) => {
    const group = event.target.closest("details");
    state.chosen[group.dataset.facet] = all("input:checked", group).map((tick) => tick.value);
    lookUp();
  });
  let typing = 0;
  find(".words").value = state.words;
  find(".words").addEventListener("input", (event) => {
    clearTimeout(typing);
    typing = setTimeout(() => { state.words = event.target.value; lookUp(); }, 180);
  });
  find(".order").addEventListener("change", (event) => { state.order = event.target.value; lookUp(); });
  find(".size").value = state.size;
  find(".size").addEventListener("change", (event) => { state.size = Number(event.target.value); lookUp(); });
  find(".reviewer").value = state.reviewer;
  find(".reviewer").addEventListener("change", (event) => {
    state.reviewer = event.target.value.trim();
    event.target.classList.toggle("missing", !state.reviewer);
    if (state.reviewer) say("Decisions are signed " + state.reviewer + ".");
    lookUp();
  });
  find(".blind").checked = state.blind;
  find(".blind").addEventListener("change", (event) => {
    state.blind = event.target.checked;
    acts.clear();
  });
  for (const box of all(".reason")) {
    box.value = state.reason;
    box.addEventListener("input", () => {
      state.reason = box.value;
      keep();
      for (const other of all(".reason")) if (other !== box) other.value = box.value;
    });
  }
  for (const choice of all(".subtype")) choice.addEventListener("change", () => {
    const [label, subtype] = choice.value.split("|");
    choice.value = "";
    choice.blur();
    if (label) decide("decide", { action: "relabel", label, subtype });
  });

  const typesText = (target) => target && (target.isContentEditable || /^(TEXTAREA|SELECT)$/.test(target.tagName) ||
    (target.tagName === "INPUT" && !/^(checkbox|radio|button)$/.test(target.type)));
  const last = () => gallery.list[gallery.list.length - 1];
  const once = { d: acts.drop, r: acts.keep, u: acts.undo };
  const ofGallery = {
    ArrowRight: () => gallery.move(1), ArrowLeft: () => gallery.move(-1),
    ArrowDown: () => gallery.move(gallery.columns()), ArrowUp: () => gallery.move(-gallery.columns()),
    Home: () => gallery.mark(gallery.list[0], true), End: () => gallery.mark(last(), true), n: acts.next, p: acts.previous,
    Enter: () => { if (gallery.current) large.open(gallery.current); },
  };
  const ofLarge = {
    ArrowRight: () => large.step(1), ArrowLeft: () => large.step(-1), b: large.toggleBoxes, c: large.compareNext, m: large.askModel,
    h: large.toggleHeat, "+": acts["zoom-in"], "=": acts["zoom-in"], "-": acts["zoom-out"], 0: large.fit,
    w: windowing.narrower, W: windowing.wider, l: windowing.lighter, L: windowing.darker, i: windowing.invert, x: windowing.reset,
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || agreement.dialog.open) return;
    if (typesText(event.target)) { if (event.key === "Escape" && !large.dialog.open) event.target.blur(); return; }
    const label = classes[Number(event.key) - 1];
    const own = event.key === "Enter" && event.target.closest?.("button:not(.gallery .card), summary, a");
    const moves = (large.dialog.open ? ofLarge : ofGallery)[event.key];
    const act = label && event.key.length === 1 ? () => acts.relabel({ dataset: { label } }) : once[event.key] || moves;
    if (!act || own) return;
    event.preventDefault();
    if (event.repeat && (label || once[event.key])) return;
    act();
  });
}
