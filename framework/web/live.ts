// What the daemon says of changes, once for all tabs of a browser: over HTTP/1.1 a seventh stream would stall.
//
// The tab that holds the lock reads the stream and tells the others. No SharedWorker: it would take a policy that lets scripts
// be made of texts, and its own connections have none of the page's policy. A lock is free the moment its tab is gone.

import { read } from "./stream.js";
import type { BoardDelta } from "./wire.js";

/** What is heard, by whichever tab. */
export type Heard =
  /** `at`: the EPOCH.V up to which the stream was told; empty: nobody knows. */
  | { kind: "beat"; at: string }
  | { kind: "delta"; epoch: string; delta: BoardDelta }
  | { kind: "reset"; why: string }
  | { kind: "refused"; status: number; error: string };

const NAME = "daqsched-events";
const SILENT_MS = 30_000, LOST_MS = 45_000, LONGEST_WAIT_MS = 10_000;

/** Tells `heard` what happens, for as long as the page is there. `place` is EPOCH.V of what one has; null: nothing yet. */
export function follow(place: () => string | null, heard: (what: Heard) => void): void {
  const channel = new BroadcastChannel(NAME);
  let last = Date.now();
  const took = (what: Heard): void => {
    last = Date.now();
    heard(what);
  };
  const told = (what: Heard): void => {
    channel.postMessage(what);
    took(what);
  };
  channel.onmessage = (message: MessageEvent<Heard>) => took(message.data);
  let leading: AbortController | null = null;
  const lead = (steal: boolean): void => {
    leading?.abort();
    const mine = (leading = new AbortController());
    navigator.locks
      .request(NAME, steal ? { steal: true } : {}, () => stream(place, told, mine.signal))
      .catch(() => mine.abort()) // another tab took it
      .finally(() => setTimeout(() => !steal && leading === mine && mine.signal.aborted && lead(false), 0));
  };
  lead(false);
  // whoever holds the lock may be asleep, as tabs are that nobody looks at
  setInterval(() => {
    const silentMs = Date.now() - last; // less than 0: the clock was set back
    if ((silentMs >= 0 && silentMs < LOST_MS) || document.hidden) return;
    last = Date.now();
    lead(true);
  }, 5_000);
}

async function stream(place: () => string | null, told: (what: Heard) => void, signal: AbortSignal): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    const since = place();
    if (since === null) {
      await pause(200, signal);
      continue;
    }
    let at = since;
    try {
      const query = new URLSearchParams([["since", since], ["topics", "board"], ["topics", "farm"]]);
      const answer = await fetch(`/v1/events?${query}`, { credentials: "same-origin", cache: "no-store", redirect: "error", signal });
      if (answer.status !== 200 || !answer.body) {
        const found = (await answer.json().catch(() => ({}))) as { error?: string };
        told({ kind: "refused", status: answer.status, error: found.error ?? `the daemon answers with status ${answer.status}` });
        failures++;
      } else {
        await read(answer.body, SILENT_MS, (events) => {
          failures = 0;
          for (const { event, data } of events) {
            const what = heardOf(event, data, at);
            at = placeAfter(what, at);
            told(what);
          }
          if (events.length === 0) told({ kind: "beat", at });
        });
      }
    } catch {
      failures++;
    }
    // what ended is asked for anew, a little later each time, and not by all at the same moment
    await pause(Math.min(LONGEST_WAIT_MS, 250 * 2 ** Math.min(failures, 6)) * (0.5 + Math.random()), signal);
  }
}

function heardOf(event: string, data: string, at: string): Heard {
  if (event === "delta") return { kind: "delta", epoch: at.slice(0, at.lastIndexOf(".")), delta: JSON.parse(data) as BoardDelta };
  if (event === "reset") return { kind: "reset", why: String((JSON.parse(data) as { why?: string }).why ?? "") };
  return { kind: "beat", at };
}

/** Where the stream is after that. */
function placeAfter(what: Heard, at: string): string {
  if (what.kind === "delta") return `${what.epoch}.${what.delta.v}`;
  return what.kind === "reset" ? "" : at;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const over = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", over);
      done();
    };
    const timer = setTimeout(over, ms);
    signal.addEventListener("abort", over);
  });
}
