// Texts as people read them. Names, messages, labels and lines are somebody else's: what would act or hide is shown instead,
// as the commands of daqsched do (daqsched_executor.contract.foreign), but for control characters: not every font has pictures
// for them, so they are codes.

const PLAIN = /^[ -~]*$/;
const UNSEEN =
  /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0d\uffa0\u{e0100}-\u{e01ef}]/gu;
const SHORT = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };
const MARKS = /(\p{M}{4})(\p{M}+)/gu;

const hex = (code, digits) => code.toString(16).padStart(digits, "0");

function code(one) {
  const point = one.codePointAt(0);
  if (one in SHORT) return SHORT[one];
  if (point < 256) return `\\x${hex(point, 2)}`;
  return point < 65536 ? `\\u${hex(point, 4)}` : `\\U${hex(point, 8)}`;
}

/** The text on one line, at most so long, with everything invisible as its code. */
export function shown(text, most = 1000) {
  const whole = String(text);
  const cut = whole.length > most ? `${whole.slice(0, most)} … (${count(whole.length - most)} more characters)` : whole;
  if (PLAIN.test(cut)) return cut;
  return cut.replace(UNSEEN, code).replace(MARKS, (_, few, more) => few + [...more].map(code).join(""));
}

/** A file's text: lines and tabs stay. */
export function lines(text) {
  return text
    .replace(UNSEEN, (one) => (one === "\n" || one === "\t" ? one : code(one)))
    .replace(MARKS, (_, few, more) => few + [...more].map(code).join(""));
}

/** 12,345 */
export const count = (number) => Math.round(number).toString().replace(/\B(?=(\d{3})+$)/g, ",");

/** At most two decimals, fewer of what is large, none that say nothing. */
export function amount(number) {
  const scale = number >= 100 ? 1 : number >= 10 ? 10 : 100;
  return String(Math.round(number * scale) / scale);
}

/** MiB, as people say them. */
export function memory(mib) {
  if (mib >= 1024 * 1024) return `${amount(mib / 1024 / 1024)} TiB`;
  return mib >= 1024 ? `${amount(mib / 1024)} GiB` : `${amount(mib)} MiB`;
}

export function bytes(number) {
  if (number < 1024) return `${count(number)} B`;
  return number < 1024 * 1024 ? `${amount(number / 1024)} KiB` : memory(number / 1024 / 1024);
}

/** How long ago, in the two largest units that matter. */
export function span(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

/** A moment in UTC, to the second; empty where there is none. */
export function moment(seconds) {
  if (!Number.isFinite(seconds) || seconds <= 0 || seconds > 8.64e12) return "";
  return `${new Date(seconds * 1000).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

export const clock = (date) => `${date.toISOString().slice(11, 19)} UTC`;

// ---------------------------------------------------------------- bytes as agents give them (agent.js: x-user-defined)

/** The bytes that such a text stands for. */
export const raw = (text) => Uint8Array.from(text, (one) => one.charCodeAt(0) & 255);

/** The same bytes in a URL, and back. */
export const quoted = (text) => Array.from(raw(text), (byte) => (/[A-Za-z0-9_./@:~-]/.test(String.fromCharCode(byte)) ? String.fromCharCode(byte) : `%${hex(byte, 2)}`)).join("");
export const unquoted = (text) => text.replace(/%([0-9a-fA-F]{2})/g, (_, byte) => String.fromCharCode(parseInt(byte, 16)));

/** A text as such bytes (one character for each). */
export const asBytes = (text) => String.fromCharCode(...new TextEncoder().encode(text));

/** What to read of them. */
export const decoded = (bytes) => new TextDecoder().decode(bytes);

/** How many bytes at the end are a character that is not whole, so that the next page can begin with it. */
export function unfinished(bytes) {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back];
    if (byte >= 0xc0) return back < (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) ? back : 0;
    if (byte < 0x80) return 0;
  }
  return 0;
}

/** How many bytes at the start belong to a character that began before. */
export function begun(bytes) {
  let at = 0;
  while (at < Math.min(3, bytes.length) && (bytes[at] & 0xc0) === 0x80) at++;
  return at;
}
