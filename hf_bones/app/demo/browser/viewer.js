// The viewer of one film: zoom, pan, window and level, inversion, frames, heat map, full screen. It starts with a smaller film and asks for the
// full size when that shows; the heat map it asks for when somebody looks at it.
({ root, words, fill, ask, say, makeDrawing }) => {
  const find = (selector) => root.querySelector(selector);
  const canvas = find("canvas"), placeholder = find(".placeholder"), legend = find(".legend"), drawing = makeDrawing({ canvas });
  const ranges = Object.fromEntries(["window", "level", "heat"].map((name) => [name, find(`[data-range=${name}]`)]));
  const start = { zoom: 1, x: 0, y: 0, window: 255, level: 127.5, inverted: false, heat: 0 };
  let look = { ...start, boxes: true }, film = null, asked = false, full = false;

  function paint() {
    drawing.draw(look, film?.layer, film?.boxes || []);
    ranges.window.value = look.window;
    ranges.level.value = Math.round(look.level);
    ranges.heat.value = Math.round(100 * look.heat);
    for (const [name, on] of [["invert", look.inverted], ["boxes", look.boxes], ["full", full]]) {
      find(`[data-act=${name}]`).setAttribute("aria-pressed", String(on));
    }
    legend.hidden = look.heat === 0 || !film?.legend;
    canvas.style.touchAction = look.zoom > 1 ? "none" : "pan-y";
    root.dataset.look = [look.zoom.toFixed(2), Math.round(look.window), Math.round(look.level), look.inverted ? "inverted" : ""].join(" ").trim();
    root.dataset.heat = String(Math.round(100 * look.heat));
  }
  const later = () => { if (!asked) { asked = true; requestAnimationFrame(() => { asked = false; paint(); }); } };
  const change = (changed) => { look = { ...look, ...changed }; later(); };
  const loaded = (address) => new Promise((done, failed) => {
    const image = new Image();
    image.onload = () => done(image);
    image.onerror = () => failed(new Error(words.failed));
    image.src = address;
  });

  async function show(next, state) {
    const same = film && next && film.picture && film.picture === next.picture;
    film = next;
    root.hidden = !next;
    if (!same) look = { ...start, boxes: look.boxes };
    else look = { ...look, heat: 0 };
    legend.innerHTML = "";
    delete root.dataset.ready;
    const image = next?.picture ? await loaded(next.picture) : null;
    if (film !== next) return;
    drawing.film(image);
    canvas.hidden = !image;
    placeholder.hidden = Boolean(image);
    placeholder.textContent = words[state === "reading" ? "viewer.reading" : "viewer.no_picture"];
    root.dataset.tools = image ? "yes" : "no";
    find("[data-act=boxes]").disabled = !next?.boxes?.length;
    ranges.heat.disabled = !next?.token;
    if (next) canvas.setAttribute("aria-label", fill("viewer.film", next));
    root.dataset.pixels = image ? image.naturalWidth + " " + image.naturalHeight : "";
    paint();
    if (next && image) { root.dataset.ready = "yes"; root.dataset.film = next.name; }
  }

  async function fetchFull() {
    const mine = film;
    if (!mine?.token || mine.whole || !mine.width || Number(root.dataset.pixels.split(" ")[0]) >= mine.width) return;
    mine.whole = ask("pixels", { token: mine.token });
    const answer = await mine.whole;
    if (answer.error) { mine.whole = null; say(answer.error); return; }
    const image = await loaded(answer.picture);
    if (film !== mine) return;
    drawing.film(image);
    root.dataset.pixels = image.naturalWidth + " " + image.naturalHeight;
    paint();
  }
  async function showHeat(share) {
    change({ heat: share });
    const mine = film;
    if (!share || !mine?.token || mine.heat) { if (mine?.legend) legend.innerHTML = mine.legend; return; }
    say(words["viewer.making_heat"]);
    mine.heat = ask("heat", { token: mine.token });
    const answer = await mine.heat;
    say(answer.error || "");
    if (answer.error) { mine.heat = null; return; }
    mine.legend = answer.html;
    mine.layer = answer.layer ? await loaded(answer.layer) : null;
    if (film !== mine) return;
    legend.innerHTML = mine.legend;
    paint();
  }

  function zoomBy(factor, at = null) {
    const zoom = Math.min(16, Math.max(1, look.zoom * factor)), box = canvas.getBoundingClientRect();
    const px = at ? at.clientX - box.left - box.width / 2 : 0, py = at ? at.clientY - box.top - box.height / 2 : 0;
    const share = zoom / look.zoom;
    change(zoom === 1 ? { zoom, x: 0, y: 0 } : { zoom, x: px - (px - look.x) * share, y: py - (py - look.y) * share });
    if (zoom > 1.5) fetchFull();
  }
  const limited = (value, least, most) => Math.min(most, Math.max(least, value));
  const windowBy = (by) => change({ window: limited(look.window + by, 2, 255) });
  const levelBy = (by) => change({ level: limited(look.level + by, 0, 255) });
  const pan = (x, y) => change({ x: look.x + x, y: look.y + y });
  const reset = () => { change({ ...start, boxes: true }); };
  const invert = () => change({ inverted: !look.inverted });
  const boxes = () => change({ boxes: !look.boxes });
  const heat = () => showHeat(look.heat ? 0 : 1);

  async function fullScreen() {
    if (full) { if (document.fullscreenElement) await document.exitFullscreen(); setFull(false); return; }
    setFull(true);
    fetchFull();
    try { await root.requestFullscreen(); } catch (error) { /* where there is none, it fills the window */ root.dataset.filled = "yes"; }
    later();
  }
  function setFull(on) {
    full = on;
    root.classList.toggle("full", on);
    delete root.dataset.filled;
    later();
  }
  document.addEventListener("fullscreenchange", () => { if (!document.fullscreenElement && full) setFull(false); });

  const acts = { "zoom-in": () => zoomBy(1.5), "zoom-out": () => zoomBy(1 / 1.5), reset, invert, boxes, full: fullScreen };
  root.addEventListener("click", (event) => acts[event.target.closest("button")?.dataset.act]?.());
  ranges.window.addEventListener("input", () => change({ window: Number(ranges.window.value) }));
  ranges.level.addEventListener("input", () => change({ level: Number(ranges.level.value) }));
  ranges.heat.addEventListener("input", () => showHeat(Number(ranges.heat.value) / 100));

  const keys = {
    "+": () => zoomBy(1.5), "=": () => zoomBy(1.5), "-": () => zoomBy(1 / 1.5), 0: reset, i: invert, b: boxes, h: heat, f: fullScreen,
    w: () => windowBy(-10), W: () => windowBy(10), l: () => levelBy(10), L: () => levelBy(-10),
    ArrowLeft: () => pan(40, 0), ArrowRight: () => pan(-40, 0), ArrowUp: () => pan(0, 40), ArrowDown: () => pan(0, -40),
  };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  root.addEventListener("keydown", (event) => { if (event.key === "Escape" && full && !document.fullscreenElement) setFull(false); });
  canvas.addEventListener("wheel", (event) => {  // else it scrolls the page
    if (!event.ctrlKey && !full && document.activeElement !== canvas) return;
    event.preventDefault();
    zoomBy(event.deltaY < 0 ? 1.2 : 1 / 1.2, event);
  }, { passive: false });
  canvas.addEventListener("dblclick", (event) => (look.zoom > 1 ? change({ zoom: 1, x: 0, y: 0 }) : zoomBy(3, event)));
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());

  const fingers = new Map();
  canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); fingers.set(event.pointerId, event); });
  canvas.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const dx = event.clientX - before.clientX, dy = event.clientY - before.clientY, [other] = [...fingers.values()].filter((one) => one !== before);
    if (other) {
      const away = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1;
      zoomBy(away(event) / away(before), { clientX: (event.clientX + other.clientX) / 2, clientY: (event.clientY + other.clientY) / 2 });
    } else if (event.buttons & 2 || event.shiftKey) {
      windowBy(dx / 2);
      levelBy(-dy / 2);
    } else if (look.zoom > 1) pan(dx, dy);
    fingers.set(event.pointerId, event);
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => fingers.delete(event.pointerId));
  new ResizeObserver(later).observe(canvas);

  return { show };
}
