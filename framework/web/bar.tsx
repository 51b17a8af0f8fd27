// The top of the page: who, how old, how many.

import { Keys } from "./keys.js";
import { STATES } from "./model.js";
import { Sign } from "./signs.js";
import { address, ageS, choose, farm, go, heard, leave, now, setBack, stale, tick, today, who, zone } from "./store.js";
import { lengthOf, timeOf } from "./times.js";
import { noticesOf, sentenceOf, sentenceThen } from "./view.js";

/** The strongest role whose verbs somebody has for the farm as a whole. */
export function roleOf(verbs: Record<string, string>): string {
  const has = (verb: string): boolean => verbs[verb] === "";
  return has("rights") ? "admin" : has("apply") ? "expert" : has("stop") ? "shifter" : has("see") ? "viewer" : "of parts of the farm only";
}

const PLACES = [["/", "Farm"], ["/logs", "Logs"], ["/incidents", "Incidents"], ["/rollout", "Rollout"], ["/history", "History"], ["/crew", "Crew"]] as const;

export function Bar() {
  tick.value;
  const [me, known] = [who.value, farm.value];
  return (
    <header>
      <h1>
        <a href="/">daqsched</a>
      </h1>
      <nav aria-label="pages">
        {PLACES.map(([path, words]) => (
          <a href={path} aria-current={location.pathname === path ? "page" : undefined}>
            {words}
          </a>
        ))}
      </nav>
      {(known || address.value.then > 0) && <Age />}
      {known && known.head.control.map((one) => (
        <span class="control">
          {one.user} is in control of {one.part === null ? "the farm" : one.part || "the part without a name"}
        </span>
      ))}
      <span class="grow" />
      <Keys />
      <button type="button" class="plain" onClick={() => choose(zone.value === "UTC" ? "local" : "UTC")} title="in which zone times are shown">
        times: {zone.value}
      </button>
      {me && (
        <span class="me">
          <a href="/me">{me.name}</a>, {roleOf(me.verbs)}
        </span>
      )}
      <button type="button" id="leave" onClick={leave}>
        Log out
      </button>
    </header>
  );
}

function Age() {
  if (address.value.then) {
    return (
      <span class="age then" id="age">
        as of {timeOf(address.value.then, zone.value, today.value)}
      </span>
    );
  }
  const old = ageS.value;
  const at = timeOf(heard.value / 1000 + (farm.value?.offset ?? 0), zone.value, now.value);
  return (
    <span class={stale.value ? "age old" : "age"} id="age">
      {!stale.value
        ? `live, ${lengthOf(old)} old`
        : setBack.value
          ? "OLD: this machine's clock was set back, and nobody knows by how much"
          : `OLD: nothing heard for ${lengthOf(old)}, since ${at}`}
    </span>
  );
}

/** How things are, and what is wrong with the farm as a whole. */
export function Sentence() {
  const known = farm.value;
  if (!known) return <p class="sentence">Asking the daemon ...</p>;
  const { head } = known;
  return (
    <>
      <p class="sentence" id="sentence">
        {address.value.then ? sentenceThen(known) : sentenceOf(known)}
      </p>
      <ul class="counts" aria-label="states, counted; each shows only those">
        {STATES.filter((state) => (head.states[state] ?? 0) > 0 || address.value.states.includes(state)).map((state) => (
          <li key={state}>
            <button type="button" class="state count" data-state={state} aria-pressed={address.value.states.includes(state)} onClick={() => toggle(state)}>
              <Sign state={state} /> {state} <b>{(head.states[state] ?? 0).toLocaleString("en")}</b>
            </button>
          </li>
        ))}
      </ul>
      <Notices />
      <p class="faint" id="revision">
        {head.revision
          ? `Revision ${head.revision} ${address.value.then ? "was" : "is"} in force, applied by ${head.user} at ${timeOf(head.applied, zone.value, now.value)}.`
          : "Nothing has been applied yet."}
        {head.leader && ` The leader is ${head.leader}.`}
      </p>
    </>
  );
}

/** What is wrong with the farm as a whole, and what is under way. */
export function Notices() {
  tick.value;
  const known = farm.value;
  return (
    <>
      {known && noticesOf(known).map(({ text, bad }) => (
        <p class={bad ? "notice bad" : "notice"}>{text}</p>
      ))}
    </>
  );
}

function toggle(state: string): void {
  const { states } = address.value;
  go({ states: states.includes(state) ? states.filter((one) => one !== state) : [...states, state] });
}
