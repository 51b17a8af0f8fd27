// What the master knows, asked by its operator API (POST /api/v1), as plain rows. The answers' words are others'; only their
// shapes are looked at here.

import { count } from "./text.js";

const LONGEST_MS = 30000;
const LARGEST = 256 << 20;

/** Something that people are told. */
export class Sentence extends Error {}

async function ask(type) {
  let answer;
  try {
    answer = await fetch("api/v1", {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json" },
      body: JSON.stringify({ type }),
      redirect: "manual",
      cache: "no-store",
      signal: AbortSignal.timeout(LONGEST_MS),
    });
    if (answer.type === "opaqueredirect") throw new Sentence("This master does not lead: open /redirect, which leads to the one that does.");
    if (answer.status === 401 || answer.status === 403) throw new Sentence(`The master does not let you look (${answer.status}): it wants credentials with the right to.`);
    if (answer.status === 503) throw new Sentence("The master has not got its registry yet, or no master leads (503).");
    if (!answer.ok) throw new Sentence(`The master answers ${answer.status}.`);
    const found = JSON.parse(await bounded(answer))?.[type.toLowerCase()];
    if (typeof found !== "object" || found === null) throw new Sentence("The master's answer is not what it should be.");
    return found;
  } catch (error) {
    if (error instanceof Sentence) throw error;
    if (error.name === "TimeoutError") throw new Sentence(`The master has not answered within ${LONGEST_MS / 1000} s.`);
    if (error instanceof SyntaxError) throw new Sentence("The master's answer is not JSON.");
    throw new Sentence("The master can't be reached.");
  }
}

async function bounded(answer) {
  const reader = answer.body.getReader();
  const decoder = new TextDecoder();
  const parts = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return parts.join("") + decoder.decode();
    size += value.length;
    if (size > LARGEST) {
      reader.cancel();
      throw new Sentence(`The master's answer has more than ${count(LARGEST >> 20)} MiB.`);
    }
    parts.push(decoder.decode(value, { stream: true }));
  }
}

const list = (value) => (Array.isArray(value) ? value : []);
const text = (value) => (typeof value === "string" ? value : "");
const id = (value) => text(value?.value);
const seconds = (time) => (time?.nanoseconds ?? 0) / 1e9;

/** All of it: agents, frameworks and tasks, and what one is of another. */
export async function load() {
  const [agents, frameworks, tasks] = await Promise.all(["GET_AGENTS", "GET_FRAMEWORKS", "GET_TASKS"].map(ask));
  const found = {
    agents: [
      ...list(agents.agents).map((one) => agent(one)),
      ...list(agents.recovered_agents).map((one) => agent({ agent_info: one }, "RECOVERED")),
    ],
    frameworks: [
      ...list(frameworks.frameworks).map((one) => framework(one, false)),
      ...list(frameworks.completed_frameworks).map((one) => framework(one, true)),
    ],
    tasks: [],
  };
  const agentsById = new Map(found.agents.map((one) => [one.id, one]));
  const frameworksById = new Map(found.frameworks.map((one) => [one.id, one]));
  for (const name of ["tasks", "unreachable_tasks", "completed_tasks", "orphan_tasks"]) {
    for (const one of list(tasks[name])) {
      const row = task(one, agentsById);
      found.tasks.push(row);
      if (row.ended) continue;
      for (const owner of [agentsById.get(row.agent), frameworksById.get(row.framework)]) if (owner) owner.tasks += 1;
    }
  }
  return found;
}

/** name -> amount, and name -> ranges or items as a text. */
function resources(values) {
  const amounts = Object.create(null);
  const others = Object.create(null);
  for (const one of list(values)) {
    const name = text(one.name);
    if (one.scalar) amounts[name] = (amounts[name] ?? 0) + Number(one.scalar.value);
    else others[name] = [others[name], described(one)].filter(Boolean).join(", ");
  }
  return { amounts, others };
}

function described(one) {
  if (one.scalar) return String(one.scalar.value);
  if (one.text) return text(one.text.value);
  if (one.ranges) return list(one.ranges.range).map((part) => (part.begin === part.end ? `${part.begin}` : `${part.begin}-${part.end}`)).join(", ");
  return list(one.set?.item).join(", ");
}

function agent(one, state) {
  const info = one.agent_info ?? {};
  const address = /@((?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-fA-F:]{2,45}\]):\d{1,5})$/.exec(text(one.pid));
  return {
    id: id(info.id),
    host: text(info.hostname),
    state: state ?? (one.drain_info ? text(one.drain_info.state) : one.deactivated ? "DEACTIVATED" : one.active ? "ACTIVE" : "INACTIVE"),
    address: address ? address[1] : "",
    version: text(one.version),
    attributes: list(info.attributes).map((part) => [text(part.name), described(part)]),
    total: resources(one.total_resources ?? info.resources),
    used: resources(one.allocated_resources),
    offered: resources(one.offered_resources),
    registered: seconds(one.registered_time),
    reregistered: seconds(one.reregistered_time),
    tasks: 0,
  };
}

function framework(one, completed) {
  const info = one.framework_info ?? {};
  return {
    id: id(info.id),
    name: text(info.name),
    state: completed ? "COMPLETED" : one.recovered ? "RECOVERED" : !one.connected ? "DISCONNECTED" : one.active ? "ACTIVE" : "INACTIVE",
    user: text(info.user),
    host: text(info.hostname),
    roles: list(info.roles).map(text).concat(text(info.role) || []),
    principal: text(info.principal),
    page: text(info.webui_url),
    failover: Number(info.failover_timeout ?? 0),
    capabilities: list(info.capabilities).map((part) => text(part.type)),
    labels: labels(info.labels),
    used: resources(one.allocated_resources),
    registered: seconds(one.registered_time),
    reregistered: seconds(one.reregistered_time),
    unregistered: seconds(one.unregistered_time),
    tasks: 0,
  };
}

const labels = (value) => list(value?.labels).map((one) => [text(one.key), text(one.value)]);

const ENDED = new Set(["FINISHED", "FAILED", "KILLED", "ERROR", "LOST", "DROPPED", "GONE", "GONE_BY_OPERATOR"]);

function task(one, agents) {
  const statuses = list(one.statuses).map((status) => ({
    state: text(status.state).replace(/^TASK_/, ""),
    message: text(status.message),
    reason: text(status.reason).replace(/^REASON_/, ""),
    source: text(status.source).replace(/^SOURCE_/, ""),
    healthy: status.healthy,
    time: Number(status.timestamp ?? 0),
  }));
  const last = statuses[statuses.length - 1];
  const state = text(one.state).replace(/^TASK_/, "") || "UNKNOWN";
  const agentId = id(one.agent_id);
  const found = {
    id: id(one.task_id),
    name: text(one.name),
    framework: id(one.framework_id),
    agent: agentId,
    host: agents.get(agentId)?.host ?? "",
    executor: id(one.executor_id) || id(one.task_id),
    user: text(one.user),
    state,
    ended: ENDED.has(state),
    healthy: last?.healthy,
    message: last?.message ?? "",
    since: last?.time ?? 0,
    labels: labels(one.labels),
    asked: resources(one.resources),
    statuses,
  };
  found.version = found.labels.find(([key]) => key === "version")?.[1] ?? "";
  return found;
}
