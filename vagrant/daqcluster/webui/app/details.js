// One task, one agent, one framework: all that the master says of it.

import { el, outside, share, swap, write } from "./dom.js";
import { folderAt, fileAt } from "./files.js";
import { agentAt, frameworkAt, health, LISTS, state, taskAt } from "./lists.js";
import { amount, asBytes, count, memory, moment, span } from "./text.js";

const MOST_ROWS = 200;
const MOST_STATUSES = 100;
/** A longer text is broken into lines; a time is not. */
const MOST_LINE = 24;

const ago = (seconds) => (seconds > 0 ? `${moment(seconds)}, ${span(Date.now() / 1000 - seconds)} ago` : "");

const again = (one) => (one.reregistered > one.registered ? ago(one.reregistered) : "");

/** Names and values; a value that is not there is left out. */
const facts = (...pairs) =>
  el("dl", {}, pairs.filter(([, value]) => value !== "" && value !== undefined && value !== null && value.length !== 0).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));

const table = (label, heads, rows) =>
  el("div", { class: "wide", tabindex: 0, role: "region", "aria-label": label }, el("table", {}, el("thead", {}, el("tr", {}, heads.map((one) => el("th", { scope: "col" }, one)))), el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((one) => el("td", { class: typeof one === "string" && one.length > MOST_LINE ? "long" : undefined }, one)))))));

const named = (label, pairs) => (pairs.length ? [table(label, ["Name", "Value"], pairs.slice(0, MOST_ROWS)), pairs.length > MOST_ROWS ? el("p", { class: "faint" }, `and ${count(pairs.length - MOST_ROWS)} more`) : ""] : el("p", { class: "faint" }, "none"));

const said = (name) => (name === "mem" || name === "disk" ? memory : amount);

function ofResources({ amounts, others }) {
  return [...Object.entries(amounts).map(([name, value]) => [name, said(name)(value)]), ...Object.entries(others)];
}

/** Where an agent keeps what a task's executor has written. */
const sandbox = (task) => asBytes(`/frameworks/${task.framework}/executors/${task.executor}/runs/latest`);

function tasksOf(tasks) {
  const rows = [...tasks].sort(LISTS.tasks.first);
  return [
    table("Tasks", ["State", "Task", "Agent", "Health", "Message"], rows.slice(0, MOST_ROWS).map((one) => [state(one.state), el("a", { href: taskAt(one) }, one.name || one.id), one.host, health(one), one.message])),
    rows.length > MOST_ROWS ? el("p", { class: "faint" }, `and ${count(rows.length - MOST_ROWS)} more: find them in the list of tasks`) : "",
  ];
}

