"""From files to planned batches.

`spool` lists the streams that executors handed over, `source` is one of them; `reader` reads all of them in turn and plans
batches (`batch_builder`), the `backlog` beside what is new, and first of all the `replay` of what the last forwarder had
planned. Which bytes of a source are what is in its `sections`. `disk_limit` drops the oldest lines where the
limit is reached, `losses` counts and reports what was dropped or lost, `run_number` knows the run that is taken.
"""
