// What was applied, when, by whom and why; and what each revision changed.

import { useState } from "preact/hooks";
import { told, Unanswered, useAsked, type Told } from "./asked.js";
import { commandOf } from "./address.js";
import { Command } from "./detail.js";
import { differences, type Difference } from "./differences.js";
import { now, zone } from "./store.js";
import { timeOf } from "./times.js";
import type { HistoryAnswer, RevisionAnswer, RevisionHead } from "./wire.js";

const FIRST = 20, MOST = 200;

const COUNTED: Record<string, string> = { add: "to start", remove: "to stop", restart: "to restart", silent: "changed without a restart" };

export function HistoryPage() {
  const [most, setMost] = useState(FIRST);
  const [answer] = useAsked<HistoryAnswer>(`/v1/history?most=${most}`);
  const revisions = answer && "found" in answer ? answer.found.revisions : [];
  return (
    <article class="story">
      <h2>History</h2>
      <Unanswered answer={answer} />
      {answer && "found" in answer && revisions.length === 0 && <p>Nothing has been applied yet.</p>}
      <ol class="changes">
        {revisions.map((one, at) => (
          <Revision key={one.number} one={one} before={revisions[at + 1]?.number ?? one.number - 1} />
        ))}
      </ol>
      {answer && "found" in answer && (answer.found.next ?? 0) > 0 && most < MOST && (
        <button type="button" class="plain" onClick={() => setMost(Math.min(MOST, most + 2 * FIRST))}>
          Older ones
        </button>
      )}
      <h3>To type</h3>
      <Command text={commandOf("history", [])} />
    </article>
  );
}

function Revision({ one, before }: { one: RevisionHead; before: number }) {
  const counts = Object.entries(one.changes ?? {}).map(([what, count]) => `${count.toLocaleString("en")} ${COUNTED[what] ?? what}`);
  return (
    <>
      {(one.notes ?? []).map((note) => (
        <li class="note">
          {timeOf(note.time, zone.value, now.value)} {note.user}: {note.message}
        </li>
      ))}
      <li data-revision={one.number}>
        <b>Revision {one.number}</b> {one.part && `of part ${one.part} `}
        <span class="faint">
          at {timeOf(one.time, zone.value, now.value)} by {one.user}
        </span>
        {one.message && <p>{one.message}</p>}
        <p>{[...counts, one.source, one.went].filter(Boolean).join("; ")}</p>
        <Changed number={one.number} before={before} />
      </li>
    </>
  );
}

/** Asked for by who wants it: a revision may be large. */
function Changed({ number, before }: { number: number; before: number }) {
  const [answer, setAnswer] = useState<Told<Difference[]>>(null);
  const [asking, setAsking] = useState(false);
  const show = async (): Promise<void> => {
    setAsking(true);
    const [now_, then] = await Promise.all([revision(number), before > 0 ? revision(before) : Promise.resolve<Told<RevisionAnswer>>({ nothing: true })]);
    setAsking(false);
    if (now_ && "found" in now_ && then && !("error" in then)) setAnswer({ found: differences("found" in then ? then.found.spec : null, now_.found.spec) });
    else setAnswer(now_ && "error" in now_ ? now_ : (then as { error: string }));
  };
  return (
    <div>
      <button type="button" class="plain" disabled={asking} onClick={show}>
        {asking ? "Asking ..." : before > 0 ? `What is other than in revision ${before}` : "What it has"}
      </button>
      {answer && "error" in answer && <p class="notice bad">{answer.error}</p>}
      {answer && "found" in answer && (
        <ul class="diff">
          {answer.found.length === 0 && <li>Nothing that you see.</li>}
          {answer.found.map(({ sign, name, words }) => (
            <li data-sign={sign}>
              <b>
                {sign} {name}
              </b>{" "}
              {words}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

const revision = (number: number): Promise<Told<RevisionAnswer>> => told<RevisionAnswer, RevisionAnswer>(`/v1/revisions/${number}`, (found) => found);
