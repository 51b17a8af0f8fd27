"""The end of a program whose executor has to go at once, after a mistake of ours or without its warden: its lines are not lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daqsched_executor.log import Log, place_of
from daqsched_executor.machine.kernel import Kernel
from daqsched_executor.machine.warden import end_all

if TYPE_CHECKING:
    from daqsched_executor.machine.relay import Relay


def end_with_lines(kernel: Kernel, relay: Relay | None, log: Log) -> None:
    """Kill all that is below us. What the program prints until its end is left to the relay process; where there is none, or it is
    gone, we move that."""
    if relay is not None:
        relay.let_go()
    end_all(kernel)
    try:
        if relay is not None and all(one.pid != relay.process for one in kernel.descendants()):
            relay.take_all()
    except Exception as error:
        log.say(f"the last lines are not moved: {place_of(error)}")


def take_lines(relay: Relay | None) -> None:
    """Of a program that is being ended; what can't be moved now is left to the relay process. It is called so often that it says
    nothing."""
    if relay is None:
        return
    for pipe in relay.pipes:
        try:
            relay.take(pipe)
        except Exception:
            continue
