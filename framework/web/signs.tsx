// The sign of each state: a shape, so that nobody needs the colour. In the colour of the words beside it.

const DOT = <circle cx="8" cy="8" r="4.5" fill="currentColor" />;

/** A line along a path, as thick as letters are. */
const line = (d: string) => <path d={d} fill="none" stroke="currentColor" stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round" />;
const area = (d: string) => <path d={d} fill="currentColor" />;

const SHAPES: Record<string, preact.JSX.Element> = {
  RUNNING: DOT,
  FINISHED: line("M3 8.5l3.5 3.5L13 4.5"),
  STARTING: area("M5 3l8 5-8 5z"),
  STOPPING: area("M3 5h10l-5 8z"),
  WAITING: (
    <g fill="currentColor">
      <circle cx="3" cy="8" r="1.7" />
      <circle cx="8" cy="8" r="1.7" />
      <circle cx="13" cy="8" r="1.7" />
    </g>
  ),
  BACKOFF: line("M12.5 5.5A5.2 5.2 0 1 0 13.2 9M13 2.5v3.4H9.6"),
  UNHEALTHY: line("M8 2.5v7M8 13.3v.1"),
  FAILED: line("M3.5 3.5l9 9M12.5 3.5l-9 9"),
  UNREACHABLE: line("M1.5 8h4M10.5 8h4M9.5 3l-3 10"),
  UNKNOWN: line("M5 5.5a3 3 0 1 1 4.2 2.7C8.3 8.700 8 9.300 8 10.300M8 13.400v.1"),
  STOPPED: area("M4 4h8v8H4z"),
  ASIDE: area("M4 3h3v10H4zM9 3h3v10H9z"),
};

export function Sign({ state }: { state: string }) {
  return (
    <svg class="sign" viewBox="0 0 16 16" width="14" height="14" aria-hidden="true" focusable="false">
      {SHAPES[state] ?? SHAPES["UNKNOWN"]}
    </svg>
  );
}

/** A state, by sign, word and colour. */
export function State({ state }: { state: string }) {
  return (
    <span class="state" data-state={state}>
      <Sign state={state} /> {state}
    </span>
  );
}
