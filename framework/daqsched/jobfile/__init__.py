"""The words of a job file, what can be wrong with them, and how a file becomes a spec.

Words: `job`, `parts`, `checks`, `variables`. Mistakes: `rules` of one job, `check_rules` of its checks, `conflicts`
between several; in the text of a file (`source`) `unknown_fields`, what is `unused`, and where it sees to errors
itself (`caught_errors`). `load` evaluates a file, `alternatives` once for each choice of a shifter's, `convert` makes
structs of the spec out of what the crew wrote; `differences` says it back in the file's words.
"""
