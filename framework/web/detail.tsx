// One instance: what is known of it, and what to type.

import { useEffect, useRef, useState } from "preact/hooks";
import { quoted } from "./address.js";
import { marksOf, nameOf, type Farm } from "./model.js";
import { State } from "./signs.js";
import { address, farm, go, tick } from "./store.js";
import { Since } from "./lists.js";

export function Detail() {
  tick.value;
  const [known, name] = [farm.value, address.value.at];
  const box = useRef<HTMLElement>(null);
  useEffect(() => {
    if (name) box.current?.focus();
  }, [name]);
  if (!known || !name) return null;
  const cell = cellOf(known, name);
  const close = (): void => {
    go({ at: "" });
    document.querySelector<HTMLElement>(".grid [tabindex='0']")?.focus({ preventScroll: true });
  };
  return (
    <aside class="detail" ref={box} tabIndex={-1} aria-label={name} onKeyDown={(event) => event.key === "Escape" && close()}>
      <button type="button" class="plain close" onClick={close}>
        Close
      </button>
      <h2>{name}</h2>
      {cell < 0 ? (
        <p>It is not there, or you may not see it.</p>
      ) : (
        <>
          <p>
            <State state={known.state[cell] ?? ""} /> <Since at={known.since[cell] ?? 0} />
          </p>
          {known.why[cell] && <p class="why">{known.why[cell]}</p>}
          {marksOf(known, cell).map((mark) => (
            <p class="why">{mark}</p>
          ))}
          <dl>
            <dt>version</dt>
            <dd>{known.release[cell] || "none"}</dd>
            <dt>restarts</dt>
            <dd>{(known.restarts[cell] ?? 0).toLocaleString("en")}</dd>
          </dl>
          <h3>To type</h3>
          {["why", "status", "logs"].map((verb) => (
            <Command text={`daqsched ${verb} ${quoted(name)}`} />
          ))}
        </>
      )}
    </aside>
  );
}

function cellOf(known: Farm, name: string): number {
  for (let cell = 0; cell < known.state.length; cell++) if (known.state[cell] && nameOf(known, cell) === name) return cell;
  return -1;
}

/** A command, and a button that copies it. */
export function Command({ text }: { text: string }) {
  const [copied, setCopied] = useState("");
  const copy = (): void => {
    navigator.clipboard.writeText(text).then(
      () => setCopied("copied"),
      () => setCopied("the browser does not let it be copied"),
    );
  };
  return (
    <p class="command">
      <code>{text}</code>{" "}
      <button type="button" class="plain" onClick={copy}>
        Copy
      </button>{" "}
      <span role="status">{copied}</span>
    </p>
  );
}
