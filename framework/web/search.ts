// What is searched for in the lines, as it stands in the address bar. Pure.

export interface Search {
  /** Words of a selection, as on the command line. */
  readonly q: string;
  /** Text that a line must hold, as `daqsched logs --grep` takes it. */
  readonly grep: string;
  /** The least level; all: whichever. */
  readonly worst: string;
  /** So many seconds are looked at, up to `until`; 0: up to now. */
  readonly span: number;
  readonly until: number;
}

/** From least to worst (daqsched_executor/contract/levels.py). */
export const LEVELS = ["trace", "debug", "info", "notice", "warning", "error", "critical"];

export const WORST = ["all", "notice", "warning", "error", "critical"];

export const SPANS: readonly (readonly [number, string])[] = [[900, "15 min"], [3600, "1 h"], [21600, "6 h"], [86400, "24 h"], [604800, "7 d"]];

const LONGEST_S = 366 * 86400;

/** The levels that are meant; empty: all, and lines without one. */
export const levelsFrom = (worst: string): string[] => (worst === "all" ? [] : LEVELS.slice(LEVELS.indexOf(worst)));

/** Whoever made the link may have written anything. */
export function searchFrom(text: string): Search {
  const found = new URLSearchParams(text);
  const [span, until] = [Number(found.get("span")), Number(found.get("until"))];
  return {
    q: (found.get("q") ?? "").slice(0, 2000),
    grep: (found.get("grep") ?? "").slice(0, 1000),
    worst: WORST.find((one) => one === found.get("level")) ?? "all",
    span: Number.isSafeInteger(span) && span >= 1 && span <= LONGEST_S ? span : 3600,
    until: Number.isFinite(until) && until > 0 && until < 1e11 ? until : 0,
  };
}

export function searchAt(search: Search): string {
  const made = new URLSearchParams();
  if (search.q.trim()) made.set("q", search.q.trim());
  if (search.grep.trim()) made.set("grep", search.grep.trim());
  if (search.worst !== "all") made.set("level", search.worst);
  made.set("span", String(search.span));
  if (search.until) made.set("until", String(search.until));
  return `?${made.toString().replaceAll("%40", "@").replaceAll("%2A", "*").replaceAll("%2C", ",")}`;
}
