"""Who may do what: decided here alone, for every door, by values. Pure.

`principal` is who asks, as a door found out; `verbs` what can be asked for, and the role that each needs; `rules` the file with
a farm's rules, as it is read; `grants` what these give one person, and why not more.
"""
