// What the daemon answers. Made of docs/reference/openapi.json by tests/unit/test_wire_types.py; not to be edited.

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

export interface RightsAnswer {
  called: string[];
  file?: string;
  in_force: boolean;
  large?: boolean;
  name: string;
  trouble?: string;
  verbs: Record<string, string>;
}
