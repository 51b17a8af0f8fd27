// Where somebody goes after logging in, and what the daemon is asked.

const LONGEST_MS = 45000;

/** The address that `back` names, of this daemon alone; whatever else it may be, the first page. */
export function placeOf(back, origin = location.origin) {
  const first = `${origin}/`;
  if (typeof back !== "string" || back.length > 2000 || !/^\/(?![/\\])[!-~]*$/.test(back) || back.includes("\\")) return first;
  try {
    const place = new URL(back, first);
    // the whole address and not its path: a path that begins with // would be another host's
    return place.origin === origin && !place.pathname.startsWith("//") && place.pathname !== "/login" ? place.href : first;
  } catch {
    return first;
  }
}

/** What leads to the log-in page and back to where one is. */
export function loginPlace() {
  const here = location.pathname + location.search + location.hash;
  return here === "/" ? "/login" : `/login?back=${encodeURIComponent(here)}`;
}

/** The daemon's answer: `{status, found}`, where `found` is an object of JSON; of one that is none a sentence, and never with
 * status 200: whoever has that has an answer. `key` is the Idempotency-Key. */
export async function ask(path, body, key = "") {
  const headers = { "content-type": "application/json", ...(key && { "idempotency-key": key }) };
  const more = body === undefined ? {} : { method: "POST", body: JSON.stringify(body), headers };
  try {
    const answer = await fetch(path, { ...more, credentials: "same-origin", cache: "no-store", redirect: "error", signal: AbortSignal.timeout(LONGEST_MS) });
    try {
      const found = await answer.json();
      if (typeof found !== "object" || found === null) throw new Error("no object");
      return { status: answer.status, found };
    } catch {
      // cut off on the way, or of something between
      const status = answer.status === 200 ? 0 : answer.status;
      return { status, found: { error: `what the daemon answers is not understood (status ${answer.status}): try again` } };
    }
  } catch {
    return { status: 0, found: { error: "the daemon does not answer: is this machine still on its network? Try again" } };
  }
}

/** Shows a sentence of the daemon's, as text and nothing else. */
export function tell(where, sentence) {
  where.textContent = typeof sentence === "string" ? sentence.slice(0, 2000) : "";
  where.hidden = !where.textContent;
}
