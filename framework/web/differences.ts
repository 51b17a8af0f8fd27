// What two revisions differ in, job by job and field by field. Pure.

import { byName } from "./model.js";
import type { RevisionAnswer } from "./wire.js";

export interface Difference {
  /** + it came, - it went, ~ it is other. */
  readonly sign: "+" | "-" | "~";
  readonly name: string;
  /** Of one that is other: `version r1 -> r2; cpus 1 -> 2`. */
  readonly words: string;
}

type Spec = RevisionAnswer["spec"];

const LONGEST = 300;

export function differences(before: Spec | null, after: Spec): Difference[] {
  const [old, now] = [byJob(before), byJob(after)];
  const names = [...new Set([...old.keys(), ...now.keys()])].sort(byName);
  const found: Difference[] = [];
  for (const name of names) {
    const [was, is] = [old.get(name), now.get(name)];
    if (!was || !is) found.push({ sign: is ? "+" : "-", name, words: "" });
    else if (JSON.stringify(was) !== JSON.stringify(is)) found.push({ sign: "~", name, words: fieldsOf(was, is) });
  }
  return found;
}

type Fields = Record<string, unknown>;

/** Each job; one that is another on some hosts has these in its name. */
function byJob(spec: Spec | null): Map<string, Fields> {
  const found = new Map<string, Fields>();
  for (const one of spec?.jobs ?? []) found.set(one.name, one as unknown as Fields);
  for (const one of spec?.variants ?? []) found.set(`${one.name}@${(one.hosts ?? []).join(",")}`, one as unknown as Fields);
  return found;
}

function fieldsOf(was: Fields, is: Fields): string {
  const fields = [...new Set([...Object.keys(was), ...Object.keys(is)])].filter((field) => JSON.stringify(was[field]) !== JSON.stringify(is[field]));
  return fields.map((field) => `${field === "release" ? "version" : field} ${short(was[field])} -> ${short(is[field])}`).join("; ");
}

function short(value: unknown): string {
  const text = value === undefined ? "not said" : typeof value === "string" ? value || '""' : JSON.stringify(value);
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}...` : text;
}
