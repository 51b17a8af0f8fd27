// One instance: what became of it and why, where it runs, what it printed last.

import { useEffect, useState } from "preact/hooks";
import { Acts } from "./acts.js";
import { commandOf } from "./address.js";
import { told, type Told } from "./asked.js";
import { Notices } from "./bar.js";
import { Command, Copied } from "./detail.js";
import { Lines as Printed } from "./lines.js";
import { Since } from "./lists.js";
import { cellOf, marksOf } from "./model.js";
import { State } from "./signs.js";
import { farm, now, tick, zone } from "./store.js";
import { timeOf } from "./times.js";
import type { LinesAnswer, Row, StatusAnswer, StoriesAnswer, Story, WhyAnswer } from "./wire.js";

const MOST_LINES = 30;

interface All {
  row: Told<Row>;
  /** What the command says of a name that is not there; empty: it is there. */
  missing: string;
  why: Told<Story>;
  story: Told<Story>;
}

const NOTHING: All = { row: null, missing: "", why: null, story: null };

export function StoryPage({ name }: { name: string }) {
  const [all, setAll] = useState(NOTHING);
  tick.value;
  const known = farm.value;
  const cell = known ? cellOf(known, name) : -1;
  const as = known && cell >= 0 ? `${known.epoch} ${known.state[cell]} ${known.since[cell]} ${known.restarts[cell]} ${known.why[cell]}` : "";
  useEffect(() => {
    let over = false;
    const at = name.indexOf("@");
    const [job, host] = at < 0 ? [name, ""] : [name.slice(0, at), name.slice(at + 1)];
    const mine = <One extends { job: string; host: string }>(list: readonly One[]): One | undefined => list.find((one) => one.job === job && one.host === host);
    const query = new URLSearchParams({ select: name });
    const put = (part: Partial<All>): void => {
      if (!over) setAll((before) => ({ ...before, ...part }));
    };
    void told<StatusAnswer, Row>(`/v1/status?${query}`, ({ rows, unmatched, hint }) => {
      put({ missing: unmatched?.length ? `no job or host matches ${name}${hint ?? ""}` : "" });
      return mine(rows);
    }).then((row) => put({ row }));
    void told<WhyAnswer, Story>(`/v1/why?${query}`, ({ stories }) => mine(stories)).then((why) => put({ why }));
    void told<StoriesAnswer, Story>(`/v1/stories?${query}`, ({ stories }) => mine(stories)).then((story) => put({ story }));
    return () => {
      over = true;
    };
  }, [name, as]);
  const gone = known !== null && cell < 0;
  const row = all.row && "found" in all.row ? all.row.found : null;
  return (
    <article class="story">
      <h2>{name}</h2>
      <Notices />
      {gone && <p>It is not there, or you may not see it{all.missing && `: ${all.missing}`}</p>}
      {known && cell >= 0 && (
        <>
          <p class="now">
            <State state={known.state[cell] ?? ""} /> <Since at={known.since[cell] ?? 0} />
          </p>
          {known.why[cell] && <p class="why">{known.why[cell]}</p>}
          {marksOf(known, cell).map((mark) => (
            <p class="why">{mark}</p>
          ))}
          <Acts words={[name]} cells={[cell]} />
        </>
      )}
      {all.why && "found" in all.why && (
        <section>
          <h3>Why</h3>
          <p>{all.why.found.why}</p>
          <ul>
            {(all.why.found.evidence ?? []).map((one) => (
              <li>{one}</li>
            ))}
          </ul>
        </section>
      )}
      {row && <Where row={row} />}
      <section>
        <h3>What became of it</h3>
        <Changes answer={all.story} gone={gone} />
      </section>
      <section>
        <h3>Its last lines</h3>
        <Lines name={name} />
      </section>
      {known && cell >= 0 && (
        <section>
          <h3>To type</h3>
          <p>
            <a href={`/logs?q=${encodeURIComponent(name).replaceAll("%40", "@")}&span=3600`}>Search its lines</a>
          </p>
          {["why", "status", "logs"].map((verb) => (
            <Command text={commandOf(verb, [name])} />
          ))}
        </section>
      )}
    </article>
  );
}

function Where({ row }: { row: Row }) {
  const ports = Object.entries(row.ports ?? {});
  return (
    <dl>
      <dt>version</dt>
      <dd>{row.release || "none"}</dd>
      <dt>restarts</dt>
      <dd>{(row.restarts ?? 0).toLocaleString("en")}</dd>
      {row.pid ? (
        <>
          <dt>pid</dt>
          <dd>
            <Copied text={String(row.pid)} />
          </dd>
        </>
      ) : null}
      {row.task_id && (
        <>
          <dt>task id</dt>
          <dd>
            <Copied text={row.task_id} />
          </dd>
        </>
      )}
      {ports.length > 0 && (
        <>
          <dt>ports</dt>
          <dd>{ports.map(([port, number]) => `${port} ${number}`).join(", ")}</dd>
        </>
      )}
      {row.part && (
        <>
          <dt>part</dt>
          <dd>{row.part}</dd>
        </>
      )}
    </dl>
  );
}

function Changes({ answer, gone }: { answer: Told<Story>; gone: boolean }) {
  if (!answer) return <p class="faint">Asking ...</p>;
  if ("error" in answer) return <p class="notice bad">{answer.error}</p>;
  const changes = "found" in answer ? [...(answer.found.changes ?? [])].reverse() : [];
  if (changes.length === 0) return <p class="faint">{gone ? "Nothing is known." : "Nothing is known: it has been as desired for as long as this daemon leads, or it is new."}</p>;
  return (
    <ol class="changes">
      {changes.map((one) => (
        <li>
          <span class="faint">{timeOf(one.at, zone.value, now.value)}</span> <State state={one.after} />{" "}
          <span class="why">
            {one.cause}
            {one.reason && `: ${one.reason}`}
          </span>
        </li>
      ))}
    </ol>
  );
}

/** Asked for by somebody who wants them: that others may not read them is in the audit file each time. */
function Lines({ name }: { name: string }) {
  const [answer, setAnswer] = useState<Told<LinesAnswer>>(null);
  const [asking, setAsking] = useState(false);
  const show = async (): Promise<void> => {
    setAsking(true);
    setAnswer(await told<LinesAnswer, LinesAnswer>("/v1/lines", (found) => found, { select: [name], most: MOST_LINES }));
    setAsking(false);
  };
  return (
    <>
      <button type="button" class="plain" id="lines" disabled={asking} onClick={show}>
        {asking ? "Asking ..." : answer ? "Ask again" : "Show them"}
      </button>
      {answer && "error" in answer && <p class="notice bad">{answer.error}</p>}
      {answer && "found" in answer && <Answered answer={answer.found} />}
    </>
  );
}

function Answered({ answer }: { answer: LinesAnswer }) {
  const { lines, lacks } = answer;
  return (
    <>
      {(lacks ?? []).map((one) => (
        <p class="notice">{one}</p>
      ))}
      {lines.length === 0 ? (
        <p class="faint">None are stored.</p>
      ) : (
        <Printed lines={lines} span={{ since: now.value - 3600, until: now.value }} />
      )}
    </>
  );
}
