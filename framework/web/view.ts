// Which cells the filter means, and where each is in the grid. Pure.

import { asDesired, byName, hostOf, jobOf, STATES, type Farm } from "./model.js";
import type { Address } from "./address.js";
import { selection, SelectionError, wordsOf, type Chosen } from "./selection.js";

export interface View {
  /** Those that are meant. */
  readonly cells: readonly number[];
  /** The names of rows and columns, in order. */
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  /** The cell at row * columns + column; -1: there is none. */
  readonly grid: Int32Array;
  /** Where a cell is in it. */
  readonly places: ReadonlyMap<number, number>;
  /** Why the words can't be read; then all are meant. */
  readonly mistake: string;
}

export function viewOf(farm: Farm, address: Address): View {
  let mistake = "";
  let chosen: Chosen = () => true;
  try {
    chosen = selection(wordsOf(address.q));
  } catch (error) {
    if (!(error instanceof SelectionError)) throw error;
    mistake = error.message;
  }
  const states = new Set(address.states);
  const cells: number[] = [];
  for (let cell = 0; cell < farm.state.length; cell++) {
    const state = farm.state[cell];
    if (state && (states.size === 0 || states.has(state)) && chosen(jobOf(farm, cell), hostOf(farm, cell))) cells.push(cell);
  }
  const [rowOf, columnOf] = address.rows === "hosts" ? [farm.host, farm.job] : [farm.job, farm.host];
  const [rowNames, columnNames] = address.rows === "hosts" ? [farm.hosts, farm.jobs] : [farm.jobs, farm.hosts];
  const [rowAt, rows] = inOrder(cells, rowOf, rowNames);
  const [columnAt, columns] = inOrder(cells, columnOf, columnNames);
  const grid = new Int32Array(rows.length * columns.length).fill(-1);
  const places = new Map<number, number>();
  for (const cell of cells) {
    const place = (rowAt.get(rowOf[cell] ?? -1) ?? 0) * columns.length + (columnAt.get(columnOf[cell] ?? -1) ?? 0);
    grid[place] = cell;
    places.set(cell, place);
  }
  return { cells, rows, columns, grid, places, mistake };
}

function inOrder(cells: readonly number[], numbers: readonly number[], names: readonly string[]): [Map<number, number>, string[]] {
  const used = [...new Set(cells.map((cell) => numbers[cell] ?? -1))].sort((a, b) => byName(names[a] ?? "", names[b] ?? ""));
  return [new Map(used.map((number, at) => [number, at])), used.map((number) => names[number] ?? "")];
}

/** How things are, in a sentence. */
export function sentenceOf(farm: Farm): string {
  const { total, as_desired: good } = farm.head;
  if (total === 0) return "Nothing that you see is there.";
  const all = total.toLocaleString("en");
  if (good === total) return total === 1 ? "The one that is there is as desired." : `All ${all} are as desired.`;
  return `${good.toLocaleString("en")} of ${all} ${good === 1 ? "is" : "are"} as desired.`;
}

/** How things were: of what was desired then nothing is kept. */
export function sentenceThen(farm: Farm): string {
  const found = STATES.filter((state) => farm.head.states[state]).map((state) => `${farm.head.states[state]?.toLocaleString("en")} ${state}`);
  return found.length ? `${found.join(", ")}.` : "Nothing that you see was there.";
}

/** What an empty list says of these cells: it must not tell of all the farm where a filter, or a typing error, left some out. */
export function nothingOf(farm: Farm, cells: readonly number[], show: Address["show"]): string {
  const { total } = farm.head;
  if (total === 0) return "Nothing that you see is there.";
  if (cells.length === 0) return "Nothing of the farm is meant by this selection.";
  const some = cells.length < total;
  const of = cells.length === 1 ? "the one that is meant" : `the ${cells.length.toLocaleString("en")} that are meant`;
  if (show === "changed") return some ? `Nothing of ${of} changed in the last hour.` : "Nothing changed in the last hour.";
  return some ? `Nothing: ${of} ${cells.length === 1 ? "is" : "are"} as desired.` : "Nothing: all of it is as desired.";
}

/** What is wrong with the farm as a whole, and what is under way: each a sentence, with whether it is bad. */
export function noticesOf(farm: Farm): { text: string; bad: boolean }[] {
  const { head } = farm;
  const found: { text: string; bad: boolean }[] = [];
  if (!head.connected) found.push({ text: `no Mesos master${head.master ? `; the last one was ${head.master}` : ""}`, bad: true });
  if (head.read_only) found.push({ text: head.read_only, bad: true });
  if (head.audit) found.push({ text: head.audit, bad: true });
  if (head.elasticsearch) found.push({ text: head.elasticsearch, bad: true });
  if (head.rollout) found.push({ text: head.rollout, bad: false });
  return found;
}

/** Those of the view that are not as desired, counted. */
export const lacking = (farm: Farm, cells: readonly number[]): number => cells.reduce((sum, cell) => sum + (asDesired(farm, cell) ? 0 : 1), 0);
