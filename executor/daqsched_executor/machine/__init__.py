"""The machine below an executor: processes, paths, and the system calls for them.

Before a start: `claim` is the lock on an instance, `spool` and `socket_folder` are folders, `policy` is what the
machine allows, `account` who a program runs as, `probe` and `libraries` whether its files can be read. `forking` makes
children; `child` is between fork and exec, `no_exec` says why that was refused, `no_exec_look` whether it would be,
`process` what was started, over the system calls of `kernel`, whose child is whose by `children`; `side_command` is for
what runs beside it, `relay` moves its lines, `terminal` is what some have for that, `filestore` keeps its files. At its
end `death` says of what it died. `warden` outlives the executor, and so do the small processes that are `detached`.
"""
