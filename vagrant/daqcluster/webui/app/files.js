// Sandboxes: folders and files as their agents give them, as text and nothing else.
//
// An agent is asked in a sandboxed frame (agent.js). Whatever comes out of it is data: looked at for its shape, shown as text.

import { el, swap, write } from "./dom.js";
import { taskAt } from "./lists.js";
import { asBytes, begun, bytes, count, decoded, lines, moment, quoted, raw, unfinished } from "./text.js";

const LONGEST_MS = 10000;
/** What an agent gives at most at once (Mesos' files.cpp: 16 pages of memory). */
const PIECE = 64 * 1024;
/** How much of a file that is followed stays in the page. */
const KEPT = 4 * PIECE;
const MOST_FILES = 2000;
const FOLLOW_MS = [1000, 10000];

export const folderAt = (agent, path) => `#/folder/${encodeURIComponent(agent)}?path=${quoted(path)}`;
export const fileAt = (agent, path) => `#/file/${encodeURIComponent(agent)}?path=${quoted(path)}`;

/** Asks the agent at HOST:PORT; every answer is awaited for a bounded time. */
function asking(address, host) {
  const frame = el("iframe", { sandbox: "allow-scripts", title: `asks the agent of ${host}`, hidden: "" });
  const waiting = new Map();
  let last = 0;
  const ready = new Promise((resolve) => waiting.set(0, resolve));
  const hear = ({ source, data }) => {
    if (source !== frame.contentWindow || typeof data !== "object" || data === null) return;
    waiting.get(data.ready === true ? 0 : data.number)?.(data);
  };
  addEventListener("message", hear);
  frame.src = `app/agent.html#${encodeURIComponent(address)}`;
  document.body.append(frame);

  async function ask(what, query) {
    await ready;
    const number = ++last;
    let timer;
    const answer = await new Promise((resolve) => {
      waiting.set(number, resolve);
      timer = setTimeout(resolve, LONGEST_MS, { late: true });
      frame.contentWindow?.postMessage({ number, what, query }, "*");
    });
    clearTimeout(timer);
    waiting.delete(number);
    if (answer.late) throw new Error(`The agent of ${host} (${address}) has not answered within ${LONGEST_MS / 1000} s.`);
    if (answer.failed) throw new Error(`The agent of ${host} (${address}) gives no such file: it is gone, the agent is down, this browser can't reach it, or it wants credentials.`);
    return answer.found;
  }

  return {
    async browse(path) {
      const found = await ask("browse", `path=${quoted(path)}`);
      if (!Array.isArray(found)) throw new Error(`The agent of ${host} answers what is no list of files.`);
      return found.slice(0, MOST_FILES + 1).filter((one) => typeof one?.path === "string").map((one) => ({
        path: one.path.slice(0, 5000), mode: String(one.mode).slice(0, 20), size: Number(one.size) || 0, time: Number(one.mtime) || 0, user: String(one.uid).slice(0, 64),
      })); // prettier-ignore
    },
    async size(path) {
      return Number((await ask("read", `path=${quoted(path)}&offset=-1`))?.offset) || 0;
    },
    async read(path, offset, length = PIECE) {
      const found = await ask("read", `path=${quoted(path)}&offset=${offset}&length=${length}`);
      if (typeof found?.data !== "string") throw new Error(`The agent of ${host} answers what is no part of a file.`);
      return raw(found.data.slice(0, length));
    },
    end() {
      removeEventListener("message", hear);
      frame.remove();
    },
  };
}

const nameOf = (path) => decoded(raw(path.slice(path.lastIndexOf("/") + 1)));

const SANDBOX = /^\/frameworks\/([^/]+)\/executors\/([^/]+)\/runs\/[^/]+/;

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

  let busy = false;

  /** Look again, with each look at the master. */
  async function again() {
    if (busy) return;
    busy = true;
    try {
      await folder();
      tell();
    } catch (error) {
      tell(error);
    } finally {
      busy = false;
    }
  }

  function update(known) {
    if (agent && kind === "folder") again();
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
    if (kind === "folder") again();
    else file().catch(tell);
  }

  function end() {
    over = true;
    agent?.end();
  }

  async function folder() {
    const found = (await agent.browse(path)).sort((one, other) => one.path.localeCompare(other.path));
    const rows = found.slice(0, MOST_FILES).map((one) => {
      const isFolder = one.mode.startsWith("d");
      const to = (isFolder ? folderAt : fileAt)(id, one.path);
      return el("tr", {}, el("td", {}, el("a", { href: to }, nameOf(one.path) + (isFolder ? "/" : ""))), el("td", { class: "right" }, isFolder ? "" : bytes(one.size)), el("td", {}, moment(one.time)), el("td", {}, one.mode), el("td", {}, one.user));
    });
    const heads = ["Name", "Size", "Written", "Mode", "Owner"].map((one) => el("th", { scope: "col" }, one));
    const table = el("div", { class: "wide" }, el("table", {}, el("thead", {}, el("tr", {}, heads)), el("tbody", {}, rows)));
    const made = el("div", {}, rows.length ? table : el("p", { class: "faint" }, "There is nothing in it."), found.length > MOST_FILES ? el("p", { class: "faint" }, `and more than these ${count(MOST_FILES)}`) : "");
    swap(body, made);
  }

  async function file() {
    const text = el("pre", { tabindex: 0, role: "region", "aria-label": "The file's text" });
    const place = el("p", { class: "number", role: "status" });
    const follow = el("input", { type: "checkbox", id: "follow" });
    let first = 0; // the bytes of the file that are shown
    let last = 0;
    let size = 0;
    let busy = false;
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
    const once = (move) => async () => {
      if (busy) return;
      busy = true;
      try {
        await move();
        tell();
      } catch (error) {
        tell(error);
      } finally {
        busy = false;
      }
    };
    const leave = (move) => once(async () => ((follow.checked = false), await move()));
    const moves = [
      ["Start", async () => (await show(0), text.scrollTo(0, 0))],
      ["Earlier", async () => (await show(Math.max(0, first - PIECE), first), atEnd())],
      ["Later", async () => (await show(Math.min(last, Math.max(0, size - 1))), text.scrollTo(0, 0))],
      ["End", async () => (await show(Math.max(0, (await agent.size(path)) - PIECE)), atEnd())],
    ];
    const buttons = moves.map(([name, move]) => el("button", { type: "button", onclick: leave(move) }, name));
    write(body, el("div", { class: "tools" }, buttons, el("span", {}, follow, el("label", { for: "follow" }, "follow")), place), text);

    let pause = FOLLOW_MS[0];
    const tick = async () => {
      if (over) return;
      if (follow.checked && !document.hidden) {
        let news = false;
        await once(async () => (news = await more()))();
        if (news) atEnd();
        pause = news ? FOLLOW_MS[0] : Math.min(pause * 1.5, FOLLOW_MS[1]);
      }
      setTimeout(tick, pause);
    };
    follow.addEventListener("change", () => ((pause = FOLLOW_MS[0]), follow.checked && once(async () => (await moves[3][1]()))()));
    await show(Math.max(0, (await agent.size(path)) - PIECE));
    atEnd();
    tick();
  }

  return page;
}
