// What the daemon answers. Made of docs/reference/openapi.json by tests/unit/test_wire_types.py; not to be edited.

export interface AsideAnswer {
  leases: Lease[];
  now: number;
}

export interface AuditCopied {
  lines?: number;
  since?: number;
  trouble?: string;
}

export interface BoardAnswer {
  epoch: string;
  farm: FarmHead;
  host: number[];
  hosts: string[];
  job: number[];
  jobs: string[];
  marks: string;
  now: number;
  release: number[];
  restarts: [number, number][];
  s: string;
  states: Record<string, string>;
  t: number[];
  v: number;
  why: [number, number][];
  words: string[];
}

export interface BoardDelta {
  c?: [number, string, number, number, number, number, number][];
  farm?: FarmHead | null;
  host?: number[];
  hosts?: string[];
  job?: number[];
  jobs?: string[];
  now: number;
  v: number;
  words?: string[];
}

export interface BoardReset {
  why: string;
}

export interface CheckSpec {
  address?: string;
  argv?: string[];
  failures?: number;
  grace_s?: number;
  interval_s?: number;
  kind: string;
  name: string;
  path?: string;
  pattern?: string;
  port?: number | string;
  silence_s?: number;
  stream?: string;
  timeout_s?: number;
  unhealthy?: string;
}

export interface Container {
  devices?: string[];
  engine?: string;
  image: string;
  network?: string;
  volumes?: string[];
}

export interface ControlAnswer {
  control: InControl[];
  now: number;
}

export interface CountLinesAnswer {
  groups: LineGroup[];
  lacks?: string[];
  total: number;
}

export interface Done {
  at: number;
  id: string;
  lines?: string[];
  name: string;
  ok: boolean;
  words: string;
}

export interface EndLimit {
  programs?: number;
  share?: string;
}

export interface Exit {
  at: number;
  code?: null | number;
  core?: boolean;
  left?: number;
  limit?: number;
  lines?: string[];
  out_of_memory?: boolean;
  peak?: number;
  printed?: boolean;
  ran_s: number;
  signal?: null | string;
  why?: string;
}

export interface Failure {
  at: number;
  host: string;
  job: string;
  why: string;
}

export interface FarmHead {
  applied?: number;
  as_desired?: number;
  audit?: string;
  connected?: boolean;
  control?: InControl[];
  digest?: string;
  elasticsearch?: string;
  leader?: string;
  master?: string;
  read_only?: string;
  revision?: number;
  rollout?: string;
  states?: Record<string, number>;
  total?: number;
  user?: string;
}

export interface FollowLinesAnswer {
  follow: string;
  lines: StoredLine[];
  more?: boolean;
  says?: string[];
}

export interface HistoryAnswer {
  next?: number;
  revisions: RevisionHead[];
}

export interface InControl {
  before?: string;
  forced?: boolean;
  message?: string;
  part: null | string;
  since: number;
  until: number;
  user: string;
  yours?: boolean;
}

export interface Incident {
  applied: number;
  count: number;
  earlier?: boolean;
  first: number;
  hosts: string[];
  how: string;
  jobs: string[];
  last: number;
  line: string;
  printed?: boolean;
  release: string;
  revision: number;
}

export interface IncidentsAnswer {
  daemon?: number;
  incidents: Incident[];
  now: number;
}

export interface JobSpec {
  action_timeout_s?: number;
  actions?: Record<string, string[]>;
  after?: string[];
  argv: string[];
  attributes?: Record<string, string>;
  checks?: CheckSpec[];
  console?: boolean;
  container?: Container | null;
  cpus?: number;
  critical?: boolean;
  cwd?: string;
  disk?: number;
  env?: Record<string, string>;
  forward?: boolean;
  hosts?: string[];
  labels?: Record<string, string>;
  libraries?: boolean;
  limits?: Record<string, number>;
  lock?: boolean;
  mem?: number;
  name: string;
  needs?: string[];
  output?: string;
  owner?: string;
  part?: string;
  ports?: Record<string, number>;
  release?: string;
  replaces?: string[];
  restart?: Restart;
  setuid?: boolean;
  shifter_actions?: string[];
  start?: string;
  stop?: Stop;
  user?: string;
}

