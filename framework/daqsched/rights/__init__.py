"""Who may do what: decided here alone, wherever a request comes in, by values. Pure.

`principal` is who asks; `verbs` what can be asked for, and the role that each needs; `rules` the file with a farm's
rules, as it is read (`marked_values`: with the line of each value); `grants` what these give one person, and why not
more. `tokens` and `sessions` prove who comes over the network, `identity_provider` is what is told by one of these,
`login_pace` slows down whoever guesses. `unsaid` takes what is hidden out of sentences.
"""
