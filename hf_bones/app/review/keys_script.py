"""The look-up page's JavaScript for buttons, fields and keys, and what is done when the page opens.

Continues `script.py`, whose names it uses. Keys do nothing while something is typed.
"""

from __future__ import annotations

KEYS = """
const acts = {
  relabel: (button) => decide("decide", { action: "relabel", label: button.dataset.label }),
  drop: () => decide("decide", { action: "drop" }),
  keep: () => decide("decide", { action: "keep" }),
  undo: () => decide("undo"),
  clear: () => { state.chosen = {}; state.words = ""; find(".words").value = ""; look_up(); },
  previous: () => turn_page(-1), next: () => turn_page(1),
  sheet: () => Object.assign(document.createElement("a"), { href: "/pictures/sheet.png?token=" + token, download: "" }).click(),
  agreement: () => { show_agreement(); agreement.showModal(); },
  "close-agreement": () => agreement.close(),
  back: () => large.close(), boxes: toggle_boxes, "zoom-in": () => zoom_by(1.5), "zoom-out": () => zoom_by(1 / 1.5), "zoom-off": fit,
  ask: ask_model, heat: toggle_heat, compare: (button) => compare(button.dataset.sha),
  open: (button) => { aside = null; show(button.dataset.sha); },
  "open-differing": (button) => { aside = differing; agreement.close(); open_large(button.dataset.sha); },
};
root.addEventListener("click", (event) => {
  const button = event.target.closest("[data-act]");
  if (button) { acts[button.dataset.act](button); return; }
  const card = event.target.closest(".gallery .card");
  if (card) { aside = null; mark(card.dataset.sha); open_large(card.dataset.sha); }
});
find(".facets").addEventListener("change", (event) => {
  const facet = event.target.closest("details").dataset.facet;
  state.chosen[facet] = all("input:checked", event.target.closest("details")).map((tick) => tick.value);
  look_up();
});
let typing = 0;
find(".words").value = state.words;
find(".words").addEventListener("input", (event) => {
  clearTimeout(typing);
  typing = setTimeout(() => { state.words = event.target.value; look_up(); }, 180);
});
find(".order").addEventListener("change", (event) => { state.order = event.target.value; look_up(); });
find(".size").value = state.size;
find(".size").addEventListener("change", (event) => { state.size = Number(event.target.value); look_up(); });
find(".reviewer").value = state.reviewer;
find(".reviewer").addEventListener("change", (event) => {
  state.reviewer = event.target.value.trim();
  event.target.classList.toggle("missing", !state.reviewer);
  if (state.reviewer) say("Decisions are signed " + state.reviewer + ".");
  look_up();
});
find(".blind").checked = state.blind;
find(".blind").addEventListener("change", (event) => {
  state.blind = event.target.checked;
  state.chosen = {}; state.words = ""; find(".words").value = "";
  look_up();
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

const types_text = (target) => target && (target.isContentEditable || /^(TEXTAREA|SELECT)$/.test(target.tagName) ||
  (target.tagName === "INPUT" && !/^(checkbox|radio|button)$/.test(target.type)));
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || agreement.open) return;
  if (types_text(event.target)) { if (event.key === "Escape" && !large.open) event.target.blur(); return; }
  const label = classes[Number(event.key) - 1];
  const once = { d: acts.drop, r: acts.keep, u: acts.undo };
  const of_gallery = {
    ArrowRight: () => move(1), ArrowLeft: () => move(-1), ArrowDown: () => move(columns()), ArrowUp: () => move(-columns()),
    Home: () => mark(list[0], true), End: () => mark(list[list.length - 1], true), n: acts.next, p: acts.previous,
    Enter: () => { if (current) { aside = null; open_large(current); } },
  };
  const of_large = {
    ArrowRight: () => step(1), ArrowLeft: () => step(-1), b: toggle_boxes, c: compare_next, m: ask_model, h: toggle_heat,
    "+": () => zoom_by(1.5), "=": () => zoom_by(1.5), "-": () => zoom_by(1 / 1.5), 0: fit,
  };
  const own = event.key === "Enter" && event.target.closest?.("button:not(.gallery .card), summary, a");
  const moves = (large.open ? of_large : of_gallery)[event.key];
  const act = label && event.key.length === 1 ? () => acts.relabel({ dataset: { label } }) : once[event.key] || moves;
  if (!act || own) return;
  event.preventDefault();
  if (event.repeat && (label || once[event.key])) return;
  act();
});

async function watch_thumbnails() {
  const done = await server.progress({}).catch(() => null);
  const place = find(".making");
  if (done?.ok && done.made < done.wanted) {
    place.hidden = false;
    place.textContent = "Making thumbnails: " + number(done.made) + " of " + number(done.wanted);
  } else place.hidden = true;
  if (!done?.ok || done.made < done.wanted) setTimeout(watch_thumbnails, 2000);
}
look_up({ page: state.page }).then(() => { root.dataset.ready = "yes"; watch_thumbnails(); });
"""
