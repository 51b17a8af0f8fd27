// Stop, start and restart what is selected: what ends is said beforehand, and that number is the most that the daemon lets end.

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { ask, loginPlace } from "../daqsched/pages/place.js";
import { commandOf, quoted } from "./address.js";
import { endsOf, endSentence, NAMED, saidOf, type Verb } from "./ends.js";
import { nameOf } from "./model.js";
import { ageS, farm, setBack, stale, who, whyNot } from "./store.js";
import { lengthOf } from "./times.js";
import type { Selected } from "./wire.js";

/** What was meant when it was asked for: it does not change under the hand of whoever reads it. */
interface Asked {
  verb: Verb;
  words: readonly string[];
  names: readonly string[];
  ends: number;
}

/** Buttons for these words, which mean these cells now; none for whoever may not. */
export function Acts(its: { words: readonly string[]; cells: readonly number[] }) {
  // what was done belongs to these words and to no others
  return <ActsOf key={JSON.stringify(its.words)} {...its} />;
}

function ActsOf({ words, cells }: { words: readonly string[]; cells: readonly number[] }) {
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

function Ask({ asked, over }: { asked: Asked; over: (said: string) => void }) {
  const { verb, words, names } = asked;
  const dialog = useRef<HTMLDialogElement>(null);
  const [message, setMessage] = useState("");
  const [wrong, setWrong] = useState("");
  const [busy, setBusy] = useState(false);
  // what the daemon counted when it refused: whoever asks again has read it
  const [ends, setEnds] = useState(asked.ends);
  // an answer that was lost is asked for again with the same key and the same words, so that nothing is done twice
  const [lost, setLost] = useState("");
  // at once: whoever types meanwhile would type into the page
  useLayoutEffect(() => dialog.current?.showModal(), []);
  useLayoutEffect(() => {
    if (!busy) return;
    // a browser lets the second Escape through, whatever the dialog says of the first
    const stays = (event: KeyboardEvent): void => {
      if (event.key === "Escape") event.preventDefault();
    };
    document.addEventListener("keydown", stays, true);
    return () => document.removeEventListener("keydown", stays, true);
  }, [busy]);
  const text = message.trim();
  const command = commandOf(verb, words, verb === "start" ? [] : [...(text ? ["-m", quoted(text)] : []), `--stops ${ends}`]);
  const leave = (): void => {
    if (!busy) over("");
  };
  const act = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    setWrong("");
    const body = verb === "start" ? { select: words } : { select: words, message: text, stops: ends };
    const key = lost || crypto.randomUUID();
    const { status, found } = await ask(`/v1/${verb}`, body, key);
    setBusy(false);
    setLost(status === 0 || status >= 500 ? key : "");
    if (status === 401) location.replace(loginPlace());
    else if (status !== 200) {
      setWrong(whyNot(found));
      if (found.code === "not-confirmed" && Number.isSafeInteger(found.stops)) setEnds(found.stops);
    } else over(verb === "restart" ? "It is under way: see the rollout." : saidOf(verb, words, found as Selected));
  };
  const n = names.length.toLocaleString("en");
  return (
    <dialog ref={dialog} aria-labelledby="asked" onCancel={(event) => (event.preventDefault(), leave())} onClose={() => (busy ? dialog.current?.showModal() : over(""))}>
      <form onSubmit={act}>
        <h2 id="asked">
          {nameOfVerb(verb)} {names.length === 1 ? names[0] : `${n} instances`}?
        </h2>
        {stale.value && (
          <p class="notice bad" role="alert">
            What is shown is old: {setBack.value ? "this machine's clock was set back" : `the daemon was not heard for ${lengthOf(ageS.value)}`}. It may be otherwise by now.
          </p>
        )}
        {verb !== "start" && <p>{endSentence(verb, ends)}</p>}
        {names.length > 1 && (
          <p class="faint">
            {names.slice(0, NAMED).join(", ")}
            {names.length > NAMED && `, and ${(names.length - NAMED).toLocaleString("en")} more`}
          </p>
        )}
        {verb !== "start" && (
          <>
            <label for="message">Why, for whoever looks at it next</label>
            <input id="message" value={message} maxLength={500} autocomplete="off" readOnly={busy || lost !== ""} onInput={(event) => setMessage(event.currentTarget.value)} />
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
          <button type="button" class="plain" disabled={busy} onClick={leave}>
            Leave it
          </button>
          <button id="act" disabled={busy}>
            {busy ? "Asking ..." : lost ? `${nameOfVerb(verb)}: ask again` : nameOfVerb(verb)}
          </button>
        </p>
      </form>
    </dialog>
  );
}
