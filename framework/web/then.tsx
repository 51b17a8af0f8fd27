// The farm as it was: any moment that the daemon's chronicle knows.

import { useState } from "preact/hooks";
import { momentOf, stampOf } from "./address.js";
import { address, go, today, zone } from "./store.js";
import { lengthOf, zoneOf } from "./times.js";

/** So far back the slider goes; what lies before can be typed. */
const MINUTES = 24 * 60;

export function Then() {
  const { then } = address.value;
  const [wrong, setWrong] = useState("");
  const ago = then ? Math.round((today.value - then) / 60) : 0;
  const show = (at: number): void => {
    const known = at > 0 && at < today.peek();
    setWrong(known || !at ? "" : "That is not over yet.");
    if (known || !at) go({ then: at });
  };
  return (
    <form class="filter then" onSubmit={(event) => event.preventDefault()}>
      <label for="ago">As it was</label>
      <input
        id="ago"
        type="range"
        min={-MINUTES}
        max={0}
        value={-Math.min(MINUTES, ago)}
        aria-valuetext={then ? `${lengthOf(ago * 60)} ago` : "now"}
        onChange={(event) => show(event.currentTarget.value === "0" ? 0 : Math.round(today.peek() + Number(event.currentTarget.value) * 60))}
      />
      <label for="moment">at ({zoneOf(then || today.value, zone.value)})</label>
      <input id="moment" type="datetime-local" step="1" value={then ? typedOf(then) : ""} onChange={(event) => show(momentOf(event.currentTarget.value + (zone.value === "UTC" ? "Z" : "")))} />
      {then > 0 && (
        <button type="button" class="plain" id="now" onClick={() => show(0)}>
          Back to now
        </button>
      )}
      {wrong && <span class="wrong">{wrong}</span>}
    </form>
  );
}

/** As such a field has it, in the zone that is shown. */
function typedOf(at: number): string {
  const shift = zone.value === "UTC" ? 0 : new Date(at * 1000).getTimezoneOffset() * 60;
  return stampOf(at - shift).slice(0, 19);
}
