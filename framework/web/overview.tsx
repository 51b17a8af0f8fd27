// All cells at a glance. The picture is for eyes alone: the counts above it and the lists beside it say the same in words.

import { useEffect, useRef } from "preact/hooks";
import { asDesired, nameOf, STATES, type Farm } from "./model.js";
import { farm, go, tick, view } from "./store.js";
import type { View } from "./view.js";

const MOST_HEIGHT = 170, LARGEST = 14, GAP = 4;

interface Layout {
  size: number;
  /** So many rows of the grid stand beside each other. */
  beside: number;
  bands: number;
}

/** What is in the picture. */
interface Drawn {
  view: View;
  farm: Farm;
  width: number;
  height: number;
  dark: boolean;
  states: Map<number, string>;
}

/** Each row of the grid is a column of the picture, and where they do not fit beside each other there are further bands. */
function layoutOf(width: number, rows: number, columns: number): Layout {
  for (let size = LARGEST; ; size--) {
    const beside = Math.max(1, Math.floor(width / size));
    const bands = Math.ceil(rows / beside);
    if (size === 2 || bands * (columns * size + GAP) <= MOST_HEIGHT) return { size, beside, bands };
  }
}

export function Overview() {
  const canvas = useRef<HTMLCanvasElement>(null);
  const layout = useRef<Layout | null>(null);
  const drawn = useRef<Drawn | null>(null);
  tick.value;
  const { rows, columns, cells } = view.value;
  useEffect(draw);
  useEffect(() => {
    const watch = new ResizeObserver(draw);
    if (canvas.current?.parentElement) watch.observe(canvas.current.parentElement);
    const colours = matchMedia("(prefers-color-scheme: dark)");
    colours.addEventListener("change", draw);
    return () => {
      watch.disconnect();
      colours.removeEventListener("change", draw);
    };
  }, []);

  function draw(): void {
    const [known, on, shown] = [farm.peek(), canvas.current, view.peek()];
    const width = on?.parentElement?.clientWidth ?? 0;
    if (!known || !on || width === 0) return;
    const made = (layout.current = layoutOf(width, shown.rows.length, shown.columns.length));
    const height = made.bands * (shown.columns.length * made.size + GAP);
    const scale = devicePixelRatio || 1;
    if (on.width !== Math.round(width * scale) || on.height !== Math.round(height * scale)) {
      on.width = Math.round(width * scale);
      on.height = Math.round(height * scale);
      on.style.width = `${width}px`;
      on.style.height = `${height}px`;
    }
    const pen = on.getContext("2d");
    if (!pen) return;
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const before = drawn.current;
    // of what is there already only what changed is drawn
    const same = before?.view === shown && before.farm === known && before.width === on.width && before.height === on.height && before.dark === dark;
    const states = same ? before.states : new Map<number, string>();
    drawn.current = { view: shown, farm: known, width: on.width, height: on.height, dark, states };
    if (!same) pen.clearRect(0, 0, width, height);
    const colours = coloursOf();
    const gap = made.size > 4 ? 1 : 0;
    const n = shown.columns.length;
    for (const [cell, place] of shown.places) {
      const good = asDesired(known, cell);
      const state = `${known.state[cell]} ${good}`;
      if (states.get(cell) === state) continue;
      states.set(cell, state);
      const [row, column] = [Math.floor(place / n), place % n];
      const x = (row % made.beside) * made.size;
      const y = Math.floor(row / made.beside) * (n * made.size + GAP) + column * made.size;
      pen.fillStyle = colours.get(known.state[cell] ?? "") ?? colours.get("UNKNOWN") ?? "";
      // what is not as desired fills its place: shape tells it, too
      const inset = good && made.size > 5 ? 2 : 0;
      if (same) pen.clearRect(x, y, made.size, made.size);
      pen.fillRect(x + inset, y + inset, made.size - gap - 2 * inset, made.size - gap - 2 * inset);
    }
  }

  function cellAt(event: MouseEvent): number {
    const made = layout.current;
    if (!made || !canvas.current) return -1;
    const n = columns.length;
    const box = canvas.current.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const band = Math.floor(y / (n * made.size + GAP));
    const column = Math.floor((y - band * (n * made.size + GAP)) / made.size);
    const row = band * made.beside + Math.floor(x / made.size);
    return column < n && row < rows.length ? (view.peek().grid[row * n + column] ?? -1) : -1;
  }

  return (
    <div class="overview">
      <canvas
        ref={canvas}
        aria-hidden="true"
        onMouseMove={(event) => {
          const [cell, known] = [cellAt(event), farm.peek()];
          event.currentTarget.title = cell >= 0 && known ? `${nameOf(known, cell)} ${known.state[cell]}` : "";
        }}
        onClick={(event) => {
          const [cell, known] = [cellAt(event), farm.peek()];
          if (cell >= 0 && known) go({ at: nameOf(known, cell) });
        }}
      />
      <p class="faint">
        {cells.length.toLocaleString("en")} cells, {rows.length.toLocaleString("en")} × {columns.length.toLocaleString("en")}, each in the colour of its state; a click shows one.
      </p>
    </div>
  );
}

/** The colours of the states as they are now. */
function coloursOf(): Map<string, string> {
  const sheet = getComputedStyle(document.documentElement);
  return new Map(STATES.map((state) => [state, sheet.getPropertyValue(`--at-a-glance-${state}`).trim()]));
}
