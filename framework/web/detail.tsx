// One instance: what is known of it, and what to type.

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { Acts } from "./acts.js";
import { commandOf, storyAt } from "./address.js";
import { cellOf, marksOf } from "./model.js";
import { State } from "./signs.js";
import { address, farm, go, tick } from "./store.js";
import { Since } from "./lists.js";

export function Detail() {
  tick.value;
  const [known, name] = [farm.value, address.value.at];
  const box = useRef<HTMLElement>(null);
  useLayoutEffect(() => {
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
          <p>
            <a class="whole" href={storyAt(name)}>
              Its whole story
            </a>
          </p>
          <Acts words={[name]} cells={[cell]} />
          <h3>To type</h3>
          {["why", "status", "logs"].map((verb) => (
            <Command text={commandOf(verb, [name])} />
          ))}
        </>
      )}
    </aside>
  );
}

/** A command, and a button that copies it. */
export function Command({ text }: { text: string }) {
  return (
    <p class="command">
      <Copied text={text} />
    </p>
  );
}

/** A text that is copied with a button. */
export function Copied({ text, short }: { text: string; short?: string }) {
  // that it was copied is said of this text and of no other
  return <CopiedText key={text} text={text} short={short} />;
}

function CopiedText({ text, short }: { text: string; short?: string | undefined }) {
  const [copied, setCopied] = useState("");
  const copy = (): void => {
    navigator.clipboard.writeText(text).then(
      () => setCopied("copied"),
      () => setCopied("the browser does not let it be copied"),
    );
  };
  return (
    <>
      {short ? <span>{short}</span> : <code>{text}</code>}{" "}
      <button type="button" class="plain" onClick={copy} aria-label={short ? "Copy all of it" : `Copy ${text}`}>
        Copy
      </button>{" "}
      <span role="status">{copied}</span>
    </>
  );
}
