// Sandboxes: folders and files as their agents give them (asking.js), as text and nothing else.

import { asking, MOST_FILES, PIECE } from "./asking.js";
import { el, swap, write } from "./dom.js";
import { taskAt } from "./lists.js";
import { asBytes, begun, bytes, count, decoded, lines, moment, quoted, raw, unfinished } from "./text.js";

/** How much of a file that is followed stays in the page. */
const KEPT = 4 * PIECE;
const FOLLOW_MS = [1000, 10000];

export const folderAt = (agent, path) => `#/folder/${encodeURIComponent(agent)}?path=${quoted(path)}`;
export const fileAt = (agent, path) => `#/file/${encodeURIComponent(agent)}?path=${quoted(path)}`;

const nameOf = (path) => decoded(raw(path.slice(path.lastIndexOf("/") + 1)));

const SANDBOX = /^\/frameworks\/([^/]+)\/executors\/([^/]+)\/runs\/[^/]+/;

/** Whether an agent may be asked for what is in it. */
const isFile = (one) => one.mode.startsWith("-");

/** The path's own parts, each leading to its folder; what it is the sandbox of; and where it is. */
function crumbs(agent, path, task, host) {
  const top = SANDBOX.exec(path)?.[0] ?? "";
  const parts = path.slice(top.length).split("/").filter(Boolean);
  let at = top;
  const links = parts.map((part, place) => {
    at += `/${part}`;
    return [" / ", place === parts.length - 1 ? el("b", {}, nameOf(part)) : el("a", { href: folderAt(agent, at) }, nameOf(part))];
  });
  const of = task ? [" of ", el("a", { href: taskAt(task) }, task.name || task.id)] : "";
  return el("p", { class: "path" }, el("a", { href: folderAt(agent, top || "/") }, top ? "sandbox" : "/"), links, el("span", { class: "faint" }, of, ` on ${host}`));
}

