// Stop, start and restart what is selected: what ends is said beforehand, and that number is the most that the daemon lets end.

import { useEffect, useRef, useState } from "preact/hooks";
import { ask, loginPlace } from "../daqsched/pages/place.js";
import { quoted } from "./address.js";
import { nameOf, type Farm } from "./model.js";
import { farm, who } from "./store.js";
import type { Selected } from "./wire.js";

type Verb = "stop" | "start" | "restart";

/** The states in which a program may run. */
const RUNS = new Set(["RUNNING", "UNHEALTHY", "STARTING", "UNREACHABLE", "UNKNOWN"]);
const NAMED = 10;

/** What was meant when it was asked for: it does not change under the hand of whoever reads it. */
interface Asked {
  verb: Verb;
  words: readonly string[];
  names: readonly string[];
  ends: number;
}

/** Buttons for these words, which mean these cells now; none for whoever may not. */
export function Acts({ words, cells }: { words: readonly string[]; cells: readonly number[] }) {
  const [asked, setAsked] = useState<Asked | null>(null);
  const [done, setDone] = useState("");
  const verbs = who.value?.verbs ?? {};
  const may = (["stop", "start", "restart"] as const).filter((verb) => verbs[verb] === "");
  if (may.length === 0 && !done) return null;
  const begin = (verb: Verb): void => {
    const known = farm.peek();
    setDone("");
    if (known) setAsked({ verb, words: [...words], names: cells.map((cell) => nameOf(known, cell)), ends: verb === "start" ? 0 : endsOf(known, cells) });
  };
  return (
    <span class="acts">
      {may.map((verb) => (
        <button key={verb} type="button" class="plain" data-verb={verb} disabled={cells.length === 0} onClick={() => begin(verb)}>
          {nameOfVerb(verb)} ...
        </button>
      ))}
      {done && <span role="status">{done}</span>}
      {asked && <Ask asked={asked} over={(said) => (setAsked(null), setDone(said))} />}
    </span>
  );
}

const nameOfVerb = (verb: Verb): string => verb[0]?.toUpperCase() + verb.slice(1);
const endsOf = (known: Farm, cells: readonly number[]): number => cells.filter((cell) => RUNS.has(known.state[cell] ?? "")).length;

function Ask({ asked, over }: { asked: Asked; over: (said: string) => void }) {
  const { verb, words, names, ends } = asked;
  const dialog = useRef<HTMLDialogElement>(null);
  const [message, setMessage] = useState("");
  const [wrong, setWrong] = useState("");
  const [busy, setBusy] = useState(false);
  useEffect(() => dialog.current?.showModal(), []);
  const text = message.trim();
  const command = [
    `daqsched ${verb}`,
    ...words.map(quoted),
    ...(verb !== "start" ? [...(text ? ["-m", quoted(text)] : []), `--stops ${ends}`] : []),
  ].join(" ");
  const act = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    setWrong("");
    const body = verb === "start" ? { select: words } : { select: words, message: text, stops: ends };
    const { status, found } = await ask(`/v1/${verb}`, body);
    setBusy(false);
    if (status === 401) location.replace(loginPlace());
    else if (status !== 200) setWrong(String(found.error ?? "the daemon does not say why not").slice(0, 2000));
    else over(verb === "restart" ? "It is under way: see the rollout." : saidOf(found as Selected));
  };
  const n = names.length.toLocaleString("en");
  return (
    <dialog ref={dialog} aria-labelledby="asked" onCancel={() => over("")}>
      <form onSubmit={act}>
        <h2 id="asked">
          {nameOfVerb(verb)} {names.length === 1 ? names[0] : `${n} instances`}?
        </h2>
        {verb !== "start" && <p>{ends === 0 ? "None of them runs now." : `${ends.toLocaleString("en")} of them may run now, and end.`}</p>}
        {names.length > 1 && (
          <p class="faint">
            {names.slice(0, NAMED).join(", ")}
            {names.length > NAMED && `, and ${(names.length - NAMED).toLocaleString("en")} more`}
          </p>
        )}
        {verb !== "start" && (
          <>
            <label for="message">Why, for whoever looks at it next</label>
            <input id="message" value={message} maxLength={500} autocomplete="off" onInput={(event) => setMessage(event.currentTarget.value)} />
          </>
        )}
        <p>
          The same as <code class="command">{command}</code>
        </p>
        {wrong && (
          <p class="notice bad" role="alert">
            {wrong}
          </p>
        )}
        <p class="answers">
          <button type="button" class="plain" onClick={() => over("")}>
            Leave it
          </button>
          <button id="act" disabled={busy}>
            {busy ? "Asking ..." : nameOfVerb(verb)}
          </button>
        </p>
      </form>
    </dialog>
  );
}

/** What the daemon did of it. */
function saidOf(found: Selected): string {
  const parts = [`Done for ${found.count.toLocaleString("en")}.`];
  const [first] = found.rejected ?? [];
  if (first) parts.push(`Not for ${(found.rejected ?? []).length.toLocaleString("en")}: ${first[0]}@${first[1]}: ${first[2]}.`);
  if (found.others) parts.push(`${found.others.toLocaleString("en")} were stopped by somebody else: daqsched start --all`);
  if (found.dependents?.length) parts.push(`What depends on it and runs: ${found.dependents.slice(0, NAMED).join(", ")}.`);
  return parts.join(" ");
}
