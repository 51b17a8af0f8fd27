// What ends of what is selected, as the daemon counts it (engine/confirming.py), and what it did then, in words. Pure.

import { commandOf } from "./address.js";
import { jobOf, type Farm } from "./model.js";
import type { Selected } from "./wire.js";

export type Verb = "stop" | "start" | "restart";

/** The states in which a program may run that is not told to end yet: one that fails again and again is between two runs. */
const RUNS = new Set(["RUNNING", "UNHEALTHY", "STARTING", "BACKOFF", "UNREACHABLE", "UNKNOWN"]);

/** The job of the lines, whose end nobody misses: it stores what it has, and its successor goes on. */
const FORWARDER = "daqsched-forward";

/** So many are named. */
export const NAMED = 10;

/** How many of these cells may end: not fewer than the daemon counts, as far as is known. */
export const endsOf = (known: Farm, cells: readonly number[]): number =>
  cells.filter((cell) => RUNS.has(known.state[cell] ?? "") && jobOf(known, cell) !== FORWARDER).length;

/** Before it is done: what becomes of them. */
export function endSentence(verb: Verb, ends: number): string {
  if (verb === "start") return "";
  if (ends === 0) return "None of them runs now.";
  const may = `${ends.toLocaleString("en")} of them may run now, and end.`;
  return verb === "restart"
    ? `${may} They start anew, one host after another; a failure holds up those that are left. The number is a limit for what ends first: the others follow without being asked for.`
    : may;
}

/** What the daemon did of it. */
export function saidOf(verb: Verb, words: readonly string[], found: Selected): string {
  const { waiting = [], rejected = [], dependents = [], others = 0 } = found;
  const parts = [`Done for ${(found.count - waiting.length).toLocaleString("en")}.`, ...reasons("Not yet for", waiting), ...reasons("Not for", rejected)];
  if (others) parts.push(`${others.toLocaleString("en")} were stopped by somebody else: ${commandOf("start", words, ["--all"])}`);
  if (dependents.length) {
    const more = dependents.length > NAMED ? ` and ${(dependents.length - NAMED).toLocaleString("en")} more` : "";
    parts.push(`${verb === "stop" ? "Depend on what is stopped, and would not start again meanwhile" : "What depends on it and runs"}: ${dependents.slice(0, NAMED).join(", ")}${more}.`);
  }
  return parts.join(" ");
}

/** Each reason once, with how many it holds for and one of these. */
function reasons(begin: string, them: readonly (readonly [string, string, string])[]): string[] {
  const found = new Map<string, string[]>();
  for (const [job, host, why] of them) found.set(why, [...(found.get(why) ?? []), host ? `${job}@${host}` : job]);
  return [...found].slice(0, NAMED).map(([why, names]) =>
    names.length === 1 ? `${begin} ${names[0]}: ${why}.` : `${begin} ${names.length.toLocaleString("en")}, such as ${names[0]}: ${why}.`);
}
