"""A program's life as pure functions: what happens, and what is to be done then (`lifecycle.handle`).

`lifecycle` puts the parts together: `events` come in, `commands` go out, `state` is all that is known. The way to a
running program is `starting`, then it has `started`; `stopping` is the way out, with `hooks`, and `ending` the last
report. `checks` say whether it is well, as a `health`; `notify` is one message of its heartbeat, `operator_commands`
what is asked of it meanwhile. `words` and `check_words` are the sentences, `tail` its last lines; `outbox` sends
updates. `survey` looks whether jobs could start.
"""
