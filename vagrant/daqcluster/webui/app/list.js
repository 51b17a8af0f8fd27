// A list of any length, of which only the rows in sight are in the document. It is a grid for those who hear the page: one
// stop of the Tab key, in it arrows, Page Up and Down, Home, End, and Enter, which opens the row.

import { el, write } from "./dom.js";

const AROUND = 6;

/**
 * `columns`: {name, title, cell(row), by(row)}; `key(row)` stays the same from one update to the next; `href(row)` is where
 * it leads; `sorted(column)` is told which head was chosen; `start` is what `left` gave when the same list was left.
 */
export function list({ label, columns, key, href, sorted, start }) {
  const heads = columns.map((column, at) =>
    el("span", { role: "columnheader", class: `cell ${column.name}`, "aria-colindex": at + 1 }, el("button", { type: "button", onclick: () => sorted(column) }, column.title)),
  );
  const head = el("div", { role: "row", class: "row head", "aria-rowindex": 1 }, heads);
  const space = el("div", { class: "space", role: "rowgroup" });
  const empty = el("p", { class: "empty", hidden: "" });
  const grid = el("div", { role: "grid", class: "list", tabindex: 0, "aria-label": label, "aria-colcount": columns.length }, el("div", { role: "rowgroup", class: "heads" }, head), space, empty);

  let rows = [];
  let chosen = start?.chosen ?? ""; // the key of the row that was gone to, and where it is now
  let place = -1;
  let height = 0;
  let asked = 0;
  const drawn = new Map();

  function put(at) {
    const row = rows[at];
    const element = drawn.get(at) ?? space.appendChild(el("div", { role: "row", class: "row", id: `row${at}` }));
    drawn.set(at, element);
    element.style.transform = `translateY(${at * height}px)`;
    element.setAttribute("aria-rowindex", at + 2);
    element.setAttribute("aria-selected", String(at === place));
    if (element.shows === row) return;
    element.shows = row;
    write(
      element,
      columns.map((column, number) => {
        const value = column.cell(row);
        const content = number === 1 ? el("a", { href: href(row), tabindex: -1 }, value) : value;
        return el("span", { role: "gridcell", class: `cell ${column.name}`, "aria-colindex": number + 1, title: typeof value === "string" ? value : undefined }, content);
      }),
    );
  }

  function draw() {
    asked = 0;
    height = parseFloat(getComputedStyle(grid).getPropertyValue("--row")) || 30;
    space.style.height = `${rows.length * height}px`;
    const first = Math.max(0, Math.floor(grid.scrollTop / height) - AROUND);
    const last = Math.min(rows.length, Math.ceil((grid.scrollTop + grid.clientHeight) / height) + AROUND);
    for (const [at, element] of drawn) {
      if (at >= first && at < last) continue;
      element.remove();
      drawn.delete(at);
    }
    for (let at = first; at < last; at++) put(at);
    if (drawn.has(place)) grid.setAttribute("aria-activedescendant", `row${place}`);
    else grid.removeAttribute("aria-activedescendant");
  }

  const soon = () => (asked ||= requestAnimationFrame(draw));

  function choose(at) {
    if (!rows.length) return;
    place = Math.max(0, Math.min(rows.length - 1, at));
    chosen = key(rows[place]);
    const top = place * height;
    const below = head.offsetHeight;
    if (top < grid.scrollTop) grid.scrollTop = top;
    else if (top + height + below > grid.scrollTop + grid.clientHeight) grid.scrollTop = top + height + below - grid.clientHeight;
    draw();
  }

  grid.addEventListener("scroll", soon, { passive: true });
  const sizes = new ResizeObserver(soon);
  sizes.observe(grid);
  grid.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target !== grid) return;
    const page = Math.max(1, Math.floor((grid.clientHeight - head.offsetHeight) / height) - 1);
    const moves = { ArrowDown: place + 1, ArrowUp: place - 1, PageDown: place + page, PageUp: place - page, Home: 0, End: rows.length - 1 };
    if (event.key in moves) choose(moves[event.key]);
    else if (event.key === "Enter" && place >= 0) location.hash = href(rows[place]);
    else return;
    event.preventDefault();
  });
  space.addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (!row || event.target.closest("a") || String(getSelection())) return;
    location.hash = href(row.shows);
  });

  return {
    element: grid,
    /** Show these, in this order; `column` is the one that they are in order of, `down` whether from the last one. */
    show(found, column, down, why) {
      rows = found;
      place = chosen ? rows.findIndex((row) => key(row) === chosen) : -1;
      grid.setAttribute("aria-rowcount", rows.length + 1);
      columns.forEach((one, at) => {
        if (one.name === column) heads[at].setAttribute("aria-sort", down ? "descending" : "ascending");
        else heads[at].removeAttribute("aria-sort");
      });
      empty.hidden = rows.length > 0;
      write(empty, why);
      if (!start) return void soon();
      draw();
      grid.scrollTop = start.top;
      start = undefined;
    },
    left: () => ({ chosen, top: grid.scrollTop }),
    end: () => sizes.disconnect(),
  };
}
