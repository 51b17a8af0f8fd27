"""Lines that were stored: searched, followed, counted, kept for so long, and read from the sandboxes where nothing
stores them.

`sources` is what `daqsched logs` asks, whichever of the two it is. Elasticsearch: `elastic` is the one way to it, by
the official client over a `node` with bounds, for somebody by a `bounded_search`; `query` is who and what is meant,
`permitted` what of it is for whom (and as roles of Elasticsearch's, which `security` puts there, `reader_roles`),
`search` and `follow` read, `answers` types what comes back, `count` and `counting` group it, `indices` says what the
indices are like. `daemon_lines` has the daemon ask all that. Sandboxes:
`sandboxes` reads their files, `sandbox_search` looks in them, by `file_tails` and `time_bisect`. For both: `lines`,
`grep`, `intervals` and `future_lines`, and what people wrote, `noted` among them. `setup` and `retention` see to the
indices, `deadletters` to what was refused, `kibana` makes objects for Kibana.
"""
