// The review page: its state, and how it asks the server, on which `server.name(data)` calls `Review.name`. The other scripts are handed in
// as functions. What is typed or fetched reaches the page as text, or as HTML that the server escaped.
({ element, server, makeGallery, makeLarge, makeWindowing, makeAgreement, makeDecisions, listen }) => {
  const root = element.querySelector(".review");
  const find = (selector, within = root) => within.querySelector(selector);
  const all = (selector, within = root) => [...within.querySelectorAll(selector)];
  const number = (value) => value.toLocaleString("en-GB");
  const kept = "hf-bones-review:" + find(".head h1").textContent;
  const state = { chosen: {}, words: "", order: "hash", page: 0, size: 60, reviewer: "", blind: false, reason: "" };
  try { Object.assign(state, JSON.parse(sessionStorage.getItem(kept) || "{}")); } catch (error) { sessionStorage.removeItem(kept); }
  state.reviewer = state.reviewer || find(".reviewer").value.trim();
  const keep = () => sessionStorage.setItem(kept, JSON.stringify(state));
  const query = () => ({ chosen: state.chosen, words: state.words, order: state.order, reviewer: state.reviewer, blind: state.blind });

  function say(text, kind = "") {
    for (const place of all(".said")) { place.textContent = text; place.dataset.kind = kind; }
  }

  async function ask(name, data) {
    let answer;
    try { answer = await server[name]({ query: query(), ...data }); } catch (error) { answer = null; }
    if (!answer || (!answer.ok && typeof answer.error !== "string")) {
      say("The server does not answer: nothing was saved. Start hf-bones review again, then continue here.", "error");
      return null;
    }
    if (answer.error) { say(answer.error, "error"); return null; }
    return answer;
  }

  const page = { root, find, all, number, state, keep, say, ask };
  const gallery = makeGallery({ page });
  const windowing = makeWindowing({ page });
  const large = makeLarge({ page, gallery, windowing });
  const agreement = makeAgreement({ page });
  const decide = makeDecisions({ page, gallery, large });
  listen({ page, gallery, large, windowing, agreement, decide });

  async function watchThumbnails() {
    const done = await server.progress({}).catch(() => null);
    const place = find(".making");
    if (done?.ok && done.made < done.wanted) {
      place.hidden = false;
      place.textContent = "Making thumbnails: " + number(done.made) + " of " + number(done.wanted);
    } else place.hidden = true;
    if (!done?.ok || done.made < done.wanted) setTimeout(watchThumbnails, 2000);
  }
  gallery.lookUp({ page: state.page }).then(() => { root.dataset.ready = "yes"; watchThumbnails(); });
}
