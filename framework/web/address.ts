// The filter, as it stands in the address bar: whoever is sent the link sees the same. Pure.

import { STATES } from "./model.js";

export interface Address {
  /** Words of a selection, as on the command line. */
  readonly q: string;
  /** Only these states; none: all. */
  readonly states: readonly string[];
  readonly show: "trouble" | "changed";
  readonly rows: "hosts" | "jobs";
  /** JOB@HOST of what is looked at; empty: nothing. */
  readonly at: string;
  /** As it was then, in seconds since the epoch; 0: as it is. */
  readonly then: number;
}

export function addressOf(search: string): Address {
  const found = new URLSearchParams(search);
  return {
    q: (found.get("q") ?? "").slice(0, 2000),
    // whoever made the link may have written anything
    states: STATES.filter((state) => found.getAll("state").includes(state)),
    show: found.get("show") === "changed" ? "changed" : "trouble",
    rows: found.get("rows") === "jobs" ? "jobs" : "hosts",
    at: (found.get("cell") ?? "").slice(0, 600),
    then: momentOf(found.get("at") ?? ""),
  };
}

/** 2026-11-29T14:02:11Z as seconds since the epoch; 0: it is no moment that was. */
export function momentOf(text: string): number {
  const at = Date.parse(text.slice(0, 40)) / 1000;
  return Number.isFinite(at) && at > 0 && at < 1e11 ? at : 0;
}

export const stampOf = (at: number): string => new Date(at * 1000).toISOString().replace(".000Z", "Z");

/** What stands behind the path; empty where nothing is chosen. */
export function searchOf(address: Address): string {
  const made = new URLSearchParams();
  if (address.q.trim()) made.set("q", address.q.trim());
  for (const state of address.states) made.append("state", state);
  if (address.show !== "trouble") made.set("show", address.show);
  if (address.rows !== "hosts") made.set("rows", address.rows);
  if (address.at) made.set("cell", address.at);
  if (address.then) made.set("at", stampOf(address.then));
  const text = made.toString().replaceAll("%40", "@").replaceAll("%2A", "*").replaceAll("%2C", ",").replaceAll("%3A", ":");
  return text && `?${text}`;
}

/** Where the story of JOB@HOST is. */
export const storyAt = (name: string): string => `/i/${encodeURIComponent(name).replaceAll("%40", "@")}`;

/** A sentence's first letter. */
export const capital = (words: string): string => `${words[0]?.toUpperCase() ?? ""}${words.slice(1)}`;

/** A word as a shell takes it. */
export const quoted = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`);

/** A command with words of a selection, as a shell takes it; options are quoted already. */
export function commandOf(verb: string, words: readonly string[], options: readonly string[] = []): string {
  const [before, after] = [words.map(quoted), [...options]];
  // what begins with - is no option
  const parts = words.some((word) => word.startsWith("-")) ? [...after, "--", ...before] : [...before, ...after];
  return [`daqsched ${verb}`, ...parts].join(" ");
}
