"""The only place that knows Mesos: the master's scheduler API, and what agents show.

`connection` is between engine and master, over pymesos' `driver`, its `subscription`, and `calls`, with
`credentials`; `detection` finds the master that leads. What translates between Mesos' messages and the engine's own
values is pure: `incoming` and `outgoing`, with `resources`.
`agents` reads sandboxes.
"""
