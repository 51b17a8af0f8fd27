// The three lists: tasks, agents, frameworks. What is looked for, which states and in which order stands in the address.

import { badge, el, outside, share, write } from "./dom.js";
import { list } from "./list.js";
import { amount, count, memory, span } from "./text.js";

const KINDS = {
  RUNNING: "run", ACTIVE: "run", STARTING: "start", STAGING: "start", KILLING: "stop", DRAINING: "stop",
  FINISHED: "done", COMPLETED: "done", FAILED: "failed", ERROR: "failed", KILLED: "killed", DRAINED: "killed",
  DEACTIVATED: "killed", INACTIVE: "lost", DISCONNECTED: "lost", RECOVERED: "lost", UNREACHABLE: "lost", LOST: "lost",
  DROPPED: "lost", GONE: "lost", GONE_BY_OPERATOR: "lost",
}; // prettier-ignore

const kind = (word) => (Object.hasOwn(KINDS, word) ? KINDS[word] : "unknown");

/** A state as people see it. */
export const state = (word) => badge(kind(word), word);

/** What a task's health checks say of it; nothing where it has none. */
export const health = (task) => (task.ended || task.healthy === undefined ? "" : task.healthy ? badge("done", "healthy") : badge("ill", "unhealthy"));

const since = (seconds) => (seconds > 0 ? span(Date.now() / 1000 - seconds) : "");

// what is wrong comes first, then what moves, then what runs, and at the end what is over, the newest first
const ORDER = ["lost", "unknown", "failed", "start", "stop", "run", "killed", "done"];
const rank = (task) => (task.ended ? 100 : task.healthy === false ? -1 : ORDER.indexOf(kind(task.state)));
const byName = new Intl.Collator("en", { numeric: true }).compare;

const path = (...parts) => `#/${parts.map(encodeURIComponent).join("/")}`;
export const taskAt = (task) => path("task", task.framework, task.id);
export const agentAt = (id) => path("agent", id);
export const frameworkAt = (id) => path("framework", id);

const used = (name, say) => ({
  cell: (row) => share(row.used.amounts[name] ?? 0, row.total.amounts[name] ?? 0, say),
  by: (row) => row.used.amounts[name] ?? 0,
});

export const LISTS = {
  tasks: {
    title: "Tasks",
    key: (row) => `${row.framework} ${row.id}`,
    href: taskAt,
    words: (row) => [row.name, row.id, row.host, row.state, row.healthy === false ? "unhealthy" : "", row.message, ...row.labels.map((one) => one.join("="))],
    first: (one, other) => rank(one) - rank(other) || (one.ended ? other.since - one.since : byName(one.name, other.name)),
    columns: [
      { name: "state", title: "State", cell: (row) => state(row.state), by: (row) => row.state },
      { name: "name", title: "Task", cell: (row) => row.name || row.id, by: (row) => row.name },
      { name: "agent", title: "Agent", cell: (row) => row.host || "gone", by: (row) => row.host },
      { name: "health", title: "Health", cell: health, by: (row) => (row.healthy === undefined ? 2 : row.healthy ? 1 : 0) },
      { name: "version", title: "Version", cell: (row) => row.version, by: (row) => row.version },
      { name: "since", title: "Since", cell: (row) => since(row.since), by: (row) => -row.since },
      { name: "message", title: "Message", cell: (row) => row.message, by: (row) => row.message },
    ],
  },
  agents: {
    title: "Agents",
    key: (row) => row.id,
    href: (row) => agentAt(row.id),
    words: (row) => [row.host, row.id, row.state, row.address, ...row.attributes.map((one) => one.join("="))],
    first: (one, other) => ORDER.indexOf(kind(one.state)) - ORDER.indexOf(kind(other.state)) || byName(one.host, other.host),
    columns: [
      { name: "state", title: "State", cell: (row) => state(row.state), by: (row) => row.state },
      { name: "name", title: "Host", cell: (row) => row.host, by: (row) => row.host },
      { name: "number", title: "Tasks", cell: (row) => count(row.tasks), by: (row) => row.tasks },
      { name: "cpus", title: "CPUs", ...used("cpus", amount) },
      { name: "mem", title: "Memory", ...used("mem", memory) },
      { name: "disk", title: "Disk", ...used("disk", memory) },
      { name: "attributes", title: "Attributes", cell: (row) => row.attributes.map((one) => one.join("=")).join("  "), by: (row) => row.attributes.join() },
      { name: "since", title: "Registered", cell: (row) => since(row.reregistered || row.registered), by: (row) => -(row.reregistered || row.registered) },
    ],
  },
  frameworks: {
    title: "Frameworks",
    key: (row) => row.id,
    href: (row) => frameworkAt(row.id),
    words: (row) => [row.name, row.id, row.state, row.user, row.host, ...row.roles],
    first: (one, other) => Number(one.state === "COMPLETED") - Number(other.state === "COMPLETED") || byName(one.name, other.name),
    columns: [
      { name: "state", title: "State", cell: (row) => state(row.state), by: (row) => row.state },
      { name: "name", title: "Framework", cell: (row) => row.name, by: (row) => row.name },
      { name: "number", title: "Tasks", cell: (row) => count(row.tasks), by: (row) => row.tasks },
      { name: "cpus", title: "CPUs", cell: (row) => amount(row.used.amounts.cpus ?? 0), by: (row) => row.used.amounts.cpus ?? 0 },
      { name: "mem", title: "Memory", cell: (row) => memory(row.used.amounts.mem ?? 0), by: (row) => row.used.amounts.mem ?? 0 },
      { name: "user", title: "User", cell: (row) => row.user, by: (row) => row.user },
      { name: "roles", title: "Roles", cell: (row) => row.roles.join(" "), by: (row) => row.roles.join() },
      { name: "page", title: "Its page", cell: (row) => (row.page ? outside(row.page) : ""), by: (row) => row.page },
      { name: "since", title: "Registered", cell: (row) => since(row.reregistered || row.registered), by: (row) => -(row.reregistered || row.registered) },
    ],
  },
};