export interface Journal {
  directory?: string;
  enabled?: boolean;
  hosts?: string[];
  units?: string[];
}

export interface JsonLines {
  address?: string;
  buffer?: number;
  hosts?: string[];
  udp?: number;
}

export interface Lease {
  at: number;
  host: string;
  message: string;
  until: number;
  user: string;
}

export interface LineGroup {
  count: number;
  time?: number;
  values: string[];
}

export interface LinesAnswer {
  lacks?: string[];
  lines: StoredLine[];
  says?: string;
}

export interface LogFiles {
  charset?: string;
  follow_links?: boolean;
  from_start?: boolean;
  hosts?: string[];
  labels?: Record<string, string>;
  level?: string;
  multiline?: string;
  name: string;
  paths: string[];
  time?: string;
}

export interface LogbookEntry {
  message: string;
  number: number;
  time: number;
  user: string;
}

export interface LoggingSpec {
  api_key_file?: string;
  ca_file?: string;
  disk?: number;
  elasticsearch?: string;
  enabled?: boolean;
  files?: LogFiles[];
  index?: string;
  journal?: Journal;
  json?: JsonLines;
  keep?: number;
  period?: string;
  run_file?: string;
  syslog?: Syslog;
  user_file?: string;
  when_full?: string;
}

export interface NoteAnswer {
  next?: number;
  notes: LogbookEntry[];
}

export interface PartSpec {
  confirm?: EndLimit | null;
  rollout?: Strategy | null;
}

export interface Report {
  activity: string;
  ailment?: string;
  authenticated?: boolean | null;
  carries?: boolean;
  done?: Done | null;
  healthy?: boolean | null;
  held?: boolean;
  lacks?: string;
  last_exit?: Exit | null;
  pid?: number;
  ready?: boolean;
  restarts?: number;
  rules?: string;
  says?: string;
  since?: number;
  snoozed?: number;
  until?: number;
  version?: number;
}

export interface Restart {
  budget?: number;
  cap_s?: number;
  delay_s?: number;
  factor?: number;
  give_up?: number;
  policy?: string;
  reset_s?: number;
  success_codes?: number[];
  window_s?: number;
}

export interface RevisionAnswer {
  head: RevisionHead;
  spec: Spec;
  taken?: Record<string, number>;
}

export interface RevisionHead {
  changes?: Record<string, number>;
  digest: string;
  message: string;
  notes?: LogbookEntry[];
  number: number;
  part?: string;
  rollout?: RolloutOutcome | null;
  source?: string;
  time: number;
  user: string;
  went?: string;
}

export interface RightsAnswer {
  called: string[];
  file?: string;
  in_force: boolean;
  large?: boolean;
  name: string;
  trouble?: string;
  verbs: Record<string, string>;
}

export interface Rollout {
  as_asked?: boolean;
  at?: number;
  batch_began?: number;
  batches: number;
  before: number;
  began: number;
  cause?: string;
  changed?: number;
  complete?: number;
  ended?: number;
  failed?: number;
  failures?: Failure[];
  guard?: string;
  hosts: number;
  instances: number;
  kind: "apply" | "restart";
  message: string;
  number: number;
  part?: string;
  paused_by?: string;
  reached?: number;
  ready_since?: number;
  replaced_by?: number;
  revision: number;
  state?: "aborted" | "done" | "paused" | "rolled-back" | "running";
  strategy: Strategy;
  unreached?: string[];
  user: string;
  why?: string;
}

export interface RolloutAnswer {
  lagging: [string, string, string][];
  now: number;
  rejected?: [string, string, string][];
  rollout: Rollout | null;
  words?: string;
}

