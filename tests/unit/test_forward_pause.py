"""How long a sender waits for an Elasticsearch that does not answer, when another sender is answered."""

from __future__ import annotations

import threading
from typing import Any, Callable, Optional

import pytest

from daqsched_executor.forward.delivery.connection import Reply
from daqsched_executor.forward.delivery.elastic import Answers, Elastic
from daqsched_executor.forward.documents.batch import Batch, Documents


class Clock(threading.Event):
    """Time passes only when somebody waits; ``then`` is told how much has, each time."""

    def __init__(self, then: Callable[[float], None]) -> None:
        super().__init__()
        self.now = 0.0
        self._then = then

    def wait(self, timeout: Optional[float] = None) -> bool:
        assert timeout is not None
        self.now += timeout
        self._then(self.now)
        return self.is_set()


class Server:
    """What `Connection` is to `Elastic`: down, or it stores all."""

    node = "http://es1:9200"

    def __init__(self) -> None:
        self.error: Optional[OSError] = ConnectionRefusedError("refused")

    def request(self, method: str, path: str, body: Any = None, kind: str = "") -> Reply:
        if self.error is not None:
            raise self.error
        return Reply(200, b'{"errors":false}')


BATCH = Batch(1, "logs-2026.11.27", Documents([b"{}\n{}\n"]))


def stored_after(server: Server, answers: Answers, then: Callable[[float], None]) -> float:
    """Seconds until a sender has stored a batch."""
    clock = Clock(then)
    made: Any = server

    def warn(about: str, sentence: str) -> None:
        pass

    sender = Elastic(made, "logs", warn, warn, clock, lambda one: None, answers, chance=lambda: 0.0)
    assert sender.deliver(BATCH).complete
    return clock.now


def test_the_first_answer_after_an_outage_ends_the_wait_of_all() -> None:
    """Another sender is answered 60 s after the server went: not half a minute later than that one."""
    server, answers = Server(), Answers()

    def then(now: float) -> None:
        if now >= 60.0:
            server.error = None
            answers.count = 1

    assert 60.0 <= stored_after(server, answers, then) < 61.0


@pytest.mark.parametrize("error", [ConnectionResetError("reset"), TimeoutError("timed out")])
def test_a_request_that_fails_while_others_are_answered_waits_ever_longer(error: OSError) -> None:
    """It may be the request: it is not sent each time that another one is answered, nor where the server has no time."""
    server, answers = Server(), Answers()
    server.error = error
    waits: list[float] = []

    def then(now: float) -> None:
        waits.append(now)
        answers.count += 1
        if now > 100.0:
            server.error = None

    stored_after(server, answers, then)
    assert len(waits) < 15
