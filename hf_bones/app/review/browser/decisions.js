// One decision at a time, and none about a large image that is not there to be seen yet.
({ page: { root, find, state, say, ask }, gallery, large }) => {
  let deciding = false;

  return async (name, data = {}) => {
    const open = large.dialog.open, sha = open ? large.shown : gallery.current;
    if (deciding || (!sha && name !== "undo") || (open && !large.ready)) return;
    if (!state.reviewer) {
      if (open) large.dialog.close();
      find(".reviewer").classList.add("missing");
      find(".reviewer").focus();
      say("First give your name: every decision is signed.", "error");
      return;
    }
    deciding = true;
    const saved = await ask(name, { sha, reason: state.reason, ...data });
    deciding = false;
    if (!saved) return;
    gallery.putCard(saved);
    gallery.showFacets(saved.facets);
    say(saved.message, "saved");
    root.dataset.saved = saved.number;
    if (large.dialog.open) {
      if (name === "decide" && find(".go-on").checked && (await large.step(1))) return;
      say(saved.message, "saved");  // and not only that this was the last image
      large.show(saved.sha);
    } else if (name === "undo" && gallery.list.includes(saved.sha)) gallery.mark(saved.sha, true);
  };
}
