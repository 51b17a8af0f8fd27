// The page of the farm.

import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Bar, Sentence } from "./bar.js";
import { CrewPage } from "./crew.js";
import { Detail } from "./detail.js";
import { Filter } from "./filter.js";
import { Grid } from "./grid.js";
import { HandoverPage } from "./handover.js";
import { HistoryPage } from "./history.js";
import { IncidentsPage } from "./incidents.js";
import { Lists } from "./lists.js";
import { LogsPage } from "./logs.js";
import { MePage } from "./me.js";
import { Overview } from "./overview.js";
import { begin, farm, said, stale } from "./store.js";
import { RolloutPage } from "./rollout.js";
import { StoryPage } from "./story.js";
import { Then } from "./then.js";
import { sentenceOf } from "./view.js";

const SPOKEN_EVERY_MS = 10_000;

/** JOB@HOST where the address is /i/JOB@HOST; empty: it is the farm's. */
const STORY = storyOf(location.pathname);

/** What is at the other addresses. */
const OTHER = { "/logs": LogsPage, "/incidents": IncidentsPage, "/rollout": RolloutPage, "/history": HistoryPage, "/crew": CrewPage, "/handover": HandoverPage, "/me": MePage }[location.pathname];

function storyOf(path: string): string {
  try {
    return path.startsWith("/i/") ? decodeURIComponent(path.slice(3)).slice(0, 600) : "";
  } catch {
    return "";
  }
}

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
        {STORY ? <StoryPage name={STORY} /> : OTHER ? <OTHER /> : <Sentence />}
        <Spoken />
        {!STORY && !OTHER && <Then />}
        {farm.value && !STORY && !OTHER && (
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
