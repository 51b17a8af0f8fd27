"""What an answer to a HTTP check comes to, however it is cut into pieces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from daqsched_executor.run.port_probe import understand

#: Answers, and what each comes to.
ANSWERS = {
    b"HTTP/1.1 200 OK\r\n\r\n": (True, ""),
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n": (True, ""),
    b"HTTP/1.1 103 Early Hints\nLink: </x>\n\nHTTP/1.0 302 Found\n\n": (True, ""),
    b"HTTP/1.1 102 Processing\r\n\r\n" * 3000 + b"HTTP/1.1 503 Busy\r\n\r\nfull": (
        False,
        "answers with HTTP 503: full",
    ),
    b"HTTP/1.1 103 Early Hints\r\n\r\nSSH-2.0\r\n": (False, "gives an answer that is not HTTP"),
    b"HTTP/1.1 100 Continue\r\n\r\n": (False, "closes the connection without an answer after HTTP 100"),
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n": (False, "answers with HTTP 101"),
    b"": (False, "closes the connection without an answer"),
}


@given(answer=st.sampled_from(list(ANSWERS)), at=st.floats(0.0, 1.0))
def test_an_interim_answer_is_none_however_the_pieces_come(answer: bytes, at: float) -> None:
    """What is not whole yet is waited for, or is already what the whole comes to."""
    first = understand(answer[: int(len(answer) * at)], whole=False)
    assert first is None or first[0] == ANSWERS[answer][0]
    assert understand(answer, whole=True) == ANSWERS[answer]
