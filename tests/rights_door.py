"""A socket of a daemon, whose callers have the groups that the test says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import msgspec
from starlette.routing import Route

from builders import job
from daqsched.client import Client
from daqsched.serve.accounts import Accounts
from daqsched.serve.rights_in_force import RightsInForce
from daqsched.serve.serving import Serving
from daqsched.spec import Spec
from hostile import REQUESTS
from served import Serve

CHANGED = Spec(jobs=(job(release="2"),))
BODIES: dict[str, Any] = {
    **REQUESTS,
    "apply": msgspec.structs.replace(REQUESTS["apply"], spec=CHANGED, only=[], strategy=None, if_unchanged=""),
    "plan": msgspec.structs.replace(REQUESTS["plan"], spec=CHANGED, only=[], strategy=None),
    "preflight": msgspec.structs.replace(REQUESTS["preflight"], spec=CHANGED, select=[]),
    "propose": msgspec.structs.replace(REQUESTS["propose"], spec=CHANGED, only=[], strategy=None),
    "take": msgspec.structs.replace(REQUESTS["take"], force=False),
    "rollback": msgspec.structs.replace(REQUESTS["rollback"], revision=1, strategy=None),
}


class Door:
    """A socket whose callers are whom the test says; the daemon's own account is nobody there."""

    def __init__(self, serve: Serve, folder: Path, rights: RightsInForce) -> None:
        self.groups: tuple[str, ...] = ()
        self.path, self.rights = folder / "door", rights
        accounts = Accounts(lambda uid: "bob", lambda uid: self.groups)
        self._accounts = accounts
        self._serving = Serving(self.path, "", serve.api.app, accounts=accounts, rights=rights)
        self.routes = [
            (method, route.path.partition("/v1/")[2])
            for route in serve.api.app.routes
            if isinstance(route, Route)
            for method in route.methods or ()
            if method != "HEAD"
        ]
        self.client = Client(self.path)
        self.http = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(self.path), verify=False), base_url="http://daqsched", timeout=30
        )

    def come(self, *groups: str) -> None:
        """From now on callers are in these groups."""
        self.groups = groups
        self._accounts._groups.known.clear()

    def ask(self, method: str, path: str) -> httpx.Response:
        body = BODIES.get(path.replace("{id}", "id"))
        url = path.replace("{number}", "1").replace("{id}", "x").replace("{host}", "hlt01")
        if (method, path) == ("GET", "names"):
            url += "?of=job"
        return self.http.request(
            method, f"/v1/{url}", content=msgspec.json.encode(body) if method == "POST" and body is not None else None
        )

    def close(self) -> None:
        self.http.close()
        self.client.close()
        self._serving.close()
        self.rights.close()
