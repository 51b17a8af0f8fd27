// What the daemon answers. Made of docs/reference/openapi.json by tests/unit/test_wire_types.py; not to be edited.

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

export interface Done {
  at: number;
  id: string;
  lines?: string[];
  name: string;
  ok: boolean;
  words: string;
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

export interface LinesAnswer {
  lacks?: string[];
  lines: StoredLine[];
  says?: string;
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

export interface RightsAnswer {
  called: string[];
  file?: string;
  in_force: boolean;
  large?: boolean;
  name: string;
  trouble?: string;
  verbs: Record<string, string>;
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
