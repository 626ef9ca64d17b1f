"""The look-up page's JavaScript: its state, filters, gallery and decisions.

It runs where gradio shows the page's one component, with `element` and `server` from gradio: `server.name(data)` calls `Review.name`. What
is typed or fetched reaches the page as text, or as HTML that the server escaped. The large view and agreement are in
`large_script.py`, buttons and keys in `keys_script.py`.
"""

from __future__ import annotations

from hf_bones.app.review.keys_script import KEYS
from hf_bones.app.review.large_script import LARGE

_STATE = """
const root = element.querySelector(".review");
const find = (selector, within = root) => within.querySelector(selector);
const all = (selector, within = root) => [...within.querySelectorAll(selector)];
const gallery = find(".gallery"), large = find("dialog.large"), agreement = find("dialog.agreement");
const classes = root.dataset.classes.split(" ");
const KEPT = "hf-bones-review:" + find(".head h1").textContent;
const state = { chosen: {}, words: "", order: "hash", page: 0, size: 60, reviewer: "", blind: false, reason: "" };
try { Object.assign(state, JSON.parse(sessionStorage.getItem(KEPT) || "{}")); } catch (error) { sessionStorage.removeItem(KEPT); }
state.reviewer = state.reviewer || find(".reviewer").value.trim();
let token = "", list = [], pages = 1, total = 0, current = "", turn = 0, deciding = false;

const query = () => ({ chosen: state.chosen, words: state.words, order: state.order, reviewer: state.reviewer, blind: state.blind });
const keep = () => sessionStorage.setItem(KEPT, JSON.stringify(state));
const number = (value) => value.toLocaleString("en-GB");
const thumbnail = (sha) => "/pictures/thumbnail/" + sha;
const fetched = new Set();
const fetch_ahead = (address) => { if (!fetched.has(address)) { fetched.add(address); new Image().src = address; } };

function say(text, kind = "") {
  for (const place of all(".said")) { place.textContent = text; place.dataset.kind = kind; }
}

async function ask(name, data) {
  let answer;
  try { answer = await server[name](data); } catch (error) { answer = null; }
  if (!answer || (!answer.ok && typeof answer.error !== "string")) {
    say("The server does not answer: nothing was saved. Start it again (hf-bones review), then go on here.", "error");
    return null;
  }
  if (answer.error) { say(answer.error, "error"); return null; }
  return answer;
}
"""

_GALLERY = """
async function look_up({ page = 0, turning = false } = {}) {
  const mine = ++turn;
  state.page = page;
  keep();
  root.dataset.busy = "";
  const found = await ask("look_up", { query: query(), page, size: state.size, token: turning ? token : "" });
  if (mine !== turn) return false;
  delete root.dataset.busy;
  if (!found) return false;
  ({ token, total, pages } = found);
  state.page = found.page;
  gallery.innerHTML = found.cards;
  list = all(".card", gallery).map((card) => card.dataset.sha);
  gallery.dataset.turn = mine;
  show_facets(found.facets);
  show_orders(found.orders);
  find(".total").textContent = number(total) + " of " + number(found.of) + " images";
  find(".page").textContent = number(found.page + 1) + " of " + number(pages);
  find("[data-act=previous]").disabled = found.page === 0;
  find("[data-act=next]").disabled = found.page + 1 >= pages;
  find("[data-act=sheet]").disabled = total === 0 || state.blind;
  if (!turning) window.scrollTo(0, Math.min(window.scrollY, find(".body").offsetTop));
  if (!list.includes(current)) current = list[0] || "";
  mark(current);
  setTimeout(() => found.next.forEach((sha) => fetch_ahead(thumbnail(sha))), 300);
  return true;
}

function show_orders(orders) {
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
function show_facets(facets) {
  const place = find(".facets");
  const shape = JSON.stringify(facets.map((facet) => [facet.name, facet.values.map((value) => value[0])]));
  if (place.dataset.shape !== shape) {
    place.dataset.shape = shape;
    const focused = document.activeElement && place.contains(document.activeElement) ? document.activeElement.id : "";
    place.replaceChildren(...facets.map((facet) => {
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
    }));
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
    if (!(await look_up({ page: state.page + 1, turning: true }))) return false;
    mark(list[0], true);
    return true;
  }
  if (steps < 0 && state.page > 0) {
    if (!(await look_up({ page: state.page - 1, turning: true }))) return false;
    mark(list[list.length - 1], true);
    return true;
  }
  return false;
}

const columns = () => getComputedStyle(gallery).gridTemplateColumns.split(" ").length;
const turn_page = (steps) => {
  if (state.page + steps < 0 || state.page + steps >= pages) return;
  look_up({ page: state.page + steps, turning: true }).then((done) => { if (done) { mark(list[0], true); window.scrollTo(0, 0); } });
};

function put_card(answer) {
  const old = find(`.gallery .card[data-sha="${answer.sha}"]`);
  if (!old) return;
  const holder = document.createElement("ul");
  holder.innerHTML = answer.card;
  const focused = document.activeElement === old;
  old.closest("li").replaceWith(holder.firstElementChild);
  if (current === answer.sha) mark(current, focused);
}

// One decision at a time, and none about a large image that is not there to be seen yet.
async function decide(name, data = {}) {
  const sha = large.open ? shown : current;
  if (deciding || (!sha && name !== "undo") || (large.open && !stage.dataset.ready)) return;
  if (!state.reviewer) {
    if (large.open) large.close();
    find(".reviewer").classList.add("missing");
    find(".reviewer").focus();
    say("First give your name: every decision is signed.", "error");
    return;
  }
  deciding = true;
  const saved = await ask(name, { sha, query: query(), reason: state.reason, ...data });
  deciding = false;
  if (!saved) return;
  put_card(saved);
  show_facets(saved.facets);
  say(saved.message, "saved");
  root.dataset.saved = saved.number;
  if (large.open) {
    if (name === "decide" && find(".go-on").checked && (await step(1))) return;
    show(saved.sha);
  } else if (name === "undo" && list.includes(saved.sha)) mark(saved.sha, true);
}
"""

ON_LOAD = _STATE + _GALLERY + LARGE + KEYS
