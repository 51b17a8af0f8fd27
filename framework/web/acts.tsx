// Stop, start and restart what is selected.

import { useState } from "preact/hooks";
import { capital, commandOf, quoted } from "./address.js";
import { endsOf, endSentence, saidOf, type Verb } from "./ends.js";
import { nameOf } from "./model.js";
import { Question } from "./question.js";
import { address, farm, who } from "./store.js";
import type { Selected } from "./wire.js";

/** What was meant when it was asked for: it does not change under the hand of whoever reads it. */
interface Meant {
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
  const [meant, setMeant] = useState<Meant | null>(null);
  const [done, setDone] = useState("");
  const verbs = who.value?.verbs ?? {};
  const may = (["stop", "start", "restart"] as const).filter((verb) => verbs[verb] === "");
  // what was can not be stopped
  if ((may.length === 0 && !done) || address.value.then) return null;
  const begin = (verb: Verb): void => {
    const known = farm.peek();
    setDone("");
    if (known) setMeant({ verb, words: [...words], names: cells.map((cell) => nameOf(known, cell)), ends: verb === "start" ? 0 : endsOf(known, cells) });
  };
  return (
    <span class="acts">
      {may.map((verb) => (
        <button key={verb} type="button" class="plain" data-verb={verb} disabled={cells.length === 0} onClick={() => begin(verb)}>
          {capital(verb)} ...
        </button>
      ))}
      {done && <span role="status">{done}</span>}
      {meant && <Ask meant={meant} over={(said) => (setMeant(null), setDone(said))} />}
    </span>
  );
}

function Ask({ meant: { verb, words, names, ends: counted }, over }: { meant: Meant; over: (said: string) => void }) {
  const starts = verb === "start";
  return (
    <Question
      title={`${capital(verb)} ${names.length === 1 ? names[0] : `${names.length.toLocaleString("en")} instances`}?`}
      act={capital(verb)}
      says={(ends) => (starts ? [] : [endSentence(verb, ends ?? 0)])}
      names={names}
      message={!starts}
      ends={counted}
      command={(text, ends) => commandOf(verb, words, starts ? [] : [...(text ? ["-m", quoted(text)] : []), `--stops ${ends}`])}
      path={`/v1/${verb}`}
      body={(text, ends) => (starts ? { select: words } : { select: words, message: text, stops: ends })}
      over={(found) => over(found === null ? "" : verb === "restart" ? "It is under way: see the rollout." : saidOf(verb, words, found as Selected))}
    />
  );
}
