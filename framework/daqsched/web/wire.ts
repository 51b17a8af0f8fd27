// What the daemon answers. Made of docs/reference/openapi.json by scripts/wire-types; not to be edited.

export interface InControl {
  part: null | string;
  user: string;
  since: number;
  until: number;
  message?: string;
  before?: string;
  forced?: boolean;
  yours?: boolean;
}

export interface FarmHead {
  states: Record<string, number>;
  total: number;
  as_desired: number;
  revision: number;
  digest: string;
  user: string;
  applied: number;
  master: string;
  connected: boolean;
  leader: string;
  read_only: string;
  audit: string;
  elasticsearch: string;
  rollout: string;
  control: InControl[];
}

export interface BoardAnswer {
  epoch: string;
  v: number;
  now: number;
  states: Record<string, string>;
  jobs: string[];
  hosts: string[];
  job: number[];
  host: number[];
  s: string;
  t: number[];
  restarts: [number, number][];
  why: [number, number][];
  release: number[];
  marks: string;
  words: string[];
  farm: FarmHead;
}

export interface BoardDelta {
  v: number;
  now: number;
  words?: string[];
  c?: [number, string, number, number, number, number, number][];
  jobs?: string[];
  hosts?: string[];
  job?: number[];
  host?: number[];
  farm?: FarmHead;
}

export interface RightsAnswer {
  name: string;
  called: string[];
  verbs: Record<string, string>;
  in_force: boolean;
  file?: string;
  trouble?: string;
  large?: boolean;
}
