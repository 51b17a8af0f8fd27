"""How far the forwarder has come, on the disk before anything is sent.

`position` has the places in streams and what is planned, `marks` when bytes were seen; `ledger` is what the records come to,
`journal` the file that survives a kill at any moment.
"""
