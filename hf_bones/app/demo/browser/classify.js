// The tab for one patient. The server sends `props.value`, which says what turn of the page it belongs to; one of an earlier turn is passed
// over. The other scripts are handed in as functions. What comes from the server is HTML that it escaped, or text that is put in as text.
({ element, trigger, watch, props, server, words, makeViewer, makeDrawing, takeFiles, makeCamera, makeSaving }) => {
  const root = element.querySelector(".bones-classify"), page = document.documentElement;
  const find = (selector) => root.querySelector(selector);
  const fill = (key, values) => words[key].replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
  const say = (text) => { find("#not-read").textContent = text; };
  let films = [], current = 0, finding = null, turn = 0;

  async function ask(name, asked) {
    let answer;
    try { answer = await server[name](asked); } catch (error) { answer = null; }
    return answer && (answer.ok || answer.error) ? answer : { error: words.failed };
  }
  const viewer = makeViewer({ root: find(".viewer"), words, fill, ask, say, makeDrawing });
  const files = takeFiles({ root, words, fill, say, wait: () => { root.dataset.state = "waiting"; } });
  const camera = makeCamera({ dialog: find("dialog.camera"), words, fill, say, give: files.give });
  const saving = makeSaving({ place: find(".take .made"), words, fill, ask });

  function show(sent) {
    if (!sent || sent.turn !== Number(page.dataset.turn || 0)) return;
    films = sent.films;
    turn = sent.turn;
    finding = sent.finding || null;
    if (current >= films.length) current = 0;
    if (sent.state !== "ok" && sent.state !== "refused") current = 0;
    root.dataset.state = sent.state;
    find("#verdict").innerHTML = sent.verdict;
    find("#study").innerHTML = sent.study || "";
    find("#finding").textContent = finding ? JSON.stringify(finding, null, 2) : "";
    find(".take .made").textContent = "";
    find(".drop").hidden = films.length > 0;
    find(".film-acts").hidden = films.length === 0;
    find("[data-act=remove]").hidden = films.length < 2;
    showViews();
    showView(current);
    if (sent.state !== "empty") find("#verdict").scrollIntoView({ block: "nearest" });
    root.dataset.shown = sent.turn;
  }

  function showViews() {
    const place = find(".views");
    place.hidden = films.length < 2;
    place.replaceChildren(...(films.length < 2 ? [] : films.map((film, at) => {
      const button = document.createElement("button"), sign = document.createElement("span"), name = document.createElement("span");
      button.type = "button";
      button.dataset.view = at;
      if (film.verdict) button.dataset.class = film.verdict;
      if (film.picture) {
        const picture = new Image();
        picture.src = film.picture;
        picture.alt = "";
        button.append(picture);
      }
      sign.className = "sign";
      sign.setAttribute("aria-hidden", "true");
      sign.textContent = film.sign || "…";
      name.textContent = fill("viewer.view", { number: at + 1, name: film.name }) + (film.title ? " · " + film.title : "");
      button.append(sign, name);
      return button;
    })));
  }

  function showView(at) {
    current = at;
    const film = films[at] || null;
    for (const button of root.querySelectorAll("[data-view]")) button.setAttribute("aria-pressed", String(Number(button.dataset.view) === at));
    find("#view").innerHTML = film?.html || "";
    find("#stability").innerHTML = film?.stability || "";
    find(".try").hidden = !film?.picture || film.verdict === "not_a_bone_xray";
    find("[data-act=take-picture]").hidden = !film?.picture;
    viewer.show(film, root.dataset.state);
  }

  async function tryStability() {
    const film = films[current], mine = turn;
    if (!film) return;
    find("#stability").textContent = words["stability.asking"];
    const answer = await ask("stability", { token: film.token });
    film.stability = answer.html || "";
    if (mine !== turn || films[current] !== film) return;
    if (answer.error) find("#stability").textContent = answer.error;
    else find("#stability").innerHTML = answer.html;
  }

  const acts = {
    camera: camera.open, shoot: camera.shoot, "camera-close": camera.close, paste: files.paste,
    clear: () => trigger("removed", {}), remove: () => trigger("without", { place: current }),
    stability: tryStability,
    "take-json": () => saving.text(finding, films),
    "take-picture": () => saving.picture(films[current]),
    "take-report": () => saving.report(films),
  };
  root.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.example !== undefined) { say(""); trigger("example", { example: Number(button.dataset.example) }); }
    else if (button.dataset.view !== undefined) showView(Number(button.dataset.view));
    else acts[button.dataset.act]?.();
  });
  find("[data-act=camera]").hidden = !navigator.mediaDevices?.getUserMedia;
  find("[data-act=paste]").hidden = !navigator.clipboard?.read;
  watch("value", () => show(props.value));
  page.dataset.takesFiles = "yes";
}
