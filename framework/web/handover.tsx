// What the next shift is told: how things are, what was done, what somebody has in hand; as a page and as text.

import { useRef, useState } from "preact/hooks";
import { useAsked, useChange } from "./asked.js";
import { Copied } from "./detail.js";
import { nameOf, trouble, type Farm } from "./model.js";
import { farm, now, tick, who, whyNot, zone } from "./store.js";
import { timeOf } from "./times.js";
import { noticesOf, sentenceOf } from "./view.js";
import type { AsideAnswer, ControlAnswer, IncidentsAnswer, NoteAnswer } from "./wire.js";

const SHIFT_S = 8 * 3600, NAMED = 20;

interface All {
  aside: AsideAnswer | null;
  control: ControlAnswer | null;
  incidents: IncidentsAnswer | null;
  notes: NoteAnswer | null;
}

export function HandoverPage() {
  tick.value;
  const found = {
    aside: useAsked<AsideAnswer>("/v1/aside")[0],
    control: useAsked<ControlAnswer>("/v1/control")[0],
    incidents: useAsked<IncidentsAnswer>("/v1/incidents")[0],
    notes: useAsked<NoteAnswer>("/v1/note?most=50")[0],
  };
  const known = farm.value;
  const awaited = !known || Object.values(found).some((one) => one === null);
  const all = Object.fromEntries(Object.entries(found).map(([name, one]) => [name, one && "found" in one ? one.found : null])) as unknown as All;
  const failed = Object.values(found).flatMap((one) => (one && "error" in one ? [one.error] : []));
  return (
    <article class="story">
      <h2>Hand-over</h2>
      {failed.map((one) => (
        <p class="notice bad">{one}</p>
      ))}
      {awaited ? <p class="faint">Asking ...</p> : <Text lines={linesOf(known, all)} />}
    </article>
  );
}

function Text({ lines }: { lines: readonly string[] }) {
  const [message, setMessage] = useState("");
  const [said, setSaid] = useState("");
  const { busy, lost, make } = useChange();
  // what is asked for again says what it said, whatever has become of the farm meanwhile
  const signed = useRef("");
  const sign = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (busy) return;
    if (!lost) signed.current = `shift handed over: ${lines[1] ?? ""}${message.trim() ? ` ${message.trim()}` : ""}`.slice(0, 1000);
    const answer = await make("/v1/note", { message: signed.current });
    if (answer) setSaid(answer.status === 200 ? "It stands in the logbook." : whyNot(answer.found));
  };
  return (
    <>
      <p>
        <Copied text={lines.join("\n")} short="All of it as text:" />
      </p>
      <pre id="handover" tabIndex={0}>
        {lines.join("\n")}
      </pre>
      {who.value?.verbs["note"] === "" && (
        <form class="filter" onSubmit={sign}>
          <label for="word">A word for the next shift</label>
          <input id="word" value={message} maxLength={500} autocomplete="off" readOnly={busy || lost} onInput={(event) => setMessage(event.currentTarget.value)} />
          <button class="plain" disabled={busy}>
            {busy ? "Asking ..." : "Sign off"}
          </button>
          <span role="status">{said}</span>
        </form>
      )}
    </>
  );
}

/** What stands there, a line each; the second is how things are. */
function linesOf(known: Farm, { aside, control, incidents, notes }: All): string[] {
  const at = (time: number): string => timeOf(time, zone.value, now.value);
  const since = now.value - SHIFT_S;
  const cells = known.state.flatMap((state, cell) => (state ? [cell] : []));
  const bad = trouble(known, cells);
  const deaths = (incidents?.incidents ?? []).filter((one) => one.last >= since);
  const said = (notes?.notes ?? []).filter((one) => one.time >= since);
  const part = (title: string, lines: readonly string[]): string[] => (lines.length ? ["", title, ...lines.map((one) => `  ${one}`)] : []);
  return [
    `${at(now.value)}, by ${who.value?.name ?? "nobody"}`,
    sentenceOf(known),
    `Revision ${known.head.revision || "none"}${known.head.applied ? `, applied at ${at(known.head.applied)} by ${known.head.user}` : ""}.`,
    ...noticesOf(known).map(({ text }) => text),
    ...part("Not as desired:", [
      ...bad.slice(0, NAMED).map((cell) => `${nameOf(known, cell)}  ${known.state[cell]}  ${known.why[cell] ?? ""}`.trimEnd()),
      ...(bad.length > NAMED ? [`and ${bad.length - NAMED} more`] : []),
    ]),
    ...part("In control:", (control?.control ?? []).map((one) => `${one.user}, of ${one.part === null ? "the farm" : `part ${one.part || "-"}`}, until ${at(one.until)}${one.message ? `: ${one.message}` : ""}`)),
    ...part("Hosts set aside:", (aside?.leases ?? []).map((one) => `${one.host} by ${one.user} until ${at(one.until)}${one.message ? `: ${one.message}` : ""}`)),
    ...part("Died within the last 8 h:", deaths.map((one) => `${one.how}, ${one.count === 1 ? "once" : `${one.count} times`}, on ${one.hosts.length === 1 ? one.hosts[0] : `${one.hosts.length} hosts`}: ${one.jobs.join(", ")}; the last at ${at(one.last)}${one.line.trim() ? `: ${one.line.trim()}` : ""}`)),
    ...part("Notes of the last 8 h, the newest first:", said.map((one) => `${at(one.time)} ${one.user}: ${one.message}`)),
  ];
}
