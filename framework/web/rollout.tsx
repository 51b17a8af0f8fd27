// A change on its way over the farm, batch by batch: how far it is, what holds it up, and the hand on it.

import { useState } from "preact/hooks";
import { Unanswered, useAsked } from "./asked.js";
import { capital, commandOf, quoted, storyAt } from "./address.js";
import { Command } from "./detail.js";
import { Question } from "./question.js";
import { now, who, zone } from "./store.js";
import { lengthOf, timeOf } from "./times.js";
import type { Rollout, RolloutAnswer } from "./wire.js";

type What = "pause" | "resume" | "abort" | "rollback";

const NEEDS: Record<What, string> = { pause: "pause", resume: "steer", abort: "steer", rollback: "steer" };

const MEANS: Record<What, string> = {
  pause: "The next batch waits until somebody resumes it. What is under way goes on.",
  resume: "It goes on with the next batch. Failures that there were are not counted again.",
  abort: "What has changed stays as it is, and what has not is left as it was.",
  rollback: "What it has changed goes back to what ran before, batch by batch; what it has not changed is left alone.",
};

export function RolloutPage() {
  const [answer, again] = useAsked<RolloutAnswer>("/v1/rollout");
  return (
    <article class="story">
      <h2>Rollout</h2>
      <Unanswered answer={answer} />
      {answer && "found" in answer && (answer.found.rollout ? <One rollout={answer.found.rollout} answer={answer.found} again={again} /> : <p>There has been none that you see.</p>)}
      <h3>To type</h3>
      <Command text={commandOf("rollout", [])} />
    </article>
  );
}

function One({ rollout, answer, again }: { rollout: Rollout; answer: RolloutAnswer; again: () => void }) {
  const [asked, setAsked] = useState<What | null>(null);
  const [done, setDone] = useState("");
  const verbs = who.value?.verbs ?? {};
  const may = waysOf(rollout).filter((what) => verbs[NEEDS[what]] === "");
  const { state = "running", batches, at = -1, reached = -1, failures = [], strategy, ready_since = 0 } = rollout;
  return (
    <>
      <p class={state === "paused" ? "notice bad" : "notice"} id="rollout">
        {capital(answer.words ?? "")}.
      </p>
      <p>
        <progress max={Math.max(1, rollout.instances)} value={Math.max(0, reached)} aria-label="instances that its batches have reached" />{" "}
        {reached >= 0 && `${reached.toLocaleString("en")} of ${rollout.instances.toLocaleString("en")} instances reached, `}
        {at >= 0 ? `batch ${at + 1} of ${batches}` : `${batches} ${batches === 1 ? "batch" : "batches"}`}
      </p>
      <p class="faint">
        Begun at {timeOf(rollout.began, zone.value, now.value)} by {rollout.user}
        {rollout.message && `: ${rollout.message}`}
      </p>
      {state === "running" && ready_since > 0 && <p>All of the batch is ready; the next one begins in {lengthOf(ready_since + (strategy.ready_s ?? 10) - now.value)}.</p>}
      <p class="acts">
        {may.map((what) => (
          <button key={what} type="button" class="plain" data-steer={what} onClick={() => (setDone(""), setAsked(what))}>
            {capital(what)} ...
          </button>
        ))}
        {done && <span role="status">{done}</span>}
      </p>
      {asked && (
        <Question
          title={`${capital(asked)} rollout ${rollout.number}?`}
          act={capital(asked)}
          says={(ends) => [MEANS[asked], ...(ends === null ? [] : [`${ends.toLocaleString("en")} of them may run now, and end.`])]}
          command={(text, ends) => commandOf(`rollout ${asked}`, [], [...(text ? ["-m", quoted(text)] : []), ...(ends === null ? [] : [`--stops ${ends}`])])}
          path={`/v1/rollout?number=${rollout.number}`}
          body={(text, ends) => ({ what: asked, message: text, ...(ends === null ? {} : { stops: ends }) })}
          over={(found) => {
            setAsked(null);
            if (found) setDone("Done.");
            again();
          }}
        />
      )}
      <Failures of={failures} />
      {answer.lagging.length > 0 && (
        <section>
          <h3>Not ready yet</h3>
          <ul>
            {answer.lagging.map(([job, host, why]) => (
              <li>
                <a href={storyAt(`${job}@${host}`)}>
                  {job}@{host}
                </a>{" "}
                {why}
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

function Failures({ of }: { of: NonNullable<Rollout["failures"]> }) {
  if (of.length === 0) return null;
  return (
    <section>
      <h3>What counted against it</h3>
      <ul>
        {of.map((one) => (
          <li>
            {timeOf(one.at, zone.value, now.value)} <b>{`${one.job}@${one.host}`}</b> {one.why}
          </li>
        ))}
      </ul>
    </section>
  );
}

/** What can be done with it as it is. */
function waysOf({ state = "running", kind, before }: Rollout): What[] {
  if (state !== "running" && state !== "paused") return [];
  const back: What[] = kind === "apply" && before ? ["rollback"] : [];
  return state === "running" ? ["pause", "abort", ...back] : ["resume", "abort", ...back];
}
