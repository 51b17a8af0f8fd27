// What is not as desired, with reasons; and what changed of late.

import { useState } from "preact/hooks";
import { changed, marksOf, nameOf, trouble } from "./model.js";
import { State } from "./signs.js";
import { address, farm, go, now, tick, view, zone } from "./store.js";
import { lengthOf, timeOf } from "./times.js";
import { nothingOf } from "./view.js";

const FIRST = 100, HOUR = 3600;

export function Lists() {
  tick.value;
  const [most, setMost] = useState(FIRST);
  const known = farm.value;
  if (!known) return null;
  const { cells } = view.value;
  // what leaves the list by time alone may do so a minute late
  const after = Math.floor(now.value / 60) * 60 - HOUR;
  const [bad, recent] = [trouble(known, cells), changed(known, cells, after)];
  const shows = address.value.show;
  const found = shows === "trouble" ? bad : recent;
  const tab = (show: "trouble" | "changed", words: string) => (
    <button type="button" class="tab" aria-pressed={shows === show} onClick={() => (setMost(FIRST), go({ show }))}>
      {words}
    </button>
  );
  return (
    <section class="lists" aria-label="what to look at">
      <div class="tabs">
        {tab("trouble", `Not as desired: ${bad.length.toLocaleString("en")}`)}
        {tab("changed", `Changed in the last hour: ${recent.length.toLocaleString("en")}`)}
      </div>
      {found.length === 0 && <p class="faint">{nothingOf(known, cells, shows)}</p>}
      <ol id="list">
        {found.slice(0, most).map((cell) => (
          <li key={cell}>
            <button type="button" class="line" onClick={() => go({ at: nameOf(known, cell) })}>
              <State state={known.state[cell] ?? ""} /> <b>{nameOf(known, cell)}</b>{" "}
              <Since at={known.since[cell] ?? 0} />
              {known.why[cell] && <span class="why">{known.why[cell]}</span>}
              {marksOf(known, cell).map((mark) => (
                <span class="why">{mark}</span>
              ))}
            </button>
          </li>
        ))}
      </ol>
      {found.length > most && (
        <button type="button" class="plain" onClick={() => setMost(most + 10 * FIRST)}>
          {(found.length - most).toLocaleString("en")} more
        </button>
      )}
    </section>
  );
}

/** For how long, and since when. */
export function Since({ at }: { at: number }) {
  if (!(at > 0)) return null;
  return (
    <span class="faint since">
      {lengthOf(now.value - at)}, since {timeOf(at, zone.value, now.value)}
    </span>
  );
}
