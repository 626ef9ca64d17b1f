// One large image, its near-duplicate beside it, boxes, zoom, and the model's view; window and level are in `windowing.js`. `aside` is a
// list of images to step through in the gallery's place.
({ page: { find, all, number, state, say, ask }, gallery, windowing }) => {
  const dialog = find("dialog.large"), stage = find(".stage"), first = find("figure.first"), second = find("figure.second");
  let shown = "", aside = null, showing = 0, boxed = false, heat = "", copies = [], captions = {};
  let zoom = 1, left = 0, above = 0;
  const view = (sha, full) => "/pictures/view/" + sha + (full ? "?full=1" : "");

  function open(sha, steps = null) {
    aside = steps;
    if (!dialog.open) dialog.showModal();
    show(sha);
  }
  dialog.addEventListener("close", () => { shown = ""; if (!aside) gallery.mark(gallery.current, true); });

  function putPicture(figure, address) {
    return new Promise((done) => {
      const picture = find("img", figure), film = find(".film", figure);
      picture.onload = () => {
        film.classList.remove("no-picture");
        film.style.setProperty("--w", picture.naturalWidth);
        film.style.setProperty("--h", picture.naturalHeight);
        done();
      };
      picture.onerror = async () => {
        film.classList.add("no-picture");
        film.dataset.why = await fetch(address).then((answer) => answer.text()).catch(() => "The server does not answer.");
        done();
      };
      picture.src = address;
    });
  }

  async function show(sha) {
    const mine = ++showing, same = sha === shown;
    shown = sha;
    if (!same) { delete stage.dataset.ready; fit(); windowing.reset(); showHeat(""); second.hidden = true; }
    if (gallery.list.includes(sha) && !aside) gallery.mark(sha);
    const wanted = ask("show", { sha });
    const painted = same && stage.dataset.ready ? null : putPicture(first, view(sha));
    const found = await wanted;
    if (mine !== showing || !found) return;
    const panel = find(".panel");
    panel.innerHTML = found.panel;
    if (!same) panel.scrollTop = 0;
    find("figcaption", first).innerHTML = found.caption;
    captions = found.captions;
    copies = Object.keys(captions);
    const boxes = find(".boxes", first);
    boxes.replaceChildren(...found.boxes.map(([x, y, w, h]) => {
      const box = document.createElement("i");
      Object.assign(box.style, { left: 100 * (x - w / 2) + "%", top: 100 * (y - h / 2) + "%", width: 100 * w + "%", height: 100 * h + "%" });
      return box;
    }));
    boxes.hidden = !boxed;
    find("[data-act=boxes]").hidden = found.boxes.length === 0;
    for (const button of all(".act[data-label]", dialog)) button.classList.toggle("is", button.dataset.label === found.label);
    const steps = aside || gallery.list, at = steps.indexOf(sha), before = aside ? 0 : state.page * state.size;
    find(".at").textContent = at < 0 ? "" : number(before + at + 1) + " of " + number(aside ? aside.length : gallery.total);
    await painted;
    if (mine !== showing) return;
    stage.dataset.ready = sha;
    for (const next of [steps[at + 1], steps[at - 1]]) if (next) gallery.fetchAhead(view(next));
  }

  async function step(by) {
    if (aside) {
      const next = aside[aside.indexOf(shown) + by];
      if (next) show(next);
      return Boolean(next);
    }
    if (!gallery.list.includes(shown)) { show(gallery.current); return true; }  // back from a near-duplicate that is not in the list
    if (!(await gallery.move(by))) { say(by > 0 ? "That was the last image." : "This is the first image."); return false; }
    show(gallery.current);
    return true;
  }

  function placeFilms() {
    for (const film of all(".film", stage)) film.style.transform = `translate(${left}px, ${above}px) scale(${zoom})`;
    const picture = find("img", first);
    if (zoom > 1.5 && shown && !heat && !picture.src.endsWith("full=1")) picture.src = view(shown, true);
  }
  function fit() { zoom = 1; left = 0; above = 0; placeFilms(); }
  function zoomBy(factor, x = null, y = null) {
    const film = find(".film", first), to = Math.min(12, Math.max(1, zoom * factor));
    const px = x ?? film.offsetWidth / 2, py = y ?? film.offsetHeight / 2;
    left = px - ((px - left) * to) / zoom;
    above = py - ((py - above) * to) / zoom;
    zoom = to;
    if (zoom === 1) { left = 0; above = 0; }
    placeFilms();
  }
  const onFilm = (event) => {  // a point of the screen on the film as it stands when it is not zoomed
    const figure = event.target.closest("figure"), film = find(".film", figure), at = figure.getBoundingClientRect();
    return [event.clientX - at.left - film.offsetLeft, event.clientY - at.top - film.offsetTop];
  };
  const films = find(".films");
  films.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomBy(event.deltaY < 0 ? 1.2 : 1 / 1.2, ...onFilm(event));
  }, { passive: false });
  films.addEventListener("dblclick", (event) => (zoom > 1 ? fit() : zoomBy(3, ...onFilm(event))));
  films.addEventListener("pointerdown", (event) => {
    if (zoom === 1) return;
    const start = [event.clientX - left, event.clientY - above];
    const drag = (moved) => { left = moved.clientX - start[0]; above = moved.clientY - start[1]; placeFilms(); };
    document.addEventListener("pointermove", drag);
    document.addEventListener("pointerup", () => document.removeEventListener("pointermove", drag), { once: true });
  });

  function toggleBoxes() { boxed = !boxed; find(".boxes", first).hidden = !boxed; }

  function compare(sha) {
    const same = !second.hidden && second.dataset.sha === sha;
    second.hidden = same;
    second.dataset.sha = sha;
    fit();
    if (!same) { putPicture(second, view(sha)); find("figcaption", second).innerHTML = captions[sha] || ""; }
    for (const button of all("[data-act=compare]")) button.setAttribute("aria-pressed", String(!same && button.dataset.sha === sha));
  }
  function compareNext() {
    if (!copies.length) { say("No near-duplicates of this image are known."); return; }
    const at = second.hidden ? -1 : copies.indexOf(second.dataset.sha);
    compare(at + 1 < copies.length ? copies[at + 1] : copies[at]);
  }

  async function askModel() {
    const place = find(".asked"), sha = shown;
    if (!place) { say("The model's view is hidden while labels are."); return; }
    say("The model looks at the image …");
    const found = await ask("ask_model", { sha });
    if (!found || sha !== shown) return;
    say("");
    find(".asked").innerHTML = found.html;
    showHeat("");
    place.dataset.heat = found.heat;
  }
  function showHeat(map) { heat = map; first.classList.toggle("heated", Boolean(map)); }  // its colours are no grey values
  function toggleHeat() {
    const map = find(".asked")?.dataset.heat;
    if (!map) { say("There is no heat map: ask the model first."); return; }
    showHeat(heat ? "" : map);
    find("img", first).src = heat || view(shown, zoom > 1.5);
  }

  return {
    dialog, open, show, step, fit, zoomBy, toggleBoxes, compare, compareNext, askModel, toggleHeat,
    get shown() { return shown; }, get ready() { return Boolean(stage.dataset.ready); },
  };
}
