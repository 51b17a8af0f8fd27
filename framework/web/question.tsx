// Asks before something is done: what ends is said beforehand, and that number is the most that the daemon lets end.

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { useChange } from "./asked.js";
import { NAMED } from "./ends.js";
import { ageS, setBack, stale, whyNot } from "./store.js";
import { lengthOf } from "./times.js";

interface Asked {
  title: string;
  /** What the button says. */
  act: string;
  /** What is said of it; `ends`: how many may end, null: nobody has counted. */
  says: (ends: number | null) => readonly string[];
  names?: readonly string[];
  /** Whether somebody may say why. */
  message?: boolean;
  ends?: number | null;
  /** The command that does the same. */
  command: (message: string, ends: number | null) => string;
  path: string;
  body: (message: string, ends: number | null) => unknown;
  /** It was done, with this answer; null: it was left. */
  over: (found: unknown) => void;
}

export function Question({ title, act, says, names = [], message: asks = true, ends: counted = null, command, path, body, over }: Asked) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [message, setMessage] = useState("");
  const [wrong, setWrong] = useState("");
  // what the daemon counted when it refused: whoever asks again has read it
  const [ends, setEnds] = useState(counted);
  const { busy, lost, make } = useChange();
  // at once: whoever types meanwhile would type into the page
  useLayoutEffect(() => dialog.current?.showModal(), []);
  useLayoutEffect(() => {
    if (!busy) return;
    // a browser lets the second Escape through, whatever the dialog says of the first
    const stays = (event: KeyboardEvent): void => {
      if (event.key === "Escape") event.preventDefault();
    };
    document.addEventListener("keydown", stays, true);
    return () => document.removeEventListener("keydown", stays, true);
  }, [busy]);
  const text = message.trim();
  const leave = (): void => {
    if (!busy) over(null);
  };
  const does = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (busy) return;
    setWrong("");
    const answer = await make(path, body(text, ends));
    if (!answer) return;
    const { status, found } = answer;
    if (status === 200) return over(found);
    setWrong(whyNot(found));
    if (found.code === "not-confirmed" && Number.isSafeInteger(found.stops)) setEnds(found.stops);
  };
  return (
    <dialog ref={dialog} aria-labelledby="asked" onCancel={(event) => (event.preventDefault(), leave())} onClose={() => (busy ? dialog.current?.showModal() : over(null))}>
      <form onSubmit={does}>
        <h2 id="asked">{title}</h2>
        {stale.value && (
          <p class="notice bad" role="alert">
            What is shown is old: {setBack.value ? "this machine's clock was set back" : `the daemon was not heard for ${lengthOf(ageS.value)}`}. It may be otherwise by now.
          </p>
        )}
        {says(ends).map((one) => one && <p>{one}</p>)}
        {names.length > 1 && (
          <p class="faint">
            {names.slice(0, NAMED).join(", ")}
            {names.length > NAMED && `, and ${(names.length - NAMED).toLocaleString("en")} more`}
          </p>
        )}
        {asks && (
          <>
            <label for="message">Why, for whoever looks at it next</label>
            <input id="message" value={message} maxLength={500} autocomplete="off" readOnly={busy || lost} onInput={(event) => setMessage(event.currentTarget.value)} />
          </>
        )}
        <p>
          The same as <code class="command">{command(text, ends)}</code>
        </p>
        {wrong && (
          <p class="notice bad" role="alert">
            {wrong}
          </p>
        )}
        <p class="answers">
          <button type="button" class="plain" disabled={busy} onClick={leave}>
            Leave it
          </button>
          <button id="act" disabled={busy}>
            {busy ? "Asking ..." : lost ? `${act}: ask again` : act}
          </button>
        </p>
      </form>
    </dialog>
  );
}