export interface RolloutOutcome {
  batch: number;
  batches: number;
  ended?: number;
  instances?: number;
  number: number;
  reached?: number;
  replaced_by?: number;
  state: "aborted" | "done" | "paused" | "rolled-back" | "running";
  unreached?: string;
  why: string;
}

export interface Row {
  behind?: number;
  blocked?: boolean;
  borrowed?: string;
  desired?: boolean;
  held?: boolean;
  host: string;
  job: string;
  outdated?: boolean;
  part?: string;
  pid?: number;
  ports?: Record<string, number>;
  reason?: string;
  release?: string;
  report?: Report | null;
  restarts?: number;
  since?: number;
  state: "ASIDE" | "BACKOFF" | "FAILED" | "FINISHED" | "RUNNING" | "STARTING" | "STOPPED" | "STOPPING" | "UNHEALTHY" | "UNKNOWN" | "UNREACHABLE" | "WAITING";
  task_id?: string;
  wanted?: boolean;
}

export interface Selected {
  agent?: string;
  agent_before?: string;
  count: number;
  dependents?: string[];
  ends?: null | number;
  forwarders?: number;
  others?: number;
  rejected?: [string, string, string][];
  running?: number;
  waiting?: [string, string, string][];
  which?: string;
}

export interface Spec {
  confirm?: EndLimit | null;
  jobs?: JobSpec[];
  logging?: LoggingSpec;
  logging_part?: string;
  part?: string;
  parts?: Record<string, PartSpec>;
  rollout?: Strategy | null;
  source?: string;
  variants?: JobSpec[];
  version?: number;
}

export interface StandbyCopied {
  daemon?: string;
  lines?: number;
  since?: number;
  told?: number;
  trouble?: string;
}

export interface StatusAnswer {
  absent?: string;
  applied: number;
  audit?: string;
  audit_copy?: AuditCopied | null;
  connected: boolean;
  control?: InControl[];
  digest: string;
  doubt?: string;
  held?: string;
  hint?: string;
  illegal_transitions?: number;
  leader?: string;
  master: string;
  next?: string;
  now: number;
  read_only?: string;
  revision: number;
  rollout?: string;
  rows: Row[];
  standby_copies?: StandbyCopied[];
  unauthenticated?: string[];
  unmatched?: string[];
  user: string;
}

export interface Stop {
  after?: string[];
  before?: string[];
  grace_s?: number;
  hook_timeout_s?: number;
  second_grace_s?: number;
  second_signal?: string;
  signal?: string;
}

export interface StoredLine {
  created?: number;
  dataset?: string;
  dead?: string;
  fingerprint?: string;
  flags?: string[];
  host: string;
  id: string;
  job: string;
  late?: boolean;
  level: string;
  message: string;
  offset?: number;
  release?: string;
  run?: string;
  start?: number;
  stream: string;
  task_id?: string;
  time: number;
}

export interface StoriesAnswer {
  hint?: string;
  stories: Story[];
  unmatched?: string[];
}

export interface Story {
  changes?: RowsChange[];
  evidence?: string[];
  host: string;
  job: string;
  state: string;
  why: string;
}

export interface Strategy {
  batches?: (number | string)[];
  failures?: number;
  guard?: string;
  on_failure?: "pause" | "rollback";
  pause_after?: number[];
  ready_s?: number;
  timeout_s?: number;
}

export interface Syslog {
  address?: string;
  buffer?: number;
  hosts?: string[];
  idle_s?: number;
  senders?: number;
  tcp?: number;
  udp?: number;
}

export interface WhyAnswer {
  chosen: number;
  connected?: boolean;
  control?: InControl[];
  held?: string;
  hint?: string;
  lately?: Story[];
  master?: string;
  read_only?: string;
  stories: Story[];
  unmatched?: string[];
}

export interface RowsChange {
  after: string;
  at: number;
  before: string;
  cause: string;
  reason?: string;
}
