// Deaths that are alike, over all hosts: does it fail here or everywhere, and since which change?

import { Unanswered, useAsked } from "./asked.js";
import { commandOf } from "./address.js";
import { Command } from "./detail.js";
import { now, zone } from "./store.js";
import { lengthOf, timeOf } from "./times.js";
import type { Incident, IncidentsAnswer } from "./wire.js";

/** So many names of hosts stand there; the board has them all. */
const NAMED = 12, LINKED = 40;

export function IncidentsPage() {
  const [answer] = useAsked<IncidentsAnswer>("/v1/incidents");
  return (
    <article class="story">
      <h2>Incidents</h2>
      <p class="faint">Programs that died, and nobody had asked for it; those that died alike are one, the latest first.</p>
      <Unanswered answer={answer} />
      {answer && "found" in answer && answer.found.incidents.length === 0 && <p>No program has died that nobody asked to end.</p>}
      {answer && "found" in answer && answer.found.incidents.map((one) => <Alike key={`${one.how} ${one.line} ${one.first}`} one={one} daemon={answer.found.daemon ?? 0} />)}
      <h3>To type</h3>
      <Command text={commandOf("incidents", [])} />
    </article>
  );
}

function Alike({ one, daemon }: { one: Incident; daemon: number }) {
  const hosts = one.hosts.length === 1 ? `only on ${one.hosts[0]}` : `on ${one.hosts.length.toLocaleString("en")} hosts`;
  const times = one.count === 1 ? "once" : `${one.count.toLocaleString("en")} times`;
  const line = one.line.trim();
  return (
    <section class="incident">
      <h3>
        {one.how}
        {line && !one.printed && one.printed !== undefined && `: ${line}`}
      </h3>
      <p>
        <b>
          {times}, {hosts}
        </b>
        : {one.jobs.join(", ")}; the last {lengthOf(now.value - one.last)} ago, {timeOf(one.last, zone.value, now.value)}
      </p>
      {line && one.printed !== false && <p class="lines">{line}</p>}
      <p class="faint">The first {firstOf(one, daemon)}.</p>
      {one.hosts.length > 1 && (
        <p class="faint">
          {one.hosts.slice(0, NAMED).join(", ")}
          {one.hosts.length > NAMED && `, and ${(one.hosts.length - NAMED).toLocaleString("en")} more`}
        </p>
      )}
      <p>
        <a href={boardOf(one)}>Show them on the board</a>
      </p>
    </section>
  );
}

/** When it began, and after which change; a daemon that began later does not know. */
function firstOf(one: Incident, daemon: number): string {
  if (one.earlier) return `is not known to this daemon${daemon ? `, which began at ${timeOf(daemon, zone.value, now.value)}` : ""}`;
  const at = timeOf(one.first, zone.value, now.value);
  return one.revision ? `${at}, ${lengthOf(one.first - one.applied)} after revision ${one.revision}${one.release ? ` (version ${one.release})` : ""}` : at;
}

/** The board with these jobs on these hosts; all of these jobs where that would be too many words. */
function boardOf(one: Incident): string {
  const words = one.jobs.flatMap((job) => (one.jobs.length * one.hosts.length <= LINKED ? one.hosts.map((host) => `${job}@${host}`) : [job]));
  return `/?${new URLSearchParams({ q: words.slice(0, LINKED).join(" ") })}`;
}
