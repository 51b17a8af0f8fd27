"""How things look in a terminal: values in, rich's renderables out. A colour never says what a word does not.

`show` has the farm, `show_changes` what changes it, `rejected` whom something does not concern, `unmatched` words that
mean nothing, `preflight_table` a preflight, `show_rights` who may do what, `show_proposals` what waits, `heat` a map of
counts; `hosts_alike` tells a reason of many hosts once; `keyboard` is who types, `unseen` a password. All are drawn on
the `canvas` and leave by `out`, which let nothing of others' through that acts on a terminal.
"""
