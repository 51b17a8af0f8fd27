// The lines of all machines at once: what they printed, how often, and as they are printed.

import { useEffect, useState } from "preact/hooks";
import { told, type Told } from "./asked.js";
import { capital, commandOf, quoted, stampOf } from "./address.js";
import { Bars, intervalsOf } from "./bars.js";
import { Command } from "./detail.js";
import { Lines, type Span } from "./lines.js";
import { levelsFrom, searchAt, searchFrom, SPANS, WORST, type Search } from "./search.js";
import { selection, SelectionError, wordsOf } from "./selection.js";
import { now, zone } from "./store.js";
import { timeOf } from "./times.js";
import type { CountLinesAnswer, FollowLinesAnswer, LinesAnswer, StoredLine } from "./wire.js";

const MOST = 200, MOST_LIVE = 1000, BARS = 60, EVERY_MS = 1500;

interface Found {
  span: Span;
  everyS: number;
  lines: Told<LinesAnswer>;
  counts: Told<CountLinesAnswer>;
}

/** What the daemon is asked; a `SelectionError` where the words can't be read. */
function wantedOf(search: Search): Record<string, unknown> {
  const words = wordsOf(search.q);
  selection(words); // a mistake is told here, in the words of the command
  return { select: words, grep: search.grep.trim(), levels: levelsFrom(search.worst) };
}

export function LogsPage() {
  const [search, setSearch] = useState(() => searchFrom(location.search));
  const [found, setFound] = useState<Found | null>(null);
  const [mistake, setMistake] = useState("");
  const [asking, setAsking] = useState(false);
  const [live, setLive] = useState(false);
  const change = (part: Partial<Search>): void => setSearch({ ...search, ...part });
  const look = async (its: Search): Promise<void> => {
    setLive(false);
    setSearch(its);
    history.replaceState(null, "", `/logs${searchAt(its)}`);
    const until = its.until || now.peek() || Date.now() / 1000;
    const span = { since: until - its.span, until };
    const everyS = Math.max(1, Math.ceil(its.span / BARS));
    let wanted;
    try {
      wanted = { ...wantedOf(its), ...span };
    } catch (error) {
      if (!(error instanceof SelectionError)) throw error;
      setMistake(error.message);
      return;
    }
    setMistake("");
    setAsking(true);
    const [lines, counts] = await Promise.all([
      told<LinesAnswer, LinesAnswer>("/v1/lines", (all) => all, { ...wanted, most: MOST }),
      told<CountLinesAnswer, CountLinesAnswer>("/v1/lines/count", (all) => all, { ...wanted, by: ["level"], every_s: everyS }),
    ]);
    setAsking(false);
    setFound({ span, everyS, lines, counts });
  };
  // whoever is sent a link sees what its sender saw; without one nothing is asked for: each refusal is noted
  useEffect(() => {
    if (location.search) void look(search);
  }, []);
  return (
    <article class="logs">
      <h2>Logs</h2>
      <form role="search" class="filter" onSubmit={(event) => (event.preventDefault(), void look({ ...search, until: 0 }))}>
        <label for="grep">Text</label>
        <input id="grep" value={search.grep} maxLength={1000} placeholder={'lost link  "in this order"  begin*  -without'} autocomplete="off" spellcheck={false} onInput={(event) => change({ grep: event.currentTarget.value })} />
        <label for="of">Selection</label>
        <input id="of" value={search.q} maxLength={2000} placeholder="readout@hlt0*  @hlt[01-10]" autocomplete="off" autocapitalize="none" spellcheck={false} aria-invalid={mistake !== ""} onInput={(event) => change({ q: event.currentTarget.value })} />
        <label for="worst">Level</label>
        <select id="worst" value={search.worst} onChange={(event) => change({ worst: event.currentTarget.value })}>
          {WORST.map((one) => (
            <option value={one}>{one === "all" ? "all" : `${one} and worse`}</option>
          ))}
        </select>
        <label for="span">Of the last</label>
        <select id="span" value={String(search.span)} onChange={(event) => change({ span: Number(event.currentTarget.value) })}>
          {SPANS.map(([seconds, words]) => (
            <option value={String(seconds)}>{words}</option>
          ))}
          {!SPANS.some(([seconds]) => seconds === search.span) && <option value={String(search.span)}>{`${search.span} s`}</option>}
        </select>
        <button id="look" disabled={asking}>
          {asking ? "Asking ..." : "Search"}
        </button>
        <button type="button" class="plain" id="live" aria-pressed={live} onClick={() => setLive(!live)}>
          {live ? "Pause" : "Follow"}
        </button>
        {mistake && <span class="wrong">{mistake}</span>}
      </form>
      {live ? <Live search={search} /> : found && <Shown found={found} look={(at) => void look({ ...search, span: found.everyS, until: at + found.everyS })} />}
      <h3>To type</h3>
      <Command text={commandFor(search, live, mistake)} />
    </article>
  );
}

