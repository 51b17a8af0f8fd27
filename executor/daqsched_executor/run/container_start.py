"""What `machine` needs of `container`, which is above it: imported where it is used, as few jobs have a container."""

from __future__ import annotations

from daqsched_executor.contract import Payload
from daqsched_executor.machine.kernel import Kernel


class ContainerStart:
    """See `machine.child.Contained`."""

    def prepare(self) -> None:
        """See there."""
        from daqsched_executor.container import spec  # noqa: F401

    def enter(
        self, payload: Payload, kernel: Kernel, parent: int, talk: int, output: tuple[int, ...], order: int, notify: str
    ) -> None:
        """See there."""
        from daqsched_executor.container.entry import become_runner

        become_runner(payload, kernel, parent, talk, output, order, notify)

    def last(self, words: bytes) -> tuple[bool, float]:
        """See there."""
        from daqsched_executor.container.spec import last_of

        last = last_of(words)
        return last.out_of_memory, last.limit
