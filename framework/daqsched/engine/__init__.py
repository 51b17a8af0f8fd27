"""The scheduler's mind: `Engine.handle` takes what happened and returns what to do. No clock, socket or thread in it.

One thread owns an engine. Its rules, in short:

- an instance (a job on a host) has at most one task that may be alive, and none is launched while anybody could still
  be running the last one: `unreachable` and `unknown` tasks block their instance;
- what is launched was saved before; what is acknowledged was saved before (`commands` says how);
- whoever ends without being asked is started again on the same host, after a `backoff` that has a cap, and no end unless
  the job says so;
- nothing is launched before what it comes after is up; once launched, nothing is stopped for that;
- so many start at once on a machine as it bears (`starts`), each machine for itself;
- a host's name has one agent (`namesakes`): what another offers under it is not used while the first may still live;
- a machine that is found by attributes is remembered until its own offer, or the crew, says otherwise;
- offers are asked for while something waits, and suppressed while nothing does and no new machine could be of use (`demand`).

Inside, imports go one way. `engine` says which of the `events` goes where, and returns `commands` and a `verdict`.
What each kind leads to is in `offers`, `tasks` (whose doing an end was: `unasked_ends`), `desired`, `applying` (an
apply), `hold_steps` (stops and starts by hand), `operator_commands`, `leases` (hosts set aside), `namesake_steps`,
`rollout_requests` and `rollout_steps`,
`preflight_steps`, `logbook_steps`, `credential_steps` (tokens), `choice_steps` (what shifters may set),
`control_steps` (who is in control, which is asked before each, too), `proposal_steps`, `reconciling` (the master
comes and goes, and is asked what it knows) and `time_steps` (what time alone leads to). Before each that somebody
asked for, `permission` is asked, and `repeats`, whether it was done before; those that end programs ask `confirming`,
an apply by its `endings`. All of them work on the `farm`, whose fields are a `farm_state`: the instances, their
indexes, and what is to be done. Below it are `start_order` and `stop_order` (who waits for whom), the `desired_spec`,
`rollout_state` and `preflight_state`, `reconciling_state` (what the master is still to be asked), `executor_rules`
(by which rules an executor goes, and which it is to be told), `superseded` (which applies are not in force any more),
`effects` (what each came to, and which of the last ones changed a job), `job_owners` (since when each is its owner's),
`resources` (what an agent offers), `match` (is that enough), `incidents`, `durations` (how long programs take), and
`instance` itself. At the start `restoring` and `rollout_restoring` take in what the store has; `documents` says how
each document is written that it keeps beside revisions and records.

What people see of an instance is its state as `shown`, with its `reasons`, whose times are in a `time_format`;
`transitions` compares it after each step with what it was, `changes` are what came of that, `causes` what did them.
`machine` is what a host has free where no offer says it. `clock_shifts` sets right what a clock that was set back
would delay; `invariants` are what tests look at after every step.
"""