/** The page of a folder or a file on an agent, by the agent's id; `path` has one character for each byte. */
export function filesPage(kind, id, path) {
  const says = el("p", { class: "trouble", role: "alert", hidden: "" });
  const title = SANDBOX.exec(path)?.[0] === path ? "Sandbox" : nameOf(path) || "/";
  const head = el("h2", {}, title);
  const body = el("div", { class: "files" }, el("p", { class: "faint" }, "asking the agent …"));
  const where = el("div", {});
  const page = { title, element: el("section", { class: `details ${kind}` }, head, where, says, body), update, end };
  let agent;
  let over = false;

  function tell(error) {
    says.hidden = !error;
    write(says, error ? error.message : "");
  }

  let doing;

  /** One after the other; what went wrong is said, until something goes well. */
  function once(move) {
    const mine = Promise.resolve(doing).then(move).then(() => tell(), tell).finally(() => doing === mine && (doing = undefined));
    return (doing = mine);
  }

  function update(known) {
    if (agent && kind === "folder" && !doing) once(folder); // with each look at the master
    if (agent !== undefined || !known.agents.length) return;
    const found = known.agents.find((one) => one.id === id);
    if (!found?.address) {
      agent = null;
      write(body);
      return tell(new Error("The master does not know this agent (any more): its sandboxes can't be looked at from here."));
    }
    agent = asking(found.address, found.host);
    const [, framework, executor] = SANDBOX.exec(path) ?? [];
    const task = known.tasks.find((one) => asBytes(one.framework) === framework && asBytes(one.executor) === executor);
    write(where, crumbs(id, path, task, found.host));
    once(kind === "folder" ? folder : file);
  }

  function end() {
    over = true;
    agent?.end();
  }

  async function folder() {
    const found = (await agent.browse(path)).sort((one, other) => one.path.localeCompare(other.path));
    const rows = found.slice(0, MOST_FILES).map((one) => {
      const isFolder = one.mode.startsWith("d");
      const name = nameOf(one.path) + (isFolder ? "/" : "");
      const to = isFolder || isFile(one) ? el("a", { href: (isFolder ? folderAt : fileAt)(id, one.path) }, name) : name;
      return el("tr", {}, el("td", {}, to), el("td", { class: "right" }, isFolder ? "" : bytes(one.size)), el("td", {}, moment(one.time)), el("td", {}, one.mode), el("td", {}, one.user));
    });
    const heads = ["Name", "Size", "Written", "Mode", "Owner"].map((one) => el("th", { scope: "col" }, one));
    const table = el("div", { class: "wide" }, el("table", {}, el("thead", {}, el("tr", {}, heads)), el("tbody", {}, rows)));
    const made = el("div", {}, rows.length ? table : el("p", { class: "faint" }, "There is nothing in it."), found.length > MOST_FILES ? el("p", { class: "faint" }, `and more than these ${count(MOST_FILES)}`) : "");
    swap(body, made);
  }

  async function file() {
    const there = (await agent.browse(path.slice(0, path.lastIndexOf("/")))).find((one) => quoted(one.path) === quoted(path));
    if (there && !isFile(there)) throw new Error(`${title} is no regular file (${there.mode}), so the agent is not asked for it: it would wait for whoever writes to a pipe, and answer nobody.`);
    const text = el("pre", { tabindex: 0, role: "region", "aria-label": "The file's text" });
    const place = el("p", { class: "number", role: "status" });
    const follow = el("input", { type: "checkbox", id: "follow" });
    let first = 0; // the bytes of the file that are shown
    let last = 0;
    let size = 0;
    const sizes = []; // of the texts that are in the page, in bytes

    const say = () => write(place, size ? `bytes ${count(first)} to ${count(last)} of ${count(size)}` : "The file is empty.");

    async function show(from, until = from + PIECE) {
      size = await agent.size(path);
      const start = Math.max(0, Math.min(from, size));
      const found = await agent.read(path, start, Math.min(PIECE, until - start));
      const before = start > 0 ? begun(found) : 0;
      const whole = found.length > before ? found.subarray(before, found.length - (start + found.length < size ? unfinished(found) : 0)) : found;
      [first, last] = [start + before, start + before + whole.length];
      text.replaceChildren(lines(decoded(whole)));
      sizes.splice(0, sizes.length, whole.length);
      say();
    }

    /** What has come since, appended; the oldest goes. */
    async function more() {
      const now = await agent.size(path);
      if (now < last) return show(Math.max(0, now - PIECE)).then(() => true); // cut by a rotation
      if (now === last) return false;
      size = now;
      if (now - last > KEPT) return show(now - PIECE).then(() => true);
      const found = await agent.read(path, last);
      const whole = found.subarray(0, found.length - unfinished(found));
      last += whole.length;
      text.append(lines(decoded(whole)));
      sizes.push(whole.length);
      while (last - first > KEPT && sizes.length > 1) {
        first += sizes.shift();
        text.firstChild.remove();
      }
      say();
      return whole.length > 0;
    }

    const atEnd = () => text.scrollTo(0, text.scrollHeight);
    const toEnd = async () => (await show(Math.max(0, (await agent.size(path)) - PIECE)), atEnd());
    const later = async () => {
      if (last < (await agent.size(path))) await show(last).then(() => text.scrollTo(0, 0));
    };
    const moves = [
      ["Start", async () => (await show(0), text.scrollTo(0, 0))],
      ["Earlier", async () => (await show(Math.max(0, first - PIECE), first), atEnd())],
      ["Later", later],
      ["End", toEnd],
    ];
    const buttons = moves.map(([name, move]) => el("button", { type: "button", onclick: () => ((follow.checked = false), once(move)) }, name));
    const shown = el("div", { class: "tools" }, buttons, el("span", {}, follow, el("label", { for: "follow" }, "follow")), place);

    write(body, shown, text);

    let pause = FOLLOW_MS[0];
    const tick = async () => {
      if (over) return;
      if (follow.checked && !document.hidden && !doing) {
        let news = false;
        await once(async () => (news = await more()));
        if (news) atEnd();
        pause = news ? FOLLOW_MS[0] : Math.min(pause * 1.5, FOLLOW_MS[1]);
      }
      setTimeout(tick, pause);
    };
    follow.addEventListener("change", () => ((pause = FOLLOW_MS[0]), follow.checked && once(toEnd)));
    setTimeout(tick, pause);
    await toEnd();
  }

  return page;
}
