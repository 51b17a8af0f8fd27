// What people hand each other: control, hosts that are set aside, the logbook.

import { useState } from "preact/hooks";
import { Unanswered, useAsked, useChange } from "./asked.js";
import { commandOf, quoted } from "./address.js";
import { endsOf } from "./ends.js";
import { hostOf } from "./model.js";
import { Question } from "./question.js";
import { expand, SelectionError } from "./selection.js";
import { farm, now, who, whyNot, zone } from "./store.js";
import { lengthOf, timeOf } from "./times.js";
import type { AsideAnswer, ControlAnswer, InControl, Lease, NoteAnswer } from "./wire.js";

const HOURS = [1, 4, 8, 24];

const may = (verb: string): boolean => who.value?.verbs[verb] === "";

export function CrewPage() {
  return (
    <article class="story">
      <h2>Crew</h2>
      <p>
        <a href="/handover">Hand over to the next shift</a>
      </p>
      <Control />
      <Aside />
      <Logbook />
    </article>
  );
}

const scopeOf = (one: InControl): string => (one.part === null ? "the farm" : one.part ? `part ${one.part}` : "the part without a name");

function Control() {
  const [answer, again] = useAsked<ControlAnswer>("/v1/control");
  const [asked, setAsked] = useState<"take" | "force" | InControl | null>(null);
  const found = answer && "found" in answer ? answer.found.control : [];
  const whole = found.find((one) => one.part === null);
  const over = (): void => (setAsked(null), again());
  return (
    <section id="control">
      <h3>Control</h3>
      <Unanswered answer={answer} />
      {answer && "found" in answer && found.length === 0 && <p>Nobody is in control: whoever has the rights changes jobs.</p>}
      <ul>
        {found.map((one) => (
          <li>
            <b>{one.user}</b> is in control of {scopeOf(one)} since {timeOf(one.since, zone.value, now.value)}, until {timeOf(one.until, zone.value, now.value)}
            {one.message && `: ${one.message}`}
            {one.forced && one.before && ` (taken over from ${one.before})`}{" "}
            {one.yours && (
              <button type="button" class="plain" data-act="give" onClick={() => setAsked(one)}>
                Give it back ...
              </button>
            )}
          </li>
        ))}
      </ul>
      <p class="acts">
        {answer && may("control") && (!whole || whole.yours) && (
          <button type="button" class="plain" data-act="take" onClick={() => setAsked("take")}>
            {whole ? "Have it for 8 h from now ..." : "Take control of the farm ..."}
          </button>
        )}
        {answer && may("take-over") && whole && !whole.yours && (
          <button type="button" class="plain" data-act="force" onClick={() => setAsked("force")}>
            Take it over from {whole.user} ...
          </button>
        )}
      </p>
      {asked !== null && typeof asked !== "string" && (
        <Question
          title={`Give back control of ${scopeOf(asked)}?`}
          act="Give it back"
          says={() => ["Whoever has the rights changes jobs again."]}
          command={(text) => commandOf("control give", [], [...(asked.part === null ? [] : ["--part", quoted(asked.part || "-")]), ...(text ? ["-m", quoted(text)] : [])])}
          path="/v1/give"
          body={(message) => ({ part: asked.part, message })}
          over={over}
        />
      )}
      {(asked === "take" || asked === "force") && (
        <Question
          title={asked === "force" ? `Take control of the farm from ${whole?.user ?? "somebody"}?` : "Take control of the farm?"}
          act={asked === "force" ? "Take it over" : "Take it"}
          says={() => ["For 8 h, or until you give it back, nobody else changes jobs.", ...(asked === "force" ? ["Who had it is shown why: say it."] : [])]}
          command={(text) => commandOf("control take", [], [...(asked === "force" ? ["--force"] : []), ...(text ? ["-m", quoted(text)] : [])])}
          path="/v1/take"
          body={(message) => ({ message, force: asked === "force" })}
          over={over}
        />
      )}
    </section>
  );
}

interface Meant {
  verb: "aside" | "return";
  hosts: readonly string[];
  hours: number;
  everyones: boolean;
}

