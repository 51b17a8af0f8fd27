"""What a forwarder tells of index templates that it may not install."""

from __future__ import annotations

import json

import pytest

from daqsched_executor.forward.delivery.connection import Reply
from daqsched_executor.forward.delivery.index_templates import IndexTemplates

REFUSED = {"type": "security_exception", "reason": "action [...] is unauthorized for user [forward]"}


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (403, json.dumps({"error": REFUSED}), "note"),
        (403, json.dumps({"error": {"type": "cluster_block_exception", "reason": "read-only"}}), "warn"),
        (403, json.dumps({"error": "forbidden"}), "warn"),
        (403, "[1]", "warn"),
        (403, "<html>a proxy's page</html>", "warn"),
        (403, "", "warn"),
        (400, json.dumps({"error": REFUSED}), "warn"),
        (405, "", "warn"),
    ],
)
def test_it_is_a_note_where_the_role_lacks_the_right_and_a_trouble_elsewhere(status: int, body: str, told: str) -> None:
    """The role that is documented has no right of the cluster's; all else somebody should look at."""
    said: list[tuple[str, str]] = []
    made = IndexTemplates(
        lambda method, path, body_=None: Reply(status, body.encode()),
        "logs",
        lambda about, sentence: said.append(("warn", about)),
        lambda about, sentence: said.append(("note", about)),
    )
    assert made.install() and made.install()
    assert set(said) == {(told, "template")} and len(said) == 2  # of two templates, in the first round alone
