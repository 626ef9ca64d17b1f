// Whatever the user does with a film is a turn, whose number goes to the server with it. Until the answer to that turn comes, no result is
// shown: the last one belongs to another film. `film` is "given" or "removed".
(film, turn, ...given) => {
  const page = document.documentElement, verdict = document.querySelector("#verdict .verdict");
  page.dataset.turn = Number(page.dataset.turn || 0) + 1;
  page.dataset.film = film;
  if (verdict) verdict.dataset.state = "waiting";
  return [Number(page.dataset.turn), ...given];
}
