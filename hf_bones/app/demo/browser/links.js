// A link to another tab of the page opens that tab: it is found by the name on its button.
({ element }) => {
  element.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-tab]");
    if (!link) return;
    event.preventDefault();
    const tab = [...document.querySelectorAll("button[role=tab]")].find((one) => one.textContent.trim() === link.dataset.tab);
    tab?.click();
    tab?.focus();
  });
}
