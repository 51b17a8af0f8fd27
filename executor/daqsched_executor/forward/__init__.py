"""``daqsched-executor forward``: every line that a machine's jobs print, stored in Elasticsearch once.

One per machine, run as an ordinary job. A folder imports only those that are named before it: `disk`, `journal`, `documents`,
`forms`, `streams`, `delivery`, `status`, `inputs`. Lines go another way: from `inputs` and the jobs' files by `streams`, which has
`forms` make `documents` of them and the `journal` plan them, to `delivery`. `config` and `yamlfile` have what it is configured
with, `loop` puts all together, `command` is what is typed.
"""
