"""ZooKeeper, for two or more daemons of which one leads: the state in it, and who leads.

`coordination` is what others are given, by `backends` alone. `place` says where it is, `session` speaks with it, and knows by its
`ownership_lease` for how long that holds; `nodes` keeps values of any size in it, `store` is the `Store` over them, and `election`
says who leads. docs/design/zookeeper.md says why it is so.
"""