function Aside() {
  const [answer, again] = useAsked<AsideAnswer>("/v1/aside");
  const [typed, setTyped] = useState("");
  const [hours, setHours] = useState(4);
  const [mistake, setMistake] = useState("");
  const [meant, setMeant] = useState<Meant | null>(null);
  const leases = answer && "found" in answer ? answer.found.leases : [];
  const begin = (event: Event): void => {
    event.preventDefault();
    const words = typed.split(/[\s,]+(?![^[]*\])/).filter(Boolean);
    try {
      const hosts = words.flatMap((word) => expand(word));
      setMistake(hosts.length ? "" : "Which hosts? Names or ranges, such as hlt[01-10].");
      if (hosts.length) setMeant({ verb: "aside", hosts: words, hours, everyones: false });
    } catch (error) {
      if (!(error instanceof SelectionError)) throw error;
      setMistake(error.message);
    }
  };
  return (
    <section id="aside">
      <h3>Hosts set aside</h3>
      <Unanswered answer={answer} />
      {answer && "found" in answer && leases.length === 0 && <p>None.</p>}
      <ul>
        {leases.map((one) => (
          <Lent key={one.host} one={one} back={() => setMeant({ verb: "return", hosts: [one.host], hours, everyones: one.user !== who.value?.name })} />
        ))}
      </ul>
      {may("aside") && (
        <form class="filter" onSubmit={begin}>
          <label for="hosts">Set aside</label>
          <input id="hosts" value={typed} maxLength={2000} placeholder="hlt07 hlt[11-14]" autocomplete="off" autocapitalize="none" spellcheck={false} onInput={(event) => setTyped(event.currentTarget.value)} />
          <label for="hours">for</label>
          <select id="hours" value={String(hours)} onChange={(event) => setHours(Number(event.currentTarget.value))}>
            {HOURS.map((one) => (
              <option value={String(one)}>{one} h</option>
            ))}
          </select>
          <button class="plain">Set aside ...</button>
          {mistake && <span class="wrong">{mistake}</span>}
        </form>
      )}
      {meant && <AskAside meant={meant} over={(done) => (setMeant(null), done && setTyped(""), again())} />}
    </section>
  );
}

function Lent({ one, back }: { one: Lease; back: () => void }) {
  return (
    <li>
      <b>{one.host}</b> by {one.user}, for {lengthOf(one.until - now.value)} more, until {timeOf(one.until, zone.value, now.value)}
      {one.message && `: ${one.message}`}{" "}
      {may("return") && (
        <button type="button" class="plain" data-return={one.host} onClick={back}>
          Give it back ...
        </button>
      )}
    </li>
  );
}

function AskAside({ meant: { verb, hosts, hours, everyones }, over }: { meant: Meant; over: (done: boolean) => void }) {
  const aside = verb === "aside";
  // counted once, as somebody reads it
  const [counted] = useState(() => (aside ? runningOn(hosts) : null));
  const until = now.peek() + hours * 3600;
  return (
    <Question
      title={aside ? `Set ${hosts.join(" ")} aside?` : `Give ${hosts.join(" ")} back?`}
      act={aside ? "Set aside" : "Give back"}
      says={(ends) => [
        aside ? `Their jobs end in order and stay away for ${hours} h; the forwarder of lines stays.` : `Their jobs start again.${everyones ? " Somebody else has set them aside." : ""}`,
        ...(ends === null ? [] : [`${ends.toLocaleString("en")} of them may run now, and end.`]),
      ]}
      message={aside}
      ends={counted}
      command={(text, ends) => commandOf(verb, hosts, [...(aside ? ["--for", `${hours}h`] : everyones ? ["--all"] : []), ...(aside && text ? ["-m", quoted(text)] : []), ...(ends === null ? [] : [`--stops ${ends}`])])}
      path={`/v1/${verb}`}
      body={(message, ends) => ({ hosts, ...(aside ? { until, message } : { everyones }), ...(ends === null ? {} : { stops: ends }) })}
      over={(found) => over(found !== null)}
    />
  );
}

function runningOn(words: readonly string[]): number {
  const known = farm.peek();
  if (!known) return 0;
  const hosts = new Set(words.flatMap((word) => expand(word)));
  const cells = known.state.flatMap((state, cell) => (state && hosts.has(hostOf(known, cell)) ? [cell] : []));
  return endsOf(known, cells);
}

function Logbook() {
  const [answer, again] = useAsked<NoteAnswer>("/v1/note?most=50");
  const [text, setText] = useState("");
  const [wrong, setWrong] = useState("");
  const { busy, lost, make } = useChange();
  const write = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (busy || !text.trim()) return;
    const answer = await make("/v1/note", { message: text.trim() });
    if (answer && answer.status !== 200) setWrong(whyNot(answer.found));
    else if (answer) (setText(""), setWrong(""), again());
  };
  return (
    <section id="logbook">
      <h3>Logbook</h3>
      {may("note") && (
        <form class="filter" onSubmit={write}>
          <label for="note">Note</label>
          <input id="note" value={text} maxLength={1000} placeholder="beam is back" autocomplete="off" readOnly={busy || lost} onInput={(event) => setText(event.currentTarget.value)} />
          <button class="plain" disabled={busy}>
            {busy ? "Asking ..." : "Write it down"}
          </button>
          {wrong && <span class="wrong">{wrong}</span>}
        </form>
      )}
      <Unanswered answer={answer} />
      {answer && "found" in answer && answer.found.notes.length === 0 && <p>Nobody has written anything yet.</p>}
      <ol class="changes">
        {answer && "found" in answer && answer.found.notes.map((one) => (
          <li key={one.number}>
            <span class="faint">
              {timeOf(one.time, zone.value, now.value)} {one.user}
            </span>{" "}
            {one.message}
          </li>
        ))}
      </ol>
    </section>
  );
}
