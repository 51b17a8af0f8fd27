// What the page knows of the farm: the cells of a board, and what changed since. Pure.

import type { BoardAnswer, BoardDelta, FarmHead, StatusAnswer } from "./wire.js";

/** From worst to best, as `daqsched status` sorts. */
export const STATES = [
  "FAILED", "UNREACHABLE", "UNKNOWN", "UNHEALTHY", "BACKOFF", "WAITING",
  "STARTING", "STOPPING", "ASIDE", "STOPPED", "FINISHED", "RUNNING",
] as const;

const RANK = new Map<string, number>(STATES.map((state, at) => [state, at]));

/** What a state that this page does not know yet is sorted as: the worst. */
export const rank = (state: string): number => RANK.get(state) ?? -1;

const NOT_DESIRED = 1, OUTDATED = 2, HELD = 4, BLOCKED = 8;

/** Columns by the number of a cell; the state of one that is gone is empty. */
export interface Farm {
  readonly epoch: string;
  v: number;
  readonly letters: Record<string, string>;
  readonly jobs: string[];
  readonly hosts: string[];
  readonly job: number[];
  readonly host: number[];
  readonly state: string[];
  readonly since: number[];
  readonly restarts: number[];
  readonly why: string[];
  readonly release: string[];
  readonly marks: number[];
  head: Head;
  /** The daemon's clock minus ours, in seconds. */
  offset: number;
  /** Counts up when a cell comes or goes. */
  shape: number;
}

/** With what is left out where there is nothing to say. */
export type Head = Required<FarmHead>;

const headOf = (head: FarmHead): Head => ({
  applied: 0, as_desired: 0, audit: "", connected: false, control: [], digest: "", elasticsearch: "", leader: "",
  master: "", read_only: "", revision: 0, rollout: "", states: {}, total: 0, user: "", ...head,
});

export function farmOf(board: BoardAnswer, nowMs: number): Farm {
  const n = board.s.length;
  const word = (at: number | undefined): string => (at === undefined || at < 0 ? "" : (board.words[at] ?? ""));
  const restarts = new Array<number>(n).fill(0);
  for (const [cell, count] of board.restarts) restarts[cell] = count;
  const why = new Array<string>(n).fill("");
  for (const [cell, at] of board.why) why[cell] = word(at);
  return {
    epoch: board.epoch,
    v: board.v,
    letters: board.states,
    jobs: [...board.jobs],
    hosts: [...board.hosts],
    job: [...board.job],
    host: [...board.host],
    state: Array.from(board.s, (letter) => stateOf(board.states, letter)),
    since: [...board.t],
    restarts,
    why,
    release: board.release.map(word),
    marks: Array.from(board.marks, (mark) => Number.parseInt(mark, 16) || 0),
    head: headOf(board.farm),
    offset: board.now - nowMs / 1000,
    shape: 0,
  };
}

/** As it was at the answer's moment. */
export function farmThen(status: StatusAnswer): Farm {
  const rows = status.rows;
  const numbers = (names: readonly string[]): Map<string, number> => new Map([...new Set(names)].map((name, at) => [name, at]));
  const [jobs, hosts] = [numbers(rows.map((one) => one.job)), numbers(rows.map((one) => one.host))];
  const farm: Farm = {
    epoch: `then ${status.now}`,
    v: 0,
    letters: {},
    jobs: [...jobs.keys()],
    hosts: [...hosts.keys()],
    job: rows.map((one) => jobs.get(one.job) ?? -1),
    host: rows.map((one) => hosts.get(one.host) ?? -1),
    state: rows.map((one) => one.state),
    since: rows.map((one) => one.since ?? 0),
    restarts: rows.map((one) => one.restarts ?? 0),
    why: rows.map((one) => one.reason ?? ""),
    release: rows.map((one) => one.release ?? ""),
    marks: rows.map(() => 0), // what was desired then is not kept
    head: headOf({ connected: true, revision: status.revision, user: status.user, applied: status.applied, rollout: status.doubt ?? "" } as FarmHead),
    offset: 0,
    shape: 0,
  };
  const cells = rows.map((_, cell) => cell);
  farm.head = { ...farm.head, total: rows.length, as_desired: cells.filter((cell) => asDesired(farm, cell)).length, states: Object.fromEntries(counts(farm, cells)) };
  return farm;
}

const stateOf = (letters: Record<string, string>, letter: string): string => (letter === "-" ? "" : (letters[letter] ?? "UNKNOWN"));

/** Whether the farm lacks what was told up to EPOCH.V; of an empty place nobody knows. */
export function lacks(farm: Farm, at: string): boolean {
  const end = at.lastIndexOf(".");
  return end >= 0 && (at.slice(0, end) !== farm.epoch || Number(at.slice(end + 1)) > farm.v);
}

