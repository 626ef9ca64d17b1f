// What can be taken along: the finding as JSON, the picture with frames and heat map, the report. Each is made when it is asked for.
({ place, words, fill, ask }) => {
  const bare = (name) => name.replace(/\.[^.]*$/, "") || "film";

  function save(name, blob) {
    const link = document.createElement("a"), address = URL.createObjectURL(blob);
    link.href = address;
    link.download = name;
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 60000);
    place.textContent = fill("take.made", { name });
  }
  const nameOf = (films, end) => bare(films[0].name) + (films.length > 1 ? "-" + films.length + "-views" : "") + end;

  function text(finding, films) {
    if (finding) save(nameOf(films, ".json"), new Blob([JSON.stringify(finding, null, 2) + "\n"], { type: "application/json" }));
  }
  async function made(name, asked) {
    place.textContent = words["take.making"];
    const answer = await ask(name, asked);
    if (answer.error) place.textContent = answer.error;
    return answer.error ? null : answer;
  }
  async function picture(film) {
    const answer = await made("picture", { token: film.token });
    if (!answer) return;
    const response = await fetch(answer.picture);
    save(bare(film.name) + "-overlay.png", await response.blob());
  }
  async function report(films) {
    const answer = await made("report", { tokens: films.map((film) => film.token) });
    if (answer) save(nameOf(films, "-report.html"), new Blob([answer.html], { type: "text/html" }));
  }
  return { text, picture, report };
}
