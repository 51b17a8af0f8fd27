"""One request to Elasticsearch, and what its failures are called: for what is not a search for lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from daqsched.errors import Refused, Unreachable

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch


class Answer(NamedTuple):
    """A status and the JSON with it; ``why`` is its reason in short, where it is an error."""

    status: int
    body: Any
    why: str = ""


def ask(client: Elasticsearch, method: str, path: str, body: Any = None) -> Answer:
    """Raises `Unreachable` where there is no answer or none of substance, `Refused` where we are not known (401).

    A ``body`` that is a sequence is a bulk request's rows.
    """
    from elasticsearch import ApiError, TransportError

    rows = isinstance(body, Sequence)
    headers = {"accept": "application/json", "content-type": "application/x-ndjson" if rows else "application/json"}
    nodes = ", ".join(node.base_url for node in client.transport.node_pool.all())
    try:
        answer = client.perform_request(method, path, headers=headers, body=body)
        return Answer(answer.meta.status, answer.body)
    except ApiError as error:
        status, why = error.meta.status, _reason(error.body) or str(error.message)
        if status == 401:
            raise Refused(f"Elasticsearch at {nodes} does not know us: {why}") from error
        if status == 429 or status >= 500:
            raise Unreachable(f"Elasticsearch at {nodes} has no time: {why}") from error
        return Answer(status, error.body, f"{status} {why}")
    except TransportError as error:
        words = " ".join(str(error.message or error).split())[:300]
        raise Unreachable(f"Elasticsearch at {nodes} does not answer: {words}") from error


def _reason(body: Any) -> Optional[str]:
    error = body.get("error") if isinstance(body, dict) else None
    words = f"{error.get('type')}: {error.get('reason')}" if isinstance(error, dict) else error
    return " ".join(str(words).split())[:300] if words else None
