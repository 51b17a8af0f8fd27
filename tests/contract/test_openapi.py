"""What the OpenAPI document says is what the daemon does: asked by schemathesis with what it allows, and with what it does not."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response

from builders import job, offer
from daqsched import openapi
from daqsched.engine import events
from daqsched.operations import OPERATIONS
from daqsched.protocol import API
from daqsched.spec import Spec
from direct import NoAgents
from served import Serve

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its own business
    schemathesis = pytest.importorskip("schemathesis", reason="wants Python 3.11")
    checks = pytest.importorskip("schemathesis.checks")

#: So many requests of each operation: allowed ones, and others.
EXAMPLES = 8

#: The headers that a test client adds and no daemon has to read.
_HOP = ("host", "connection", "content-length", "transfer-encoding", "accept-encoding")


class Bridge:
    """An application that asks a daemon on its socket: schemathesis has an event loop for each request, the daemon one for all."""

    def __init__(self, path: Path) -> None:
        self._http = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(path), verify=False), base_url="http://daqsched", timeout=60
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        target = scope.get("raw_path", scope["path"].encode()).partition(b"?")[0]
        if scope["query_string"]:
            target += b"?" + scope["query_string"]
        headers = [(name, value) for name, value in request.headers.raw if name.decode() not in _HOP]
        asked = self._http.build_request(request.method, "/", headers=headers, content=await request.body())
        asked.extensions["target"] = target
        found = self._http.send(asked)
        answer = Response(found.content, found.status_code)
        answer.raw_headers = [
            (name.lower(), value) for name, value in found.headers.raw if name.lower().decode() not in _HOP
        ]
        answer.headers["content-length"] = str(len(found.content))
        await answer(scope, receive, send)

    def close(self) -> None:
        self._http.close()


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Of a daemon with two jobs that run."""
    serve = Serve(tmp_path_factory.mktemp("openapi"), NoAgents)
    serve.daemon.put(events.Registered("fw", "m:5050"))
    serve.client.apply(Spec(jobs=(job(hosts="hlt[01-02]", console=True), job("other"))))
    serve.daemon.put(events.OffersArrived((offer("hlt01"), offer("hlt02"))))
    serve.settle()
    bridge = Bridge(serve.path)
    yield schemathesis.openapi.from_asgi(f"{API}/openapi.json", bridge)
    bridge.close()
    serve.close()


def test_the_document_that_is_given_is_the_one_that_is_kept(schema: Any) -> None:
    """Schemathesis reads it as a client would."""
    assert schema.raw_schema == msgspec.json.decode(openapi.text())


#: What is looked at in each answer. That all that the types allow is also accepted is not among it: a selection may match nothing.
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


@pytest.mark.parametrize("name", [one.name for one in OPERATIONS.values()])
def test_schemathesis_finds_nothing(schema: Any, name: str) -> None:
    """No bug, and no answer that is not in the document, whatever is asked; what its types forbid is refused."""
    method, path = name.split()
    operation = schema[f"{API}{path}"][method]
    modes = schemathesis.GenerationMode
    of = {mode: operation.as_strategy(generation_mode=mode) for mode in (modes.POSITIVE, modes.NEGATIVE)}
    bounded = settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )

    def ask(mode: Any) -> None:
        @bounded
        @given(data=st.data())
        def run(data: Any) -> None:
            case = data.draw(of[mode])
            case.call_and_validate(checks=CHECKS)

        run()

    ask(modes.POSITIVE)
    if OPERATIONS[method, path].asks is not None:
        ask(modes.NEGATIVE)


def test_what_the_document_does_not_say_is_found(schema: Any, tmp_path: Path) -> None:
    """Else the test above would be content with anything."""
    wrong = msgspec.json.decode(openapi.text())
    responses = wrong["paths"][f"{API}/names"]["get"]["responses"]
    del responses["400"]
    other = schemathesis.openapi.from_dict(wrong)
    case = other[f"{API}/names"]["GET"].Case(query={"of": "nothing"})
    answer = schema[f"{API}/names"]["GET"].Case(query={"of": "nothing"}).call()
    with pytest.raises(BaseException) as caught:
        case.validate_response(answer, checks=CHECKS)
    several: Any = caught.value  # Python 3.11's group of them, which older ones do not have
    assert [type(one).__name__ for one in several.exceptions] == ["UndefinedStatusCode"]
