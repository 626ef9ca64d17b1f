// Window, level and inversion of the large films, in the browser alone: a filter on the grey values, in shares of the range from black to
// white. Grey values from `level - window / 2` to `level + window / 2` are spread from black to white.
({ page: { root, find, all } }) => {
  const whole = { window: 100, level: 50 }, step = 5;
  const films = find(".films"), ranges = { window: find("input.window"), level: find("input.level") };
  let inverted = false;

  function paint() {
    const window = Number(ranges.window.value) / 100, level = Number(ranges.level.value) / 100;
    const slope = (inverted ? -1 : 1) / window, at = 0.5 - level * slope;
    for (const part of all("#grey-values feFuncR, #grey-values feFuncG, #grey-values feFuncB")) {
      part.setAttribute("slope", slope);
      part.setAttribute("intercept", at);
    }
    const changed = inverted || Object.keys(whole).some((name) => Number(ranges[name].value) !== whole[name]);
    films.classList.toggle("windowed", changed);
    find("[data-act=invert]").setAttribute("aria-pressed", String(inverted));
    find("[data-act=window-off]").disabled = !changed;
    root.dataset.windowed = Math.round(100 * window) + " " + Math.round(100 * level) + (inverted ? " inverted" : "");
  }
  function change(name, by) {
    const range = ranges[name];
    range.value = Number(range.value) + by;  // the range keeps it within its ends
    paint();
  }
  for (const range of Object.values(ranges)) range.addEventListener("input", paint);
  films.addEventListener("pointerdown", (event) => {
    if (!event.shiftKey) return;
    event.stopImmediatePropagation();
    event.preventDefault();
    let { clientX, clientY } = event;
    const drag = (moved) => {
      change("window", (moved.clientX - clientX) / 4);
      change("level", (clientY - moved.clientY) / 4);
      ({ clientX, clientY } = moved);
    };
    document.addEventListener("pointermove", drag);
    document.addEventListener("pointerup", () => document.removeEventListener("pointermove", drag), { once: true });
  });

  return {
    narrower: () => change("window", -step), wider: () => change("window", step),
    lighter: () => change("level", -step), darker: () => change("level", step),
    invert: () => { inverted = !inverted; paint(); },
    reset: () => { for (const name of Object.keys(whole)) ranges[name].value = whole[name]; inverted = false; paint(); },
  };
}
