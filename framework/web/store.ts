// What the page shows, and how it comes to know it.

import { computed, effect, signal } from "@preact/signals";
import { ask, loginPlace } from "../daqsched/pages/place.js";
import { addressOf, searchOf, type Address } from "./address.js";
import { follow, type Heard } from "./live.js";
import { farmOf, farmThen, lacks, take, type Farm } from "./model.js";
import type { Zone } from "./times.js";
import { viewOf, type View } from "./view.js";
import type { BoardAnswer, RightsAnswer, StatusAnswer } from "./wire.js";

/** After so long without a word what is shown is old. */
export const STALE_MS = 25_000;

export const address = signal<Address>(read());
/** As it is, and as it was where somebody looks at another moment. */
const live = signal<Farm | null>(null);
const past = signal<Farm | null>(null);
/** What is shown. */
export const farm = computed(() => (address.value.then ? past.value : live.value));
/** Counts up with each change of the farm, which is changed in place. */
export const tick = signal(0);
export const who = signal<RightsAnswer | null>(null);
/** What the daemon says why not; empty: nothing is wrong. */
export const said = signal("");
/** When something was heard last, by our clock, and what that clock says now. */
export const heard = signal(0);
export const nowMs = signal(Date.now());
export const zone = signal<Zone>(kept("zone") === "local" ? "local" : "UTC");

/** The daemon's time, in seconds; the moment that is looked at. */
export const now = computed(() => address.value.then || today.value);
export const today = computed(() => nowMs.value / 1000 + (live.value?.offset ?? 0));
export const ageS = computed(() => Math.max(0, (nowMs.value - heard.value) / 1000));
/** Nobody knows the age either where our clock was set back. */
export const setBack = computed(() => nowMs.value < heard.value - 1000);
export const stale = computed(() => !address.value.then && live.value !== null && (setBack.value || nowMs.value - heard.value > STALE_MS));

/** What must be thought over anew: a change of states only where the filter asks for states. */
const shape = computed(() => {
  tick.value;
  const [known, { q, states, rows }] = [farm.value, address.value];
  return known && `${known.epoch} ${known.shape} ${states.length ? known.v : ""} ${JSON.stringify([q, states, rows])}`;
});
const NOTHING: View = { cells: [], rows: [], columns: [], grid: new Int32Array(0), places: new Map(), mistake: "" };
export const view = computed<View>(() => {
  shape.value;
  const known = farm.peek();
  return known ? viewOf(known, address.peek()) : NOTHING;
});

/** Another filter, in the address bar too; `anew`: a place that the Back button leads to. */
export function go(change: Partial<Address>, anew = false): void {
  address.value = { ...address.value, ...change };
  const place = location.pathname + searchOf(address.value);
  if (anew) history.pushState(null, "", place);
  else history.replaceState(null, "", place);
}

export function choose(to: Zone): void {
  zone.value = to;
  try {
    localStorage.setItem("daqsched-zone", to);
  } catch {
    // a browser that keeps nothing shows UTC next time
  }
}

/** Another moment is looked at on the page of the farm alone. */
function read(): Address {
  const found = addressOf(location.search);
  return location.pathname === "/" ? found : { ...found, then: 0 };
}

function kept(name: string): string | null {
  try {
    return localStorage.getItem(`daqsched-${name}`);
  } catch {
    return null;
  }
}

/** An answer's body; null where there is none, and `said` says why not. Who is not known is led to the log-in page. */
export async function got<Answer>(path: string, body?: unknown): Promise<Answer | null> {
  const { status, found } = await ask(path, body);
  refused(status, found);
  return status === 200 ? (found as Answer) : null;
}

/** Why the daemon does not do it, out of its answer. */
export const whyNot = (found: { error?: unknown }): string => String(found.error ?? "the daemon does not say why not").slice(0, 2000);

function refused(status: number, found: { error?: unknown }): void {
  if (status === 200) return;
  if (status === 401) location.replace(loginPlace());
  said.value = whyNot(found);
}

let fetching = false;

/** The whole board anew, tried until there is one. */
async function load(): Promise<void> {
  if (fetching) return;
  fetching = true;
  try {
    for (let wait = 500; ; wait = Math.min(10_000, wait * 2)) {
      // another log-in in this browser may be behind it
      void got<RightsAnswer>("/v1/rights").then((found) => (who.value = found ?? who.value));
      const status = await loaded();
      if (status === 200) return;
      if (status === 403) wait = 60_000; // it is noted each time
      await new Promise((done) => setTimeout(done, wait * (0.5 + Math.random())));
    }
  } finally {
    fetching = false;
  }
}

/** Asks once: the status, and 0 where the answer is none. */
async function loaded(): Promise<number> {
  const { status, found } = await ask("/v1/board");
  refused(status, found);
  if (status !== 200) return status;
  try {
    live.value = farmOf(found as BoardAnswer, Date.now());
  } catch {
    said.value = "What the daemon answers is not understood: load this page anew.";
    return 0;
  }
  tick.value++;
  took();
  return status;
}

let looking = 0;

/** The farm as it was then. */
async function lookAt(then: number): Promise<void> {
  looking = then;
  past.value = null;
  if (!then) return;
  const found = await got<StatusAnswer>(`/v1/status?at=${then}`);
  if (found && looking === then) past.value = farmThen(found);
}

function took(): void {
  heard.value = nowMs.value = Date.now();
  said.value = "";
}

function hear(what: Heard): void {
  const known = live.value;
  if (what.kind === "refused") {
    if (what.status === 401) location.replace(loginPlace());
    else said.value = what.error;
    return;
  }
  if (what.kind === "reset") {
    void load();
    return;
  }
  if (!known || fetching) return;
  if (what.kind === "beat") {
    // what came while the board was asked for, or before this tab listened, is not here
    if (lacks(known, what.at)) void load();
    else took();
    return;
  }
  const taken = what.epoch === known.epoch ? take(known, what.delta, Date.now()) : { kind: "gap" as const };
  if (taken.kind === "gap") void load();
  else {
    took();
    if (taken.kind === "taken") tick.value++;
  }
}

export async function begin(): Promise<void> {
  addEventListener("popstate", () => (address.value = read()));
  setInterval(() => (nowMs.value = Date.now()), 1000);
  // first: what other tabs tell meanwhile is not lost
  follow(() => (live.value && !fetching ? `${live.value.epoch}.${live.value.v}` : null), hear);
  effect(() => void lookAt(address.value.then));
  await load();
}

export async function leave(): Promise<void> {
  const { status, found } = await ask("/v1/logout", {});
  if (status === 200 || status === 401) location.replace("/login");
  else said.value = whyNot(found);
}