/** What a delta comes to: it was known, it was taken in (with the cells that changed), or something before it is missing. */
export type Taken = { kind: "known" } | { kind: "taken"; cells: number[] } | { kind: "gap" };

/** Changes the farm. A delta is whole or not at all. */
export function take(farm: Farm, delta: BoardDelta, nowMs: number): Taken {
  if (delta.v <= farm.v) return { kind: "known" };
  if (delta.v !== farm.v + 1) return { kind: "gap" };
  const before = farm.job.length;
  farm.jobs.push(...(delta.jobs ?? []));
  farm.hosts.push(...(delta.hosts ?? []));
  farm.job.push(...(delta.job ?? []));
  farm.host.push(...(delta.host ?? []));
  for (let cell = before; cell < farm.job.length; cell++) {
    farm.state[cell] = farm.why[cell] = farm.release[cell] = "";
    farm.since[cell] = farm.restarts[cell] = farm.marks[cell] = 0;
  }
  const word = (at: number): string => (at < 0 ? "" : (delta.words?.[at] ?? ""));
  const cells: number[] = [];
  for (const [cell, letter, since, restarts, why, release, marks] of delta.c ?? []) {
    if (cell >= farm.job.length) continue;
    const state = stateOf(farm.letters, letter);
    if (!state !== !farm.state[cell]) farm.shape++;
    farm.state[cell] = state;
    farm.since[cell] = since;
    farm.restarts[cell] = restarts;
    farm.why[cell] = word(why);
    farm.release[cell] = word(release);
    farm.marks[cell] = marks;
    cells.push(cell);
  }
  if (delta.farm) farm.head = headOf(delta.farm);
  farm.v = delta.v;
  // one that is told again is old: its clock is none
  farm.offset = Math.max(farm.offset, delta.now - nowMs / 1000);
  return { kind: "taken", cells };
}

/** JOB@HOST; of a job that has found no machine yet the job. */
export function nameOf(farm: Farm, cell: number): string {
  const [job, host] = [jobOf(farm, cell), hostOf(farm, cell)];
  return host ? `${job}@${host}` : job;
}

/** The cell of that name; -1: there is none. */
export function cellOf(farm: Farm, name: string): number {
  for (let cell = 0; cell < farm.state.length; cell++) if (farm.state[cell] && nameOf(farm, cell) === name) return cell;
  return -1;
}

export const jobOf = (farm: Farm, cell: number): string => farm.jobs[farm.job[cell] ?? -1] ?? "";
export const hostOf = (farm: Farm, cell: number): string => farm.hosts[farm.host[cell] ?? -1] ?? "";

/** Whether nothing remains to be done for it, as the daemon has it. */
export function asDesired(farm: Farm, cell: number): boolean {
  const [state, marks] = [farm.state[cell], farm.marks[cell] ?? 0];
  const desired = !(marks & NOT_DESIRED);
  if (state === "STOPPED" || state === "ASIDE") return !desired;
  return desired && !(marks & OUTDATED) && (state === "RUNNING" || state === "FINISHED");
}

/** What else is to be said of it, in words. */
export function marksOf(farm: Farm, cell: number): string[] {
  const marks = farm.marks[cell] ?? 0;
  const found: string[] = [];
  if (marks & OUTDATED) found.push("has not what was applied yet");
  if (marks & HELD) found.push("held: it is not started again");
  if (marks & BLOCKED) found.push("blocked: somebody has to do something");
  return found;
}

/** Those that are not as desired, the worst and then the latest first. */
export function trouble(farm: Farm, cells: readonly number[]): number[] {
  const found = cells.filter((cell) => !asDesired(farm, cell));
  return found.sort((a, b) => rank(farm.state[a] ?? "") - rank(farm.state[b] ?? "") || (farm.since[b] ?? 0) - (farm.since[a] ?? 0) || a - b);
}

/** Those whose state began after that moment, the latest first. */
export function changed(farm: Farm, cells: readonly number[], after: number): number[] {
  const found = cells.filter((cell) => (farm.since[cell] ?? 0) > after);
  return found.sort((a, b) => (farm.since[b] ?? 0) - (farm.since[a] ?? 0) || a - b);
}

/** How many are in each state, the worst first. */
export function counts(farm: Farm, cells: readonly number[]): [string, number][] {
  const found = new Map<string, number>();
  for (const cell of cells) {
    const state = farm.state[cell] ?? "";
    found.set(state, (found.get(state) ?? 0) + 1);
  }
  return [...found].sort(([a], [b]) => rank(a) - rank(b));
}

/** hlt2 before hlt10. */
export const byName = (a: string, b: string): number => COLLATOR.compare(a, b);
const COLLATOR = new Intl.Collator("en", { numeric: true });
