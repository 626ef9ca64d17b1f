// Sorts and filters the films of a batch. The server only ever adds rows; what the user chose stands while they come.
({ element, watch, controls, texts }) => {
  const place = () => document.querySelector(controls);
  const rows = () => [...element.querySelectorAll("tbody tr")];
  const fill = (text, slots) => text.replace(/\{(\w+)\}/g, (whole, slot) => slots[slot] ?? whole);
  let key = "number", up = true, verdict = "", part = "";

  function compare(a, b) {
    const [one, other] = [a.dataset[key] ?? "", b.dataset[key] ?? ""];
    if (one === "" || other === "") return (one === "") - (other === "");  // what has no number stands at the end, either way
    const order = key === "file" || key === "verdict" ? one.localeCompare(other, undefined, { numeric: true }) : one - other;
    return (up ? order : -order) || a.dataset.number - b.dataset.number;
  }

  function button(name, label, count, sign) {
    const made = document.createElement("button");
    made.type = "button";
    made.dataset.verdict = name;
    if (sign) {
      const copy = sign.cloneNode(true);
      made.dataset.class = name;
      made.append(copy, " ");
    }
    made.append(label + " ");
    made.append(Object.assign(document.createElement("b"), { textContent: count }));
    return made;
  }

  function drawVerdicts(all) {
    const group = place().querySelector(".films-verdicts"), counts = new Map();
    for (const row of all) counts.set(row.dataset.verdict, (counts.get(row.dataset.verdict) ?? 0) + 1);
    if (verdict && !counts.has(verdict)) verdict = "";
    const wanted = [["", texts.all, all.length], ...[...counts].sort(([a], [b]) => a.localeCompare(b)).map(([name, count]) => {
      const says = element.querySelector(`tr[data-verdict="${CSS.escape(name)}"] .says`);
      return [name, says.querySelector(".says-words").textContent, count, says.querySelector(".sign")];
    })];
    const focused = group.contains(document.activeElement) ? document.activeElement.dataset.verdict : null;
    group.replaceChildren(...wanted.map((one) => button(...one)));
    for (const one of group.children) one.setAttribute("aria-pressed", String(one.dataset.verdict === verdict));
    if (focused !== null) group.querySelector(`[data-verdict="${CSS.escape(focused)}"]`)?.focus();
  }

  function show() {
    const body = element.querySelector("tbody"), all = rows();
    if (!place()) return;
    place().hidden = !body;
    if (!body) {  // the next batch is shown whole, in its own order
      [key, up, verdict, part] = ["number", true, "", ""];
      place().querySelector("input").value = "";
      return;
    }
    const order = [...all].sort(compare);
    if (order.some((row, at) => row !== all[at])) body.append(...order);
    let shown = 0;
    for (const row of all) {
      row.hidden = Boolean(verdict && row.dataset.verdict !== verdict) || !row.dataset.file.toLowerCase().includes(part);
      shown += !row.hidden;
    }
    for (const head of element.querySelectorAll("th[data-key]")) {
      head.setAttribute("aria-sort", head.dataset.key !== key ? "none" : up ? "ascending" : "descending");
    }
    drawVerdicts(all);
    place().querySelector(".films-shown").textContent = shown === all.length ? "" : fill(texts.shown, { shown, total: all.length });
  }

  element.addEventListener("click", (event) => {
    const chosen = event.target.closest("[data-sort]")?.dataset.sort;
    if (!chosen) return;
    up = chosen === key ? !up : !chosen.startsWith("p");  // of a probability the highest first
    key = chosen;
    show();
  });
  document.addEventListener("click", (event) => {
    const chosen = event.target.closest(`${controls} button[data-verdict]`);
    if (!chosen) return;
    verdict = chosen.dataset.verdict;
    show();
  });
  document.addEventListener("input", (event) => {
    if (!event.target.matches?.(`${controls} input`)) return;
    part = event.target.value.toLowerCase();
    show();
  });
  watch("value", show);
  show();
}
