from typing import Any

from .interface import Executor
from .process import Process

#: The module's; `daqsched_executor.run.mesos` puts its own in its place.
logger: Any

class MesosExecutorDriver(Process):
    framework_id: dict[str, str]
    executor_id: dict[str, str]
    executor: Executor
    tasks: dict[str, Any]
    updates: dict[Any, Any]
    checkpoint: bool
    grace_shutdown_period: float
    local: bool
    def __init__(
        self, executor: Executor, use_addict: bool = ..., timeout: float = ..., http_timeout: float = ...
    ) -> None: ...
    def gen_request(self) -> bytes: ...
    def on_event(self, event: Any) -> None: ...
    def on_subscribed(self, info: Any) -> None: ...
    def sendStatusUpdate(self, status: Any) -> None: ...
