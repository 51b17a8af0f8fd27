"""A daemon that leads and one that does not, each with a web port."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

import httpx

from builders import job, offer
from daqsched.engine import events
from daqsched.passwords import write
from daqsched.serve.audit_copied import CopyWatch
from daqsched.serve.ingress import WebPort
from daqsched.serve.rights_in_force import RightsInForce
from daqsched.serve.serving import Serving
from daqsched.serve.standby import Standby
from daqsched.serve.web_certificate import WebCertificate
from daqsched.spec import Spec
from daqsched.store.coordination import Card
from peers import identity
from webport import FILE, WebServe


class Pair:
    """A leader, and a standby with a web port of its own; both have the rights and the farm's key."""

    def __init__(
        self,
        folder: Path,
        rules: str = FILE,
        passwords: bool = False,
        provider: Any = None,
        proxy: Any = None,
        copied: Optional[CopyWatch] = None,
    ) -> None:
        self.identity = identity(folder / "peers.pem")
        file = folder / "passwords"
        if passwords:
            write(file, "alice", "correct horse")
        kept = file if passwords else None
        self.web = WebServe(
            folder, rules, kept, provider=provider, proxy=proxy, peers=("127.0.0.1", 0), identity=self.identity
        )
        serve = self.web.serve
        serve.daemon.put(events.Registered("fw", "m:5050"))
        serve.client.apply(Spec(jobs=(job(),)), "first")
        serve.daemon.put(events.OffersArrived((offer(),)))
        serve.settle()
        leader = self.web.serving
        self.standby = Standby(self.identity, "ctl2 (pid 9)", copied)
        self.standby.leader = Card("ctl1", leader.address, leader.token)
        self._rights = RightsInForce(folder / "rights.yaml")
        self._certificate = WebCertificate(self.web.certificate, self.web.key)
        self.serving = Serving(
            folder / "standby",
            "",
            self.standby,
            rights=self._rights,
            web=WebPort(("127.0.0.1", 0), self._certificate, proxy),
            ended=self.standby.close,
            beside=self.standby.tell_of_copy,
        )
        self.url = f"https://{self.serving.web_address}"

    def both(self, token: Optional[Path] = None, **headers: str) -> list[httpx.Client]:
        """At the leader's port, and at the standby's."""
        return [self.web.http(token, **headers), self.web.through(self.url, token, **headers)]

    def close(self) -> None:
        self.serving.close()
        self._rights.close()
        self._certificate.close()
        self.web.close()
