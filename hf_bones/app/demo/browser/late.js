// Takes an answer off the page again that crossed with the user's next turn on its way here. What it gives is put into the places of finding,
// verdict, probabilities, heat map, caption and image.
({ verdict, empty, reading }) => {
  const page = document.documentElement.dataset, turn = /data-turn="(\d+)"/.exec(verdict || "");
  if (!turn || turn[1] === page.turn) return undefined;
  return [null, page.film === "removed" ? empty : reading, "", null, "", null];
}