const DETAILS = {
  task(known, frameworkId, id) {
    const task = known.tasks.find((one) => one.framework === frameworkId && one.id === id);
    if (!task) return undefined;
    const framework = known.frameworks.find((one) => one.id === frameworkId);
    const files = task.host && task.agent ? sandbox(task) : "";
    return [
      task.name || task.id,
      el("p", { class: "lead" }, state(task.state), " ", health(task), " ", el("span", {}, task.message)),
      files ? el("p", { class: "links" }, el("a", { href: folderAt(task.agent, files) }, "Sandbox"), el("a", { href: fileAt(task.agent, `${files}/stdout`) }, "stdout"), el("a", { href: fileAt(task.agent, `${files}/stderr`) }, "stderr")) : el("p", { class: "faint" }, "Its agent is gone, and its sandbox with it."),
      facts(
        ["Agent", task.host ? el("a", { href: agentAt(task.agent) }, task.host) : task.agent],
        ["Framework", el("a", { href: frameworkAt(task.framework) }, framework?.name || task.framework)],
        ["User", task.user],
        ["Since", ago(task.since)],
        ["Task id", task.id],
        ["Executor id", task.executor === task.id ? "" : task.executor],
      ),
      el("h3", {}, "History"),
      task.statuses.length ? "" : el("p", { class: "faint" }, "nothing yet"),
      table("History", ["When", "State", "Health", "Message", "Reason", "From"], task.statuses.slice(-MOST_STATUSES).reverse().map((one) => [moment(one.time), state(one.state), one.healthy === undefined ? "" : one.healthy ? "healthy" : "unhealthy", one.message, one.reason, one.source])),
      task.statuses.length > MOST_STATUSES ? el("p", { class: "faint" }, `the last ${MOST_STATUSES} of ${count(task.statuses.length)}`) : "",
      el("h3", {}, "Labels"),
      named("Labels", task.labels),
      el("h3", {}, "Resources"),
      named("Resources", ofResources(task.asked)),
    ];
  },
  agent(known, id) {
    const agent = known.agents.find((one) => one.id === id);
    if (!agent) return undefined;
    const names = Object.keys(agent.total.amounts);
    return [
      agent.host || agent.id,
      el("p", { class: "lead" }, state(agent.state), ` ${count(agent.tasks)} tasks`),
      facts(["Address", agent.address], ["Registered", ago(agent.registered)], ["Registered again", again(agent)], ["Mesos", agent.version], ["Agent id", agent.id]),
      el("h3", {}, "Resources"),
      table("Resources", ["Name", "In use", "Free", "Offered now"], [
        ...names.map((name) => {
          const [total, used, offered] = [agent.total, agent.used, agent.offered].map((one) => one.amounts[name] ?? 0);
          const say = said(name);
          return [name, share(used, total, say), say(Math.max(0, total - used - offered)), offered ? say(offered) : ""];
        }),
        ...Object.entries(agent.total.others).map(([name, value]) => [name, agent.used.others[name] ?? "none", `of ${value}`, ""]),
      ]),
      el("h3", {}, "Attributes"),
      named("Attributes", agent.attributes),
      el("h3", {}, "Tasks"),
      tasksOf(known.tasks.filter((one) => one.agent === id)),
    ];
  },
  framework(known, id) {
    const framework = known.frameworks.find((one) => one.id === id);
    if (!framework) return undefined;
    return [
      framework.name || framework.id,
      el("p", { class: "lead" }, state(framework.state), ` ${count(framework.tasks)} tasks`),
      facts(
        ["Its page", framework.page ? outside(framework.page) : "it names none"],
        ["User", framework.user],
        ["Principal", framework.principal],
        ["Roles", framework.roles.join(" ")],
        ["Host", framework.host],
        ["Registered", ago(framework.registered)],
        ["Registered again", again(framework)],
        ["Ended", ago(framework.unregistered)],
        ["Tasks are kept", framework.failover ? `${span(framework.failover)} without it` : ""],
        ["Capabilities", framework.capabilities.join(" ")],
        ["Framework id", framework.id],
      ),
      el("h3", {}, "Resources in use"),
      named("Resources in use", ofResources(framework.used)),
      framework.labels.length ? [el("h3", {}, "Labels"), named("Labels", framework.labels)] : "",
      el("h3", {}, "Tasks"),
      tasksOf(known.tasks.filter((one) => one.framework === id)),
    ];
  },
};

/** The page of one of these: `kind` is task, agent or framework, `ids` say which. */
export function detailsPage(kind, ids) {
  const head = el("h2", {});
  const body = el("div", {});
  const page = { title: kind, element: el("section", { class: "details" }, head, body), end() {}, update };
  function update(known) {
    // who marks a text to copy it keeps it
    if (!getSelection().isCollapsed && body.contains(getSelection().anchorNode)) return;
    const found = DETAILS[kind](known, ...ids);
    const [title, ...parts] = found ?? [ids[ids.length - 1], el("p", {}, `The master knows no such ${kind} (any more): it keeps only the last ones of those that ended.`)];
    page.title = title;
    write(head, title);
    swap(body, el("div", {}, parts));
  }
  return page;
}
