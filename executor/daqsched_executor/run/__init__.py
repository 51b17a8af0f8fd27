"""``daqsched-executor run``: the loop that joins a program's life, the machine, and a Mesos agent.

`main` makes the process ready, `executor` puts all together around one `loop`. `mesos` is the agent, by `call`, with
the task's `updates`; `streams` are the job's files, whose `registration` the forwarder reads, `moving` fills them
where a program prints into pipes or a terminal, `console` is for people at that, `notify` hears its heartbeats.
`checks` are carried out as `probes` says, by `port_probe`, `output_probe` and `side_commands`. What may hang is asked
by `forked_query`, and closed by `closing`; `survey` forks the children of a survey, `forced_end` ends a program whose
executor has to go, `container_start` is what `machine` needs of `container`.
"""
