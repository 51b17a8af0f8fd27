// The page: which part of it is shown, and what the master knows, asked again and again.

import { detailsPage } from "./details.js";
import { el, swap, write } from "./dom.js";
import { filesPage } from "./files.js";
import { listPage, LISTS } from "./lists.js";
import { load } from "./master.js";
import { clock, count, shown, span, unquoted } from "./text.js";

/** Between two looks: at least so long, and so many times as long as the last one took, so that nobody's page is a burden. */
const [SHORTEST_MS, LONGEST_MS, TIMES] = [2000, 60000, 8];
/** After a look that failed: twice as long each time, up to this. */
const RETRY_MS = 30000;
/** Data that is older is marked. */
const STALE_MS = 15000;

const byId = (id) => document.getElementById(id);
let known = { agents: [], frameworks: [], tasks: [] };
let at = 0; // when the answer came that is shown; 0: never yet
let pause = SHORTEST_MS;
let failed = null; // {since, times, why}
let page;
let params = new URLSearchParams();

// ---------------------------------------------------------------- the address

function route() {
  const [where, query = ""] = location.hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const parts = where.split("/").map((one) => {
    try {
      return decodeURIComponent(one);
    } catch {
      return one;
    }
  });
  return { kind: parts[0] || "tasks", ids: parts.slice(1), query };
}

let current = "";
const left = new Map(); // list -> where one was in it

function show() {
  const { kind, ids, query } = route();
  params = new URLSearchParams(query);
  // a list's words are no other page, a file's path is
  const isList = Object.hasOwn(LISTS, kind);
  const name = isList ? kind : location.hash;
  if (name !== current) {
    if (page?.left) left.set(current, page.left());
    page?.end();
    page = isList ? listPage(kind, change, left.get(kind)) : kind === "folder" || kind === "file" ? filesPage(kind, ids[0], unquoted(query.replace(/^path=/, ""))) : ["task", "agent", "framework"].includes(kind) ? detailsPage(kind, ids) : undefined;
    if (!page) return void (location.hash = "#/tasks");
    if (current) scrollTo(0, 0);
    write(byId("content"), page.element);
    if (current) (page.element.querySelector(".list") ?? byId("content")).focus({ preventScroll: true });
    current = name;
  }
  fill();
}

/** Other words for the list that is shown, in its address; the way back leads out of the list, not through every letter. */
function change(words) {
  const next = new URLSearchParams(params);
  for (const [name, value] of Object.entries(words)) value ? next.set(name, value) : next.delete(name);
  const text = next.toString();
  history.replaceState(null, "", `#/${route().kind}${text ? `?${text}` : ""}`);
  show();
}

// ---------------------------------------------------------------- what is shown

function fill() {
  if (at) page.update(known, params);
  document.title = `${shown(page.title, 100)} – Mesos`;
  const chosen = route().kind;
  const links = Object.entries(LISTS).map(([name, one]) => el("a", { href: `#/${name}`, "aria-current": chosen === name ? "page" : undefined }, one.title, at ? el("span", { class: "many" }, count(known[name].filter((row) => !row.ended && row.state !== "COMPLETED").length)) : ""));
  swap(byId("nav"), el("div", {}, links));
}

function tick() {
  const age = Date.now() - at;
  const stale = at > 0 && age > Math.max(STALE_MS, 3 * pause);
  document.body.classList.toggle("stale", stale || Boolean(failed && at));
  if (at) write(byId("age"), `as of ${clock(new Date(at))}, ${span(age / 1000)} ago`);
  const sentence = failed ? ` Asked ${failed.times} ${failed.times === 1 ? "time" : "times"} in vain since ${clock(new Date(failed.since))}; ${at ? `what is shown is ${span(age / 1000)} old` : "nothing is known yet"}.` : "";
  byId("trouble").hidden = !failed;
  if (failed && byId("why").textContent !== failed.why) write(byId("why"), failed.why);
  write(byId("since"), sentence);
}

// ---------------------------------------------------------------- asking

async function look() {
  const began = performance.now();
  try {
    known = await load();
    at = Date.now();
    failed = null;
    pause = Math.min(LONGEST_MS, Math.max(SHORTEST_MS, TIMES * (performance.now() - began)));
    fill();
  } catch (error) {
    if (!(error.name in { Error: 1 })) console.error(error);
    failed = { since: failed?.since ?? Date.now(), times: (failed?.times ?? 0) + 1, why: error.message };
    pause = Math.min(RETRY_MS, SHORTEST_MS * 2 ** Math.min(failed.times - 1, 10));
  }
  tick();
  await new Promise((resolve) => setTimeout(resolve, pause));
  // nobody looks: nobody asks
  if (document.hidden) await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
  look();
}

if (top !== self) {
  // no header of ours can forbid it
  write(document.body, "This page does not work inside another one.");
} else {
  addEventListener("hashchange", show);
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.altKey || event.metaKey || /^(INPUT|TEXTAREA)$/.test(event.target.tagName)) return;
    const filter = byId("filter");
    if (!filter) return;
    event.preventDefault();
    filter.focus();
    filter.select();
  });
  byId("skip").addEventListener("click", (event) => {
    event.preventDefault();
    (document.querySelector(".list") ?? byId("content")).focus();
  });
  show();
  setInterval(tick, 1000);
  look();
}
