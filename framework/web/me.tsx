// Who one is to the daemon, and what one may, with the reason where not.

import { useState } from "preact/hooks";
import { Unanswered, useAsked } from "./asked.js";
import { commandOf } from "./address.js";
import { roleOf } from "./bar.js";
import { Command } from "./detail.js";
import type { RightsAnswer } from "./wire.js";

export function MePage() {
  const [of, setOf] = useState("");
  const [typed, setTyped] = useState("");
  const at = of.indexOf("@");
  const query = new URLSearchParams(of ? (at < 0 ? { job: of } : { job: of.slice(0, at), host: of.slice(at + 1) }) : {});
  const [answer] = useAsked<RightsAnswer>(`/v1/rights${of ? `?${query}` : ""}`);
  return (
    <article class="story">
      <h2>You, and what you may</h2>
      <Unanswered answer={answer} />
      {answer && "found" in answer && <Who me={answer.found} of={of} />}
      <form class="filter" onSubmit={(event) => (event.preventDefault(), setOf(typed.trim()))}>
        <label for="of">What you may do to</label>
        <input id="of" value={typed} maxLength={600} placeholder="readout@hlt01; empty: the farm as a whole" autocomplete="off" autocapitalize="none" spellcheck={false} onInput={(event) => setTyped(event.currentTarget.value)} />
        <button id="look">Show</button>
      </form>
      {answer && "found" in answer && <May verbs={answer.found.verbs} />}
      <h3>To type</h3>
      <Command text={of ? commandOf("rights why - see", [of]) : commandOf("rights", [])} />
    </article>
  );
}

function Who({ me, of }: { me: RightsAnswer; of: string }) {
  return (
    <>
      <p>
        You are <b>{me.name}</b>
        {!of && `, ${roleOf(me.verbs)}`}.
      </p>
      {me.called.length > 0 && <p class="faint">The daemon knows you as {me.called.join(", ")}.</p>}
      {!me.in_force && <p class="notice">This farm has no file of rights: whoever reaches its daemon may do everything.</p>}
      {me.trouble && <p class="notice bad">{me.trouble}</p>}
    </>
  );
}

function May({ verbs }: { verbs: Record<string, string> }) {
  const all = Object.entries(verbs);
  return (
    <table class="may">
      <caption>{`${all.filter(([, why]) => !why).length} of ${all.length}`}</caption>
      <thead>
        <tr>
          <th scope="col">may</th>
          <th scope="col">what</th>
          <th scope="col">why not</th>
        </tr>
      </thead>
      <tbody>
        {all.map(([verb, why]) => (
          <tr key={verb} data-may={why === ""}>
            <td>{why ? "no" : "yes"}</td>
            <th scope="row">{verb}</th>
            <td>{why}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
