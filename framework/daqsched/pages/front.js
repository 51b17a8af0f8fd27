import { ask, loginPlace, tell } from "./place.js";

const EVERY_MS = 5000;
const said = document.querySelector("#said");
const states = document.querySelector("#states");

/** Whether that is an answer to go on with. */
function told({ status, found }) {
  if (status === 401) location.replace(loginPlace());
  else if (status !== 200) tell(said, found.error ?? "the daemon does not say why not");
  else tell(said, "");
  return status === 200;
}

async function look() {
  const asked = await ask("/v1/progress?most=1");
  if (!told(asked)) return;
  const counts = Object.entries(asked.found.progress?.states ?? {}).filter(([, count]) => count > 0);
  states.replaceChildren(
    ...counts.flatMap(([state, count]) => {
      const [word, number] = [document.createElement("dt"), document.createElement("dd")];
      word.textContent = state;
      number.textContent = count.toLocaleString("en");
      return [word, number];
    }),
  );
  document.querySelector("#none").hidden = counts.length > 0;
  document.querySelector("#when").textContent = `As of ${new Date(asked.found.now * 1000).toISOString().slice(11, 19)} UTC.`;
}

async function follow() {
  if (!document.hidden) await look();
  setTimeout(follow, EVERY_MS);
}

document.querySelector("#leave").addEventListener("click", async () => {
  const asked = await ask("/v1/logout", {});
  if (asked.status === 200 || asked.status === 401) location.replace("/login");
  else tell(said, asked.found.error);
});
document.addEventListener("visibilitychange", () => document.hidden || look());

const who = await ask("/v1/rights");
if (told(who)) {
  document.querySelector("#who").textContent = who.found.name;
  document.querySelector("#called").textContent = (who.found.called ?? []).join(", ");
  document.querySelector("main").hidden = false;
  follow();
}
