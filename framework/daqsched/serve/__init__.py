"""`daqsched serve`: the thread that owns the engine, what answers on its sockets, several daemons as one.

The daemon: `start` puts it together, `daemon` is the loop (over `queue_items`; a `performer` carries out what the
engine commands), `term` what a leader consists of, `ensemble` and `standby` (whose answers are each a
`passed_answer`) are for several, who know one another by `peers` and `peer_token`. `guards` asks a rollout's guards,
`expiry` deletes old lines; `chronicle` and `log` say what was.

Its sockets: `socketfile` makes the one in the file system, `serving` answers on all of them, `admission` takes
connections in by the `connection_budget`, `connections` ends what takes too long, at the `read_pace`; each request
comes in by the `ingress`, from one of the `callers`; `accounts` has their names and groups, `rights_in_force` what
they may, `visibility` what they see. Who comes over the network is shown the `web_certificate` and the `pages`, asks as
`web_rules` say, and is somebody by `authentication`, or by the word of a `trusted_proxy`.

Its answers: `api` is all of them, in parts `change_api` (by `plans`; `only` what means something), `revisions_api`,
`choices_api`, at the `guess_pace`, `operator_api` (`rollout_answer`), `preflight_api`,
`query_api`, `sandbox_api`, `rights_api`, `control_api`,
`proposals_api`, `token_api`, `login_api`, `oidc_api` (by a `provider`, whose word is an `id_token`), `lines_api` (by
`searches`, with `follow_sessions`, what Elasticsearch says by `disclosure`), `console_api` (with `shared_terminals`,
each of which has a `scrollback`) and `board_api` (with a `live_board`, where each visibility has a `board_view`, whose cells
and versions are in a `board_table`, and `streams`), over `http` with its `refusals` and `idempotency`; what is waited for comes as
`news`, what is long as `listed_json`; `request_body`
and `body` read what is asked, `requested` puts a change to the engine, `audit` and `audit_note` write down who asked,
into an `audit_file` that is an `audit_chain` (`audit_verify`), which `audit_api` shows as an `audit_trail` and
`audit_copy` copies to Elasticsearch, as `audit_ecs`, up to an `audit_place` that `audit_copied` looks at. `planning`
works out beside the loop what takes long; `looking` asks hosts before an apply; `time_limits` ends what may take for
ever.
"""
