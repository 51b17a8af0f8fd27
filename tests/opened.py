"""Requests of tests by urllib: an answer that is an error is closed before it is raised.

Who leaves one open leaves a socket to the collector, whose warning is then an error of another test.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from typing import Union
from urllib.error import HTTPError
from urllib.request import HTTPSHandler, OpenerDirector, Request, build_opener

_PLAIN = build_opener()


def trusting(handler: HTTPSHandler) -> OpenerDirector:
    """What asks servers with certificates as the handler says."""
    return build_opener(handler)


@contextmanager
def opened(asked: Union[str, Request], timeout_s: float = 30.0, by: OpenerDirector = _PLAIN) -> Iterator[HTTPResponse]:
    """The answer, closed afterwards; raises `HTTPError`, closed already, of which the code is still known."""
    try:
        answer = by.open(asked, timeout=timeout_s)
    except HTTPError as error:
        error.close()
        raise
    with answer:
        yield answer
