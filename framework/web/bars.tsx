// How many lines there were, by time and level.

import { LEVELS } from "./search.js";
import { now, zone } from "./store.js";
import { timeOf } from "./times.js";
import type { LineGroup } from "./wire.js";

/** From worst to best; what says no level is `-`. */
const RANKS = [...[...LEVELS].reverse(), "-"];

const HEIGHT = 80;

export interface Interval {
  at: number;
  total: number;
  levels: [string, number][];
}

/** What was counted, interval by interval, also those without a line. Pure. */
export function intervalsOf(groups: readonly LineGroup[], since: number, until: number, everyS: number): Interval[] {
  const found = new Map<number, Interval>();
  for (let at = Math.floor(since / everyS) * everyS; at < until; at += everyS) found.set(at, { at, total: 0, levels: [] });
  for (const one of groups) {
    const its = found.get(Math.floor((one.time ?? 0) / everyS) * everyS);
    if (!its) continue;
    its.total += one.count;
    its.levels.push([one.values[0] ?? "-", one.count]);
  }
  const rank = (level: string): number => RANKS.indexOf(level);
  for (const one of found.values()) one.levels.sort(([a], [b]) => rank(a) - rank(b));
  return [...found.values()];
}

/** A bar for each interval; a press on one looks at that interval alone. */
export function Bars({ intervals, choose }: { intervals: readonly Interval[]; choose: (at: number) => void }) {
  const most = Math.max(1, ...intervals.map((one) => one.total));
  return (
    <>
      <div class="bars" style={{ height: `${HEIGHT}px` }} role="group" aria-label="lines by time; each looks at its interval alone">
        {intervals.map((one) => (
          <button type="button" key={one.at} title={saidOf(one)} aria-label={saidOf(one)} disabled={one.total === 0} onClick={() => choose(one.at)}>
            {one.levels.map(([level, count]) => (
              <span data-level={level} style={{ height: `${Math.max(1, Math.round((count / most) * HEIGHT))}px` }} />
            ))}
          </button>
        ))}
      </div>
      <details>
        <summary>The same as a table</summary>
        <table>
          <thead>
            <tr>
              <th scope="col">from</th>
              <th scope="col">lines</th>
              <th scope="col">of which</th>
            </tr>
          </thead>
          <tbody>
            {intervals.filter((one) => one.total > 0).map((one) => (
              <tr key={one.at}>
                <td>{timeOf(one.at, zone.value, now.value)}</td>
                <td>{one.total.toLocaleString("en")}</td>
                <td>{levelsOf(one)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </>
  );
}

const levelsOf = (one: Interval): string => one.levels.map(([level, count]) => `${count.toLocaleString("en")} ${level === "-" ? "without a level" : level}`).join(", ");
const saidOf = (one: Interval): string => `${timeOf(one.at, zone.value, now.value)}: ${one.total.toLocaleString("en")} lines${one.total ? ` (${levelsOf(one)})` : ""}`;
