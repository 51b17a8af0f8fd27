"""The scheduler's mind: `Engine.handle` takes what happened and returns what to do. No clock, socket or thread in it.

One thread owns an engine. Its rules, in short:

- an instance (a job on a host) has at most one task that may be alive, and none is launched while anybody could still
  be running the last one: `unreachable` and `unknown` tasks block their instance;
- what is launched was saved before; what is acknowledged was saved before (`commands` says how);
- whoever ends without being asked is started again on the same host, after a back-off that has a cap, and no end unless
  the job says so;
- nothing is launched before what it comes after is up; once launched, nothing is stopped for that;
- a machine that is found by attributes is remembered until its own offer, or the crew, says otherwise;
- offers are asked for while something waits, and suppressed while nothing does and no new machine could be of use.

Inside, imports go one way: `engine` (which event goes where) -> `offers`, `tasks`, `desired`, `preflight_steps` (what each kind of
event leads to) -> `farm` (the instances and their indexes) -> `start_order` (what comes after what), `preflight_state` (hosts that
are asked whether jobs could start) -> `instance`.
"""