/** The page of one list. `params` are the address' own; `change` writes others there; `start` is what `left` gave. */
export function listPage(which, change, start) {
  const what = LISTS[which];
  const input = el("input", { type: "search", id: "filter", placeholder: "press / and type: readout hlt01", spellcheck: "false", autocomplete: "off", maxlength: 200 });
  const states = el("div", { class: "states", role: "group", "aria-label": "States" });
  const number = el("p", { class: "number", role: "status" });
  let params = new URLSearchParams();
  const ordered = { of: undefined, by: "", rows: [] };
  const body = list({
    label: what.title,
    columns: what.columns,
    key: what.key,
    href: what.href,
    start,
    sorted: (column) => change({ sort: params.get("sort") === column.name ? `-${column.name}` : params.get("sort") === `-${column.name}` ? "" : column.name }),
  });
  input.addEventListener("input", () => change({ q: input.value }));
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" && event.key !== "Enter") return;
    if (event.key === "Escape" && input.value) change({ q: (input.value = "") });
    else body.element.focus();
    event.preventDefault();
  });

  function chips(rows, chosen) {
    const counts = new Map();
    for (const row of rows) counts.set(row.state, (counts.get(row.state) ?? 0) + 1);
    if (chosen && !counts.has(chosen)) counts.set(chosen, 0);
    const shown = [...counts].sort(([one], [other]) => one.localeCompare(other));
    const focused = document.activeElement?.closest?.(".states button")?.dataset.state;
    write(
      states,
      shown.map(([word, many]) => {
        const on = word === chosen;
        return el("button", { type: "button", "data-state": word, "aria-pressed": String(on), onclick: () => change({ state: on ? "" : word }) }, state(word), el("span", { class: "many" }, count(many)));
      }),
    );
    if (focused) [...states.children].find((one) => one.dataset.state === focused)?.focus();
  }

  return {
    title: what.title,
    element: el("section", { class: `lists ${which}` }, el("div", { class: "tools" }, el("label", { for: "filter" }, "Find"), input, states, number), body.element),
    update(known, now) {
      params = now;
      if (input.value !== (params.get("q") ?? "")) input.value = params.get("q") ?? "";
      const all = known[which];
      const sort = params.get("sort") ?? "";
      const column = what.columns.find((one) => one.name === sort.replace(/^-/, ""));
      // once for each answer and order, not for each letter that is typed
      if (ordered.of !== all || ordered.by !== sort) {
        const order = column ? (one, other) => compare(column.by(one), column.by(other)) : what.first;
        Object.assign(ordered, { of: all, by: sort, rows: [...all].sort(order) });
        if (sort.startsWith("-")) ordered.rows.reverse();
      }
      const words = (params.get("q") ?? "").toLowerCase().split(/\s+/).filter(Boolean);
      const found = words.length ? ordered.rows.filter((row) => has((row.words ??= what.words(row).join("\n").toLowerCase()), words)) : ordered.rows;
      chips(found, params.get("state") ?? "");
      const rows = params.get("state") ? found.filter((row) => row.state === params.get("state")) : found;
      const said = rows.length === all.length ? `${count(all.length)} ${which}` : `${count(rows.length)} of ${count(all.length)} ${which}`;
      if (number.textContent !== said) write(number, said); // it is heard each time
      body.show(rows, column?.name, sort.startsWith("-"), all.length ? "Nothing here is like that." : `The master knows no ${which}.`);
    },
    left: body.left,
    end: body.end,
  };
}

const has = (text, words) => words.every((word) => text.includes(word));
const compare = (one, other) => (typeof one === "number" ? one - other : byName(String(one), String(other)));
