"""What people are told of the farm: questions to the engine's state, values out. Pure.

`status` has the rows, `why` the reasons. `plan` is what an apply would change, `estimate` and `placement` what that
would come to, all of them of a `snapshot`.
"""
