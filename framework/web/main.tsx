// The page of the farm.

import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Bar, Sentence } from "./bar.js";
import { Detail } from "./detail.js";
import { Filter } from "./filter.js";
import { Grid } from "./grid.js";
import { Lists } from "./lists.js";
import { Overview } from "./overview.js";
import { begin, farm, said, stale } from "./store.js";
import { sentenceOf } from "./view.js";

const SPOKEN_EVERY_MS = 10_000;

function Page() {
  return (
    <>
      <Bar />
      {said.value && (
        <p id="said" role="alert">
          {said.value}
        </p>
      )}
      <main class={stale.value ? "stale" : ""}>
        <Sentence />
        <Spoken />
        {farm.value && (
          <>
            <Filter />
            <Overview />
            <div class="columns">
              <Lists />
              <Grid />
            </div>
            <Detail />
          </>
        )}
      </main>
      <footer class="faint">
        <a href="/plain">The plain page</a>
      </footer>
    </>
  );
}

/** The sentence for a screen reader, which is not told each of many changes. */
function Spoken() {
  const [spoken, setSpoken] = useState("");
  useEffect(() => {
    const say = (): void => setSpoken(farm.peek() ? (stale.peek() ? "What is shown is old: the daemon is not heard." : sentenceOf(farm.peek()!)) : "");
    const every = setInterval(say, SPOKEN_EVERY_MS);
    return () => clearInterval(every);
  }, []);
  return (
    <p class="spoken" aria-live="polite">
      {spoken}
    </p>
  );
}

const root = document.querySelector("#page");
if (root) render(<Page />, root);
void begin();
