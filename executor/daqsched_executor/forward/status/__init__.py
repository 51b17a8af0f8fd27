"""What the forwarder says about itself.

`status` has the counts and warnings and writes status.json and metrics.prom, `report` puts them into words, `sd_notify` sends
them to whoever started the forwarder. `threads` starts threads, none of which can die alone; `last_end` is why one did.
"""
