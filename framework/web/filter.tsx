// Which part of the farm is looked at: the words of the command line, in the address bar too.

import { useLayoutEffect, useRef } from "preact/hooks";
import { Acts } from "./acts.js";
import { commandOf, stampOf } from "./address.js";
import { wordsOf } from "./selection.js";
import { address, farm, go, view } from "./store.js";

export function Filter() {
  const input = useRef<HTMLInputElement>(null);
  // before it is painted, as all that hears keys: what is seen can be used
  useLayoutEffect(() => {
    const focus = (event: KeyboardEvent): void => {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || isTyped(event.target)) return;
      event.preventDefault();
      input.current?.focus();
      input.current?.select();
    };
    document.addEventListener("keydown", focus);
    return () => document.removeEventListener("keydown", focus);
  }, []);
  const { mistake, cells } = view.value;
  const { q, states, rows, then } = address.value;
  const total = farm.value?.head.total ?? 0;
  return (
    <form class="filter" role="search" onSubmit={(event) => event.preventDefault()}>
      <label for="q">Selection</label>
      <input
        id="q"
        ref={input}
        value={q}
        onInput={(event) => go({ q: event.currentTarget.value })}
        placeholder="readout@hlt0*  @hlt[01-10]"
        maxLength={2000}
        autocomplete="off"
        autocapitalize="none"
        spellcheck={false}
        aria-invalid={mistake !== ""}
        aria-describedby="meant"
      />
      <button type="button" class="plain" onClick={() => go({ rows: rows === "hosts" ? "jobs" : "hosts" })}>
        rows: {rows}
      </button>
      {(q || states.length > 0) && (
        <button type="button" class="plain" id="all" onClick={() => go({ q: "", states: [] })}>
          Show all
        </button>
      )}
      <span id="meant" class={mistake ? "wrong" : "faint"}>
        {mistake || (q.trim() || states.length ? `${cells.length.toLocaleString("en")} of ${total.toLocaleString("en")} are meant` : "")}
      </span>
      {(q.trim() || states.length > 0 || then > 0) && !mistake && <code class="command">{command(q, states, then)}</code>}
      {q.trim() && !mistake && states.length === 0 && <Acts words={wordsOf(q)} cells={cells} />}
    </form>
  );
}

/** The command that shows the same. */
const command = (q: string, states: readonly string[], then: number): string =>
  commandOf("status", wordsOf(q), [...(states.length ? ["--state", states.join(",")] : []), ...(then ? ["--at", stampOf(then)] : [])]);

/** Whether a key is meant for a field that somebody writes in. */
export const isTyped = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.matches("input, textarea, select") || target.isContentEditable);
