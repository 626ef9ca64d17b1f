// Whatever the user does with films is a turn, whose number goes to the server with it. Until the answer to that turn comes, no result is
// shown: the last one belongs to other films. `film` is "given", "example", "again" (another model) or "removed".
(film, turn, adding, ...given) => {
  const page = document.documentElement, tab = document.querySelector(".bones-classify");
  page.dataset.turn = Number(page.dataset.turn || 0) + 1;
  const joins = film === "given" && page.dataset.adding === "yes";
  delete page.dataset.adding;
  if (tab && (film !== "again" || tab.dataset.state !== "empty")) tab.dataset.state = film === "removed" ? "empty" : "waiting";
  return [Number(page.dataset.turn), joins ? 1 : 0, ...given];
}
