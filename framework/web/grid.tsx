// Hosts × jobs, of which only what is in sight is in the document. One cell can be reached with Tab, the others with the arrows.

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { asDesired, nameOf, type Farm } from "./model.js";
import { Sign } from "./signs.js";
import { address, farm, go, now, tick, view } from "./store.js";
import type { View } from "./view.js";

const ROW = 28, COLUMN = 132, NAMES = 148, HEAD = 30, MORE = 3;
const HOUR = 3600;

export function Grid() {
  tick.value;
  const [known, shown] = [farm.value, view.value];
  const box = useRef<HTMLDivElement>(null);
  const [window, setWindow] = useState({ top: 0, left: 0, width: 1200, height: 600 });
  const [active, setActive] = useState<[number, number]>([0, 0]);
  const moved = useRef(false);
  const look = (): void => {
    const on = box.current;
    if (on) setWindow({ top: on.scrollTop, left: on.scrollLeft, width: on.clientWidth, height: on.clientHeight });
  };
  useLayoutEffect(() => {
    look();
    const watch = new ResizeObserver(look);
    if (box.current) watch.observe(box.current);
    return () => watch.disconnect();
  }, []);
  const { rows, columns } = shown;
  const [row, column] = [Math.min(active[0], Math.max(0, rows.length - 1)), Math.min(active[1], Math.max(0, columns.length - 1))];
  useLayoutEffect(() => {
    if (!moved.current) return;
    moved.current = false;
    box.current?.querySelector<HTMLElement>("[tabindex='0']")?.focus({ preventScroll: true });
  });
  if (!known) return null;

  const there: Farm = known;
  function to(nextRow: number, nextColumn: number): void {
    const next: [number, number] = [clamp(nextRow, rows.length), clamp(nextColumn, columns.length)];
    const on = box.current;
    if (on) {
      const [top, left] = [next[0] * ROW, next[1] * COLUMN];
      if (top < on.scrollTop) on.scrollTop = top;
      else if (top + ROW > on.scrollTop + on.clientHeight - HEAD) on.scrollTop = top + ROW - on.clientHeight + HEAD;
      if (left < on.scrollLeft) on.scrollLeft = left;
      else if (left + COLUMN > on.scrollLeft + on.clientWidth - NAMES) on.scrollLeft = left + COLUMN - on.clientWidth + NAMES;
    }
    moved.current = true;
    setActive(next);
    look();
  }

  function press(event: KeyboardEvent): void {
    const page = Math.max(1, Math.floor((window.height - HEAD) / ROW) - 1);
    const far = event.ctrlKey;
    const moves: Record<string, [number, number]> = {
      ArrowUp: [row - 1, column], ArrowDown: [row + 1, column], ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1],
      PageUp: [row - page, column], PageDown: [row + page, column],
      Home: [far ? 0 : row, 0], End: [far ? rows.length - 1 : row, columns.length - 1],
    };
    const move = moves[event.key];
    if (move && !event.altKey && !event.metaKey) {
      event.preventDefault();
      to(...move);
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      open(there, shown, row, column);
    }
  }

  const inSight = (from: number, length: number, size: number, most: number, keep: number): number[] => {
    const [first, last] = [Math.max(0, Math.floor(from / size) - MORE), Math.min(most - 1, Math.ceil((from + length) / size) + MORE)];
    const found = Array.from({ length: Math.max(0, last - first + 1) }, (_, at) => first + at);
    // where the focus may be stays in the document
    return keep < first ? [keep, ...found] : keep > last && keep < most ? [...found, keep] : found;
  };
  const [rowsSeen, columnsSeen] = [inSight(window.top, window.height, ROW, rows.length, row), inSight(window.left, window.width, COLUMN, columns.length, column)];
  const width = NAMES + columns.length * COLUMN;
  const after = now.peek() - HOUR;
  return (
    <div
      class="grid"
      ref={box}
      role="grid"
      aria-label={`${address.value.rows === "hosts" ? "hosts by jobs" : "jobs by hosts"}; arrow keys move, Enter shows one`}
      aria-rowcount={rows.length + 1}
      aria-colcount={columns.length + 1}
      onScroll={look}
      onKeyDown={press}
    >
      <div role="rowgroup" class="all" style={{ width: `${width}px`, height: `${HEAD + rows.length * ROW}px` }}>
        <div role="row" class="heads" aria-rowindex={1} style={{ width: `${width}px` }}>
          <span role="columnheader" class="name" aria-colindex={1}>
            {address.value.rows === "hosts" ? "host" : "job"}
          </span>
          {columnsSeen.map((at) => (
            <span key={at} role="columnheader" aria-colindex={at + 2} style={{ left: `${NAMES + at * COLUMN}px` }} title={columns[at]}>
              {columns[at] || "(no machine yet)"}
            </span>
          ))}
        </div>
        {rowsSeen.map((at) => (
          <div key={rows[at]} role="row" aria-rowindex={at + 2} style={{ top: `${HEAD + at * ROW}px`, width: `${width}px` }}>
            <span role="rowheader" class="name" aria-colindex={1} title={rows[at]}>
              {rows[at] || "(no machine yet)"}
            </span>
            {columnsSeen.map((to) => (
              <Cell key={columns[to]} known={known} shown={shown} row={at} column={to} active={at === row && to === column} after={after} picked={(r, c) => setActive([r, c])} />
            ))}
          </div>
        ))}
      </div>
    </div>
  );
}

interface CellProps {
  known: Farm;
  shown: View;
  row: number;
  column: number;
  active: boolean;
  after: number;
  picked: (row: number, column: number) => void;
}

function Cell({ known, shown, row, column, active, after, picked }: CellProps) {
  const cell = shown.grid[row * shown.columns.length + column] ?? -1;
  const placed = { left: `${NAMES + column * COLUMN}px` };
  const tabIndex = active ? 0 : -1;
  if (cell < 0) return <span role="gridcell" class="none" aria-colindex={column + 2} tabIndex={tabIndex} style={placed} onFocus={() => picked(row, column)} />;
  const state = known.state[cell] ?? "";
  const recent = (known.since[cell] ?? 0) > after;
  const restarts = known.restarts[cell] ?? 0;
  const release = !asDesired(known, cell) && (known.marks[cell] ?? 0) & 2;
  return (
    <span
      role="gridcell"
      class="cell state"
      data-state={state}
      data-good={asDesired(known, cell)}
      aria-colindex={column + 2}
      tabIndex={tabIndex}
      style={placed}
      title={`${nameOf(known, cell)} ${state}${known.why[cell] ? `: ${known.why[cell]}` : ""}`}
      onClick={() => {
        picked(row, column);
        open(known, shown, row, column);
      }}
      onFocus={() => picked(row, column)}
    >
      <Sign state={state} />
      <span class="word">{state}</span>
      {restarts > 0 && <small title="restarts">↻{restarts.toLocaleString("en")}</small>}
      {release ? <small title="has not what was applied yet">old</small> : null}
      {recent && <i class="recent" title="changed within the last hour" />}
    </span>
  );
}

const clamp = (at: number, most: number): number => Math.max(0, Math.min(most - 1, at));

function open(known: Farm, shown: View, row: number, column: number): void {
  const cell = shown.grid[row * shown.columns.length + column] ?? -1;
  if (cell >= 0) go({ at: nameOf(known, cell) });
}
