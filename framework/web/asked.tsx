// What a page asks of the daemon besides the board: answers, while somebody looks, and changes.

import { useEffect, useState } from "preact/hooks";
import { ask, loginPlace } from "../daqsched/pages/place.js";
import { farm, whyNot } from "./store.js";

/** The answer, or why there is none, or that what was asked about is not in it; null while it is awaited. */
export type Told<Answer> = { found: Answer } | { error: string } | { nothing: true } | null;

export async function told<Answer, Part>(path: string, part: (answer: Answer) => Part | undefined, body?: unknown): Promise<Told<Part>> {
  const { status, found } = await ask(path, body);
  if (status === 401) location.replace(loginPlace());
  if (status !== 200) return { error: whyNot(found) };
  const its = part(found as Answer);
  return its === undefined ? { nothing: true } : { found: its };
}

/** How soon it is asked again after a change of the farm; and without one, or after a refusal, each of which is noted. */
const SOON_MS = 4_000, LATER_MS = 60_000;

/** The answer at this path, asked again when the farm has changed meanwhile; and what asks at once. */
export function useAsked<Answer>(path: string): [Told<Answer>, () => void] {
  const [answer, setAnswer] = useState<Told<Answer>>(null);
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    let [over, had, timer, asked] = [false, "never", 0, 0];
    const look = async (): Promise<void> => {
      const known = farm.peek();
      const at = known ? `${known.epoch}.${known.v}` : "";
      let wait = SOON_MS;
      if (!document.hidden && (at !== had || Date.now() - asked > LATER_MS)) {
        asked = Date.now();
        const found = await told<Answer, Answer>(path, (all) => all);
        if (over) return;
        setAnswer(found);
        if (found && "found" in found) had = at;
        else wait = LATER_MS;
      }
      timer = setTimeout(look, wait);
    };
    void look();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [path, turn]);
  return [answer, () => setTurn(turn + 1)];
}

/** That an answer is awaited, or why there is none. */
export function Unanswered({ answer }: { answer: Told<unknown> }) {
  if (!answer) return <p class="faint">Asking ...</p>;
  return "error" in answer ? <p class="notice bad">{answer.error}</p> : null;
}

/** Asks for a change. One whose answer was lost is to be asked for again in the same words: it has the same key, and nothing is done
 * twice. `make` gives the answer, or null where somebody has to log in first. */
export function useChange(): { busy: boolean; lost: boolean; make: (path: string, body: unknown) => Promise<Awaited<ReturnType<typeof ask>> | null> } {
  const [busy, setBusy] = useState(false);
  const [lost, setLost] = useState("");
  const make = async (path: string, body: unknown): Promise<Awaited<ReturnType<typeof ask>> | null> => {
    setBusy(true);
    const key = lost || crypto.randomUUID();
    const answer = await ask(path, body, key);
    setBusy(false);
    setLost(answer.status === 0 || answer.status >= 500 ? key : "");
    if (answer.status !== 401) return answer;
    location.replace(loginPlace());
    return null;
  };
  return { busy, lost: lost !== "", make };
}