function Shown({ found: { span, everyS, lines, counts }, look }: { found: Found; look: (at: number) => void }) {
  return (
    <>
      <p class="faint" id="spanned">
        From {timeOf(span.since, zone.value, now.value)} to {timeOf(span.until, zone.value, now.value)}
        {counts && "found" in counts && `: ${counts.found.total.toLocaleString("en")} lines`}
      </p>
      {counts && "found" in counts && counts.found.total > 0 && <Bars intervals={intervalsOf(counts.found.groups, span.since, span.until, everyS)} choose={look} />}
      {lines && "error" in lines && <p class="notice bad">{lines.error}</p>}
      {lines && "found" in lines && (
        <>
          {[...(lines.found.lacks ?? []), ...(counts && "found" in counts ? (counts.found.lacks ?? []) : [])].map((one) => (
            <p class="notice">{one}</p>
          ))}
          {lines.found.lines.length === 0 ? <p>{sentence(lines.found.says || "none are stored")}</p> : <Lines lines={lines.found.lines} span={span} />}
          {lines.found.lines.length === MOST && <p class="faint">These are the last {MOST}: look at an interval of the bars for the others.</p>}
        </>
      )}
    </>
  );
}

/** As they are printed, until somebody pauses it. */
function Live({ search }: { search: Search }) {
  const [lines, setLines] = useState<StoredLine[]>([]);
  const [says, setSays] = useState<readonly string[]>([]);
  useEffect(() => {
    let [over, token, timer] = [false, "", 0];
    let wanted: Record<string, unknown>;
    try {
      wanted = wantedOf(search);
    } catch (error) {
      setSays([String((error as Error).message)]);
      return;
    }
    const more = async (): Promise<void> => {
      const answer = await told<FollowLinesAnswer, FollowLinesAnswer>("/v1/lines/follow", (all) => all, { ...wanted, follow: token, most: 100 });
      if (over) return;
      if (answer && "found" in answer) {
        token = answer.found.follow;
        const came = answer.found.lines;
        if (came.length > 0) setLines((before) => [...before, ...came].slice(-MOST_LIVE));
        setSays(answer.found.says ?? []);
        timer = setTimeout(more, answer.found.more ? 0 : EVERY_MS);
      } else if (answer && "error" in answer) setSays([answer.error, "Press Pause and Follow to try again."]);
    };
    void more();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [search.q, search.grep, search.worst]);
  const until = now.value;
  return (
    <>
      {says.map((one) => (
        <p class="notice">{one}</p>
      ))}
      <p class="faint" role="status">
        {lines.length === 0 ? "Nothing has come yet." : `${lines.length.toLocaleString("en")} lines; the newest stand last.`}
      </p>
      <Lines lines={lines} span={{ since: until - 3600, until }} />
    </>
  );
}

/** The command that shows the same. */
function commandFor(search: Search, live: boolean, mistake: string): string {
  const options = [...(live ? ["-f"] : []), ...(search.grep.trim() ? ["--grep", quoted(search.grep.trim())] : []), ...(search.worst !== "all" ? ["--level", search.worst] : [])];
  if (!live && search.until) options.push("--since", quoted(stampOf(search.until - search.span)), "--until", quoted(stampOf(search.until)));
  else if (!live) options.push("--since", `${search.span}s`);
  try {
    return commandOf("logs", mistake ? [] : wordsOf(search.q), options);
  } catch {
    return commandOf("logs", [], options);
  }
}

const sentence = (words: string): string => `${capital(words)}${/[.?!]$/.test(words) ? "" : "."}`;
