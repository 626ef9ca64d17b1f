// The agreement of two reviewers, and the images on which they differ.
({ page: { find, ask } }) => {
  const dialog = find("dialog.agreement"), choices = [".first-reader", ".second-reader", ".about"];
  let differing = [];

  async function show() {
    const [first, second, about] = choices.map((choice) => find(choice).value);
    const found = await ask("agreement", { first, second, use: about === "use" });
    if (!found) return;
    for (const [selector, value] of [[".first-reader", found.first], [".second-reader", found.second]]) {
      find(selector).replaceChildren(...found.names.map((name) => new Option(name, name)));
      find(selector).value = value;
    }
    differing = found.shas;
    find(".agreement-body").innerHTML = found.html;
  }
  for (const selector of choices) find(selector).addEventListener("change", show);

  return { dialog, open: () => { show(); dialog.showModal(); }, get differing() { return differing; } };
}
