"""What people are told of the farm: questions to the engine's state, values out. Pure.

`rows` are what all of them are told in, `status` makes those of the engine, `board` what a page draws of them,
`blocked` which of them are blocked, `why` the reasons. `plan` is what an apply would change, `moves` what of that may
run twice meanwhile, `estimate` and `placement` what it would come to, `stays` what
somebody's hold keeps from running then, `look` what is asked of hosts before it, all of
them of a `snapshot`; `needed` is which rights it needs. `names` are what a word may become that somebody begins to
type.
"""
