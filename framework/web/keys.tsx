// Which keys there are, for whoever presses ? or the button for it; and those that lead to another page.

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { isTyped } from "./filter.js";

/** After g, as in other pages of that kind. */
const LEADS: Record<string, readonly [string, string]> = {
  f: ["/", "the farm"], l: ["/logs", "logs"], i: ["/incidents", "incidents"], r: ["/rollout", "the rollout"],
  h: ["/history", "history"], c: ["/crew", "crew"], o: ["/handover", "hand-over"], m: ["/me", "you, and what you may"],
};

const ELSE: readonly (readonly [string, string])[] = [
  ["?", "this list"],
  ["/", "to the selection"],
  ["arrows, Home, End, Page Up, Page Down", "from cell to cell; with Ctrl to the first and last row"],
  ["Enter", "show this one"],
  ["Escape", "close what is open"],
];

const SOON_MS = 1500;

export function Keys() {
  const [open, setOpen] = useState(false);
  const dialog = useRef<HTMLDialogElement>(null);
  const pressed = useRef(0);
  useLayoutEffect(() => {
    const hear = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyped(event.target) || document.querySelector("dialog[open]")) return;
      const place = Date.now() - pressed.current < SOON_MS ? LEADS[event.key]?.[0] : undefined;
      pressed.current = event.key === "g" ? Date.now() : 0;
      if (place) location.assign(place);
      else if (event.key === "?") setOpen(true);
    };
    document.addEventListener("keydown", hear);
    return () => document.removeEventListener("keydown", hear);
  }, []);
  useLayoutEffect(() => {
    if (open) dialog.current?.showModal();
  }, [open]);
  return (
    <>
      <button type="button" class="plain" id="keys" aria-label="Which keys there are" onClick={() => setOpen(true)}>
        ?
      </button>
      {open && (
        <dialog ref={dialog} aria-labelledby="keys-title" onClose={() => setOpen(false)}>
          <h2 id="keys-title">Keys</h2>
          <table>
            <tbody>
              {[...ELSE, ...Object.entries(LEADS).map(([key, [, words]]) => [`g, then ${key}`, `to ${words}`] as const)].map(([key, words]) => (
                <tr key={key}>
                  <th scope="row">
                    <kbd>{key}</kbd>
                  </th>
                  <td>{words}</td>
                </tr>
              ))}
            </tbody>
          </table>
          <p class="answers">
            <button type="button" onClick={() => dialog.current?.close()}>
              Close
            </button>
          </p>
        </dialog>
      )}
    </>
  );
}
