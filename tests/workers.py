"""Which of pytest's workers takes which file: some have servers of their own, and nobody waits while there is something to do."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Optional

from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

from beside import SERVERS, machines, needs

#: Files that one worker takes: those that look at all that is written, and would each parse it for itself (`trees`), and those that
#: would each start an Elasticsearch with its security on (`secured`).
TOGETHER = (
    {
        f"tests/unit/test_{name}.py"
        for name in ("boundaries", "denials", "pages", "plural", "typed_lines", "vocabulary")
    },
    {f"tests/cluster/test_{name}.py" for name in ("audit_copy", "lines_rights", "logs_page", "reader_roles", "rights")},
)

#: So many workers run files that need servers: each of them has a Mesos and an Elasticsearch, which two cores just bear. What needs
#: none waits most of its time, and is for the others meanwhile.
WITH_SERVERS = 4


def next_file(files: Iterable[str], with_servers: bool, beside_machines: bool) -> Optional[str]:
    """Which of those that are left, in their order, a worker takes; None: nothing for it.

    One with servers takes first what needs them, but beside machines what needs none.
    """
    left = list(files)
    servers = [file for file in left if needs(Path(file)) in SERVERS]
    others = [file for file in left if needs(Path(file)) not in SERVERS]
    mine = [servers] if with_servers else []
    for some in [others, *mine] if beside_machines else [*mine, others]:
        if some:
            return some[0]
    return None


class Files(LoadFileScheduling):
    """xdist's sharing out of files, but which comes next says `next_file`, and which go together `TOGETHER`."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return next((min(some) for some in TOGETHER if file in some), file)

    def _assign_work_unit(self, node: WorkerController) -> None:
        running = machines()
        beside_machines = running is not None and not running.wait(0)
        first = next_file(self.workqueue, node in self.nodes[:WITH_SERVERS], beside_machines)
        if first is None:
            node.shutdown()
            return
        self.workqueue.move_to_end(first, last=False)
        super()._assign_work_unit(node)
