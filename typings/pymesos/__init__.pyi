# What daqsched uses of pymesos 0.3.15, by its source.
import logging
from collections.abc import Mapping
from typing import Any

from .detector import MasterDetector
from .process import Process

logger: logging.Logger

class Scheduler: ...

class MesosSchedulerDriver(Process):
    framework_id: str | None
    master_uri: str
    detector: MasterDetector | None
    sched: Any
    version: str | None
    _conn: Any
    def __init__(
        self,
        sched: Scheduler,
        framework: Mapping[str, Any],
        master_uri: str,
        use_addict: bool = ...,
        implicit_acknowledgements: bool = ...,
        principal: str | None = ...,
        secret: str | None = ...,
        failover: bool = ...,
        timeout: float = ...,
    ) -> None: ...
    def stop(self, failover: bool = ...) -> None: ...
    def gen_request(self) -> bytes: ...
    def on_subscribed(self, info: Any) -> None: ...
    def _get_conn(self) -> Any: ...
    def launchTasks(self, offer_ids: Any, tasks: Any, filters: Any = ...) -> None: ...
    def declineOffer(self, offer_ids: Any, filters: Any = ...) -> None: ...
    def killTask(self, task_id: Any) -> None: ...
    def reviveOffers(self, roles: Any = ...) -> None: ...
    def _send(self, body: Any, path: str = ..., method: str = ..., headers: dict[str, str] = ...) -> Any: ...
