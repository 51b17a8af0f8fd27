"""What every answer and request has: the version, what a daemon is, why something was refused."""

from __future__ import annotations

import msgspec

from daqsched.confirm import Ending

#: First part of every path; raised when an older CLI could misunderstand the daemon.
API = "/v1"


class Info(msgspec.Struct):
    """GET /v1/info"""

    version: str
    pid: int
    framework_id: str
    master: str
    connected: bool
    revision: int
    elasticsearch: str
    index: str
    #: Whether the daemon searches lines for those who ask.
    lines: bool = False


class Problem(msgspec.Struct):
    """The body of every answer that is not 200."""

    error: str
    exit_code: int = 1
    #: For programs: one of `problems.CODES`; and what to do. Empty: a daemon before that does not say.
    code: str = ""
    next: str = ""


class UnconfirmedProblem(Problem):
    """The same where more programs would end than was agreed to, or what is somebody else's."""

    #: The number to agree to, as `stops` of the request, of so many.
    stops: int = 0
    running: int = 0
    endings: tuple[Ending, ...] = ()
    #: What would end of somebody else's, a paused rollout or what is run by hand, as a sentence; empty: nothing.
    paused: str = ""
