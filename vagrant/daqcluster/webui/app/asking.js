// An agent asked for its files, in a sandboxed frame of its own (agent.js). Whatever comes out of it is data, looked at for its shape.

import { el } from "./dom.js";
import { quoted, raw } from "./text.js";

const LONGEST_MS = 10000;
/** What an agent gives at most at once (Mesos' files.cpp: 16 pages of memory). */
export const PIECE = 64 * 1024;
export const MOST_FILES = 2000;

/** Asks the agent at HOST:PORT; every answer is awaited for a bounded time. */
export function asking(address, host) {
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
