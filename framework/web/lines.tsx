// Lines as they were printed, and for each where else there are any like it.

import { useState } from "preact/hooks";
import { told, type Told } from "./asked.js";
import { byName } from "./model.js";
import { now, zone } from "./store.js";
import { timeOf } from "./times.js";
import type { CountLinesAnswer, StoredLine } from "./wire.js";

/** The marks of the command line. */
const MARKS: Record<string, string> = { stdout: "|", stderr: "!", executor: "*" };

const NAMED = 12;

/** When what was meant ends and begins, in seconds since the epoch. */
export interface Span {
  since: number;
  until: number;
}

export function Lines({ lines, span }: { lines: readonly StoredLine[]; span: Span }) {
  return (
    <ol class="lines" tabIndex={0} aria-label="lines, the oldest first">
      {lines.map((one) => (
        <li key={one.id} data-level={one.level}>
          <span class="faint">
            {timeOf(one.time, zone.value, now.value)} {one.job ? `${one.job}@${one.host}` : one.host} {MARKS[one.stream] ?? ":"} {one.level}
          </span>{" "}
          {one.message}
          {one.dead && <span class="wrong"> (Elasticsearch refused its full form: {one.dead})</span>}
          {one.fingerprint && <Elsewhere line={one} span={span} />}
        </li>
      ))}
    </ol>
  );
}

/** Does it say that here alone, or everywhere? Those are alike that differ in numbers alone. */
function Elsewhere({ line, span }: { line: StoredLine; span: Span }) {
  const [answer, setAnswer] = useState<Told<CountLinesAnswer>>(null);
  const [asking, setAsking] = useState(false);
  const look = async (): Promise<void> => {
    setAsking(true);
    const body = { ...(line.job ? { select: [line.job] } : {}), since: span.since, until: span.until, by: ["message", "host"] };
    setAnswer(await told<CountLinesAnswer, CountLinesAnswer>("/v1/lines/count", (found) => found, body));
    setAsking(false);
  };
  if (!answer) {
    return (
      <button type="button" class="plain small" disabled={asking} onClick={look} aria-label={`Where else: ${line.message.slice(0, 80)}`}>
        {asking ? "Asking ..." : "Where else?"}
      </button>
    );
  }
  return <span class="elsewhere">{"found" in answer ? wordsOf(answer.found, line) : "error" in answer ? answer.error : ""}</span>;
}

function wordsOf(answer: CountLinesAnswer, line: StoredLine): string {
  const alike = answer.groups.filter((one) => one.values[0] === line.fingerprint);
  const hosts = alike.map((one) => [one.values[1] ?? "", one.count] as const).sort(([a], [b]) => byName(a, b));
  const all = new Set(answer.groups.map((one) => one.values[1])).size;
  const more = hosts.length > NAMED ? `, and ${(hosts.length - NAMED).toLocaleString("en")} more` : "";
  const lacks = (answer.lacks ?? []).length > 0 ? ` (${(answer.lacks ?? []).join("; ")})` : "";
  if (hosts.length === 1 && all > 1) return `Only on ${hosts[0]?.[0]}: ${hosts[0]?.[1].toLocaleString("en")} times; ${all.toLocaleString("en")} hosts printed something.${lacks}`;
  const named = hosts.slice(0, NAMED).map(([host, count]) => `${host} ${count.toLocaleString("en")} times`);
  return `On ${hosts.length.toLocaleString("en")} of ${all.toLocaleString("en")} hosts that printed something: ${named.join(", ")}${more}.${lacks}`;
}
