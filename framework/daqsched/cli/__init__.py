"""The command `daqsched`: parse, call, print, exit code. The only place that prints and the only one that exits.

A verb stands in the module that its subject has. `root` is the command itself, `group` knows which module has which
verb; `options`, `jobfiles` and `confirming` are what verbs share, `completion` is what TAB offers. `farm` applies,
shows, stops and starts, `waiting` waits until that is so; `changes` are revisions, rollouts and hosts set aside,
`borrow` runs one job by hand on such a host. `orders` are for programs that run, `console` is at the terminal of one.
`note` is the crew's logbook, `debug` a bundle for whoever is asked for help. `why` tells reasons; `files` and
`preflight` look at a job file before anything is changed. `logs` shows lines, `counts` how many there are,
`deadletter` those that Elasticsearch refused, `logsetup` what its indices are told. `variables` are what a job file
leaves to shifters, `rights` who may do what, `control` who is in control, `proposals` what waits for somebody who may
apply it, `audit` who did what, `token` and `login` ways in over the network, `password` and `cert` what these take.
`daemon` is `daqsched serve`, `backup` carries its state away and back.

Each is imported when it is called, and imports then what it needs: `daqsched status` does not wait for what only others need.
"""

from daqsched.cli.root import main

__all__ = ["main"]
