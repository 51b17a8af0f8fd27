"""The command ``daqsched-executor``: finds the part that is meant, and imports nothing of the others.

An executor runs beside every program of a farm, so each module that it does not import counts.
"""

from __future__ import annotations

import gc
import sys

USAGE = """\
usage: daqsched-executor run       one job's executor; a Mesos agent starts it
       daqsched-executor forward   the machine's forwarder of lines; see daqsched-executor forward --help
       daqsched-executor --version
"""


def main(argv: list[str] | None = None) -> int:
    """The console script. Returns the exit status; 2 for a command that does not exist."""
    words = sys.argv[1:] if argv is None else argv
    command = words[0] if words else ""
    if command == "run":
        gc.disable()  # nothing that start-up makes is garbage
        from daqsched_executor.lean import keep_out

        keep_out()
        from daqsched_executor.out import catch
        from daqsched_executor.run.main import main as run

        catch()
        return run(words[1:])
    if command == "forward":
        from daqsched_executor.forward.command import main as forward
        from daqsched_executor.out import catch

        catch()
        return int(forward(words[1:]) or 0)
    from daqsched_executor.out import say

    if command == "--version":
        from daqsched_executor import __version__

        say(f"daqsched-executor {__version__}")
        return 0
    if command in ("--help", "-h"):
        say(*USAGE.splitlines())
        return 0
    mistake = f"there is no command {command!r}" if command else "a command is missing"
    say(f"daqsched-executor: {mistake}", *USAGE.splitlines(), file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
