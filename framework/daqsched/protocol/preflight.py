"""What machines say before anything is started on them."""

from __future__ import annotations

import msgspec

from daqsched.preflight import PreflightFindings
from daqsched.spec import Spec


class PreflightRequest(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/preflight -> `PreflightBegun`: asks the hosts; words as in `daqsched.select`."""

    spec: Spec
    select: list[str] = []
    #: Who has not answered by then counts as silent.
    timeout_s: float = 60.0
    #: Not asked, though selected; words as those.
    without: list[str] = []


class PreflightBegun(msgspec.Struct):
    """Where the answers are: GET /v1/preflight/ID."""

    id: str
    #: How many hosts are asked.
    hosts: int


class PreflightAnswer(msgspec.Struct):
    """GET /v1/preflight/ID?seen=VERSION&wait_s=S: at once if the version is not VERSION, else on a change."""

    version: int
    answer: PreflightFindings
