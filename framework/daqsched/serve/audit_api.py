"""The daemon's answer to who changed what: lines of the audit file, for admins."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from typing import Any, Optional

from starlette.requests import Request
from starlette.routing import Route

from daqsched import times
from daqsched.errors import Refused
from daqsched.protocol import AuditAnswer
from daqsched.serve.audit import REFUSED, Audit
from daqsched.serve.audit_trail import page
from daqsched.serve.http import caller_of, ensure_insider, is_owner, permit_of_all, route, whose
from daqsched.serve.planning import Turns
from daqsched.serve.request_body import count_of, number_of, text_of

#: So many lines an answer has at most.
MOST_LINES = 1000


class AuditRoutes:
    """One route; one caller at a time has a file read."""

    def __init__(self) -> None:
        self._turns = Turns(1)

    @property
    def routes(self) -> list[Route]:
        """For the application."""
        return [route("GET", "/audit", self.audit)]

    async def audit(self, request: Request) -> AuditAnswer:
        caller = caller_of(request)
        permit_of_all(request, "audit")
        ensure_insider(caller, is_owner(caller.uid), "the audit file says what everybody asked for")
        audit: Optional[Audit] = request.scope.get("audit")
        if audit is None:
            raise Refused("this daemon writes no audit file")
        user, operation, refused = text_of(request, "user"), text_of(request, "operation"), text_of(request, "refused")
        since, until = number_of(request, "since", 0.0), math.floor(number_of(request, "until", 0.0))
        most = count_of(request, "most", 100, MOST_LINES)

        def wanted(fields: Mapping[str, Any]) -> bool:
            if user and fields.get("user") != user:
                return False
            if operation and operation not in (fields.get("operation"), str(fields.get("operation")).partition(" ")[0]):
                return False
            return not refused or fields.get("result") == REFUSED

        async with self._turns.of(whose(request)):
            found = await asyncio.to_thread(page, audit.path, wanted, times.iso(since) if since else "", until, most)
        return AuditAnswer(found.lines, found.next)
