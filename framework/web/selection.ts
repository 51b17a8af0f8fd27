// Which instances somebody means, in the words of the command line (framework/daqsched/select.py, which decides what is
// right: tests/unit/test_web_selection.py compares the two). Pure.

export type Chosen = (job: string, host: string) => boolean;

/** Why a selection can't be read; the sentence is for people. */
export class SelectionError extends Error {}

const MOST_WORDS = 1000, MOST_LETTERS = 1000, MOST_WILD = 50, MOST_MARKS = 10, MOST_HOSTS = 100_000;

/** The words of a text, as a shell parts it (Python's `shlex.split`). Throws `SelectionError` where a mark of quotation is open. */
export function wordsOf(text: string): string[] {
  const words: string[] = [];
  let word: string | null = null;
  let mark = "";
  for (let at = 0; at < text.length; at++) {
    const letter = text[at] ?? "";
    const next = text[at + 1];
    if (mark) {
      if (letter === mark) mark = "";
      else if (mark === '"' && letter === "\\" && (next === '"' || next === "\\")) {
        word += next;
        at++;
      } else word += letter;
    } else if (letter === "'" || letter === '"') {
      mark = letter;
      word ??= "";
    } else if (letter === "\\") {
      if (next === undefined) throw new SelectionError("the last word ends with \\: write what it stands before, or leave it out");
      word = (word ?? "") + next;
      at++;
    } else if (/[ \t\r\n]/.test(letter)) {
      if (word !== null) words.push(word);
      word = null;
    } else word = (word ?? "") + letter;
  }
  if (mark) throw new SelectionError(`the last ${mark} has no end: write it again where the word ends`);
  if (word !== null) words.push(word);
  return words;
}

/** A test that is true where any of the words fits; no word means everything. Throws `SelectionError`. */
export function selection(words: readonly string[]): Chosen {
  if (words.length > MOST_WORDS) throw new SelectionError("these are too many words: name jobs, or hosts as a range");
  // a job, and hosts, each count on their own; a * alone is no pattern
  const wild = words.flatMap((word) => split(word)).filter((text) => /[*?]/.test(text) && text !== "*");
  if (wild.length > MOST_WILD || wild.some((text) => text.replace(/[^*?]/g, "").length > MOST_MARKS))
    throw new SelectionError(`at most ${MOST_WILD} words may have * or ?, and at most ${MOST_MARKS} of these each: name jobs, or hosts`);
  const left = { hosts: MOST_HOSTS };
  const tests = words.map((word) => oneOf(word, left));
  return tests.length === 0 ? () => true : (job, host) => tests.some((test) => test(job, host));
}

/** The job's part of a word, and the hosts'. */
function split(word: string): [string, string] {
  const at = word.indexOf("@");
  return at < 0 ? [word, ""] : [word.slice(0, at), word.slice(at + 1)];
}

/** How many hosts ranges may still name, of all words. */
interface Left {
  hosts: number;
}

function oneOf(word: string, left: Left): Chosen {
  if (word.length > MOST_LETTERS || /[\p{C}\p{Zl}\p{Zp}]/u.test(word)) throw new SelectionError(`JOB@HOST has at most ${MOST_LETTERS} characters, all of which can be printed`);
  const [job, host] = split(word);
  if (!job && !host) throw new SelectionError(`${word} selects nothing: write JOB, JOB@HOST or @HOST, for example readout@hlt[01-10]`);
  if (!host && word.endsWith("@")) throw new SelectionError(`${word} names no host after the @: write ${job} for all of its hosts`);
  const [jobs, hosts] = [jobsOf(job), hostsOf(host, left)];
  return (one, other) => jobs(one) && hosts(other);
}

type Fits = (name: string) => boolean;

function jobsOf(text: string): Fits {
  if (!text || text === "*") return () => true;
  return /[*?]/.test(text) ? patternOf(text) : (name) => name === text;
}

function hostsOf(text: string, left: Left): Fits {
  if (!text || text === "*") return () => true;
  if (/[*?]/.test(text)) return patternOf(text);
  if (!text.includes("[")) return (name) => name === text;
  const all = expand(text, left.hosts);
  left.hosts -= all.length;
  const names = new Set(all);
  return (name) => names.has(name);
}

/** As Python's fnmatch, which tells large letters from small ones here. */
function patternOf(given: string): Fits {
  let made = "";
  const text = Array.from(given);
  for (let at = 0; at < text.length; at++) {
    const letter = text[at] ?? "";
    if (letter === "*") made += made.endsWith("[^]*") ? "" : "[^]*";
    else if (letter === "?") made += "[^]";
    else if (letter === "[") {
      let end = at + 1;
      if (text[end] === "!") end++;
      if (text[end] === "]") end++;
      end = text.indexOf("]", end);
      if (end < 0) made += literal(letter);
      else {
        made += classOf(text.slice(at + 1, end));
        at = end;
      }
    } else made += literal(letter);
  }
  const pattern = new RegExp(`^(?:${made})$`, "u");
  return (name) => pattern.test(name);
}

/** A letter that is meant as it is. */
const literal = (letter: string): string => `\\u{${letter.codePointAt(0)?.toString(16)}}`;

function classOf(inside: readonly string[]): string {
  const not = inside[0] === "!";
  const letters = not ? inside.slice(1) : inside;
  let made = "";
  for (let at = 0; at < letters.length; at++) {
    const [first, last] = [letters[at] ?? "", letters[at + 2]];
    if (letters[at + 1] === "-" && last !== undefined) {
      // a range that runs backwards has nothing in it
      if (first <= last) made += `${literal(first)}-${literal(last)}`;
      at += 2;
    } else made += literal(first);
  }
  return made ? `[${not ? "^" : ""}${made}]` : not ? "[^]" : "[]";
}

/** All hosts that ``hlt[01-03,07]`` names. */
export function expand(text: string, most = MOST_HOSTS): string[] {
  const pieces: string[][] = [];
  let total = 1;
  text.split(/\[([^[\]]*)\]/).forEach((part, at) => {
    if (at % 2 === 0) {
      if (/[[\]]/.test(part)) throw new SelectionError(`the brackets of ${text} do not match; write for example hlt[01-10]`);
      pieces.push([part]);
      return;
    }
    const ranges = part.split(",").map((one) => rangeOf(one.trim(), part));
    total *= ranges.reduce((sum, [first, last]) => sum + Number(last - first) + 1, 0);
    if (total > most) throw new SelectionError(`with ${text} there are too many hosts: at most ${MOST_HOSTS.toLocaleString("en")} are named in all`);
    pieces.push(ranges.flatMap(([first, last, width]) => Array.from({ length: Number(last - first) + 1 }, (_, by) => String(first + BigInt(by)).padStart(width, "0"))));
  });
  const names = pieces.reduce((heads, tails) => heads.flatMap((head) => tails.map((tail) => head + tail)), [""]);
  for (const name of names) {
    if (!/^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/.test(name) || name.length > 253)
      throw new SelectionError(`${text} is neither a host name nor a pattern like hlt[01-10]`);
  }
  return names;
}

function rangeOf(text: string, inside: string): [bigint, bigint, number] {
  const found = /^([0-9]{1,18})(?:-([0-9]{1,18}))?$/.exec(text);
  const first = found?.[1];
  if (first === undefined) throw new SelectionError(`[${inside}] is not a range of numbers; write for example hlt[01-10,12]`);
  const last = found?.[2] ?? first;
  if (BigInt(last) < BigInt(first)) throw new SelectionError(`the range [${text}] runs backwards`);
  return [BigInt(first), BigInt(last), first.length];
}
