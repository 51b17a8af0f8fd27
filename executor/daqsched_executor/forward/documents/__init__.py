"""From bytes to documents, pure: `lines` splits, `record` names the fields, `columns` fills them for many lines at once,
`batch` is a bulk request's body and what the reply to it means. One form for each format: `daqsched_executor.forward.forms`.
"""
