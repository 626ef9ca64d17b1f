// Filters and gallery: what was looked up, and which image of it is the current one.
({ page: { root, find, all, number, state, keep, ask } }) => {
  const gallery = find(".gallery");
  let token = "", list = [], pages = 1, total = 0, current = "", turn = 0;
  const fetched = new Set();
  const fetchAhead = (address) => { if (!fetched.has(address)) { fetched.add(address); new Image().src = address; } };

  async function lookUp({ page = 0, turning = false } = {}) {
    const mine = ++turn;
    state.page = page;
    keep();
    root.dataset.busy = "";
    const found = await ask("look_up", { page, size: state.size, token: turning ? token : "" });
    if (mine !== turn) return false;
    delete root.dataset.busy;
    if (!found) return false;
    ({ token, total, pages } = found);
    state.page = found.page;
    gallery.innerHTML = found.cards;
    list = all(".card", gallery).map((card) => card.dataset.sha);
    gallery.dataset.turn = mine;
    showFacets(found.facets);
    showOrders(found.orders);
    find(".total").textContent = number(total) + " of " + number(found.of) + " images";
    find(".page").textContent = number(found.page + 1) + " of " + number(pages);
    find("[data-act=previous]").disabled = found.page === 0;
    find("[data-act=next]").disabled = found.page + 1 >= pages;
    find("[data-act=sheet]").disabled = total === 0 || state.blind;
    if (!turning) window.scrollTo(0, Math.min(window.scrollY, find(".body").offsetTop));
    if (!list.includes(current)) current = list[0] || "";
    mark(current);
    setTimeout(() => found.next.forEach((sha) => fetchAhead("/pictures/thumbnail/" + sha)), 300);
    return true;
  }

  function showOrders(orders) {
    const choice = find(".order");
    const shape = JSON.stringify(orders);
    if (choice.dataset.shape !== shape) {
      choice.dataset.shape = shape;
      choice.replaceChildren(...orders.map(([value, words]) => new Option(words, value)));
    }
    choice.value = state.order;
    choice.disabled = state.blind;
  }

  const opened = new Set(["mine", "label", "subtype", "decision", "suspicion", "copies"]);
  function facetGroup(facet) {
    const group = document.createElement("details");
    group.dataset.facet = facet.name;
    group.open = opened.has(facet.name) || (state.chosen[facet.name] || []).length > 0;
    group.addEventListener("toggle", () => opened[group.open ? "add" : "delete"](facet.name));
    const title = document.createElement("summary");
    title.textContent = facet.title;
    const values = document.createElement("ul");
    facet.values.forEach(([value, words], index) => {
      const [label, tick, name, count] = ["label", "input", "span", "span"].map((tag) => document.createElement(tag));
      tick.type = "checkbox"; tick.value = value; tick.id = "facet-" + facet.name + "-" + index;
      name.textContent = words; count.className = "count";
      label.append(tick, name, count);
      const item = document.createElement("li");
      item.append(label);
      values.append(item);
    });
    group.append(title, values);
    return group;
  }
  function showFacets(facets) {
    const place = find(".facets");
    const shape = JSON.stringify(facets.map((facet) => [facet.name, facet.values.map((value) => value[0])]));
    if (place.dataset.shape !== shape) {
      place.dataset.shape = shape;
      const focused = document.activeElement && place.contains(document.activeElement) ? document.activeElement.id : "";
      place.replaceChildren(...facets.map(facetGroup));
      if (focused) document.getElementById(focused)?.focus();
    }
    for (const facet of facets) {
      const group = find(`[data-facet="${facet.name}"]`, place), chosen = state.chosen[facet.name] || [];
      find("summary", group).classList.toggle("chosen", chosen.length > 0);
      all("label", group).forEach((label, index) => {
        const [value, , count] = facet.values[index];
        find("input", label).checked = chosen.includes(value);
        find(".count", label).textContent = number(count);
        label.classList.toggle("none", count === 0 && !chosen.includes(value));
      });
    }
    find("[data-act=clear]").disabled = !state.words && !Object.values(state.chosen).some((values) => values.length);
  }

  function mark(sha, focus = false) {
    current = sha;
    for (const card of all(".card", gallery)) {
      const is = card.dataset.sha === sha;
      card.classList.toggle("current", is);
      card.tabIndex = is ? 0 : -1;
      if (is && focus) { card.focus({ preventScroll: true }); card.scrollIntoView({ block: "nearest" }); }
    }
  }

  async function move(steps) {
    const at = list.indexOf(current), to = at + steps;
    if (to >= 0 && to < list.length) { mark(list[to], true); return true; }
    if (steps > 0 && state.page + 1 < pages && (steps === 1 || at >= list.length - steps)) {
      if (!(await lookUp({ page: state.page + 1, turning: true }))) return false;
      mark(list[0], true);
      return true;
    }
    if (steps < 0 && state.page > 0) {
      if (!(await lookUp({ page: state.page - 1, turning: true }))) return false;
      mark(list[list.length - 1], true);
      return true;
    }
    return false;
  }

  const columns = () => getComputedStyle(gallery).gridTemplateColumns.split(" ").length;
  function turnPage(steps) {
    if (state.page + steps < 0 || state.page + steps >= pages) return;
    lookUp({ page: state.page + steps, turning: true }).then((done) => { if (done) { mark(list[0], true); window.scrollTo(0, 0); } });
  }

  function putCard(answer) {
    const old = find(`.card[data-sha="${answer.sha}"]`, gallery);
    if (!old) return;
    const holder = document.createElement("ul");
    holder.innerHTML = answer.card;
    const focused = document.activeElement === old;
    old.closest("li").replaceWith(holder.firstElementChild);
    if (current === answer.sha) mark(current, focused);
  }

  return {
    lookUp, showFacets, mark, move, columns, turnPage, putCard, fetchAhead,
    get token() { return token; }, get list() { return list; }, get total() { return total; }, get current() { return current; },
  };
}
