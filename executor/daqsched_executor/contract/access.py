"""How Elasticsearch is asked by us: the files of a password, a key, an authority; read by forwarders and by the framework.

A secret is in memory here and in the request, and nowhere else: no sentence below repeats what a file says.
"""

from __future__ import annotations

import base64
import os
import re

from daqsched_executor.contract.forwarding import Access

#: What a header may hold of an API key: base64, also that of URLs (ES: "Create API key", ``encoded``).
_ENCODED = re.compile(r"[A-Za-z0-9+/=_-]+\Z")
#: ``id:api_key``, the key's two parts as Elasticsearch gave them.
_PARTS = re.compile(r"[A-Za-z0-9_-]+:[A-Za-z0-9_-]+\Z")

#: Of a secret's file nobody but its owner may change anything, and nobody but its group may read it: 0640 at most.
TOO_OPEN = 0o037


def authorization(access: Access) -> str:
    """The header of that name, empty where no secret is given. Raises OSError, or ValueError with a sentence."""
    if access.user_file:
        user = _first_line(access.user_file)
        if ":" not in user:
            raise ValueError(f"{access.user_file} does not begin with NAME:PASSWORD")
        return "Basic " + base64.b64encode(user.encode()).decode()
    if access.api_key_file:
        key = _first_line(access.api_key_file)
        if _PARTS.match(key):
            key = base64.b64encode(key.encode()).decode()
        elif not _ENCODED.match(key):
            raise ValueError(f"{access.api_key_file} does not begin with an API key, as ENCODED or ID:KEY")
        return "ApiKey " + key
    return ""


def too_open(access: Access) -> str:
    """A sentence where a secret's file may be read by everybody or changed by its group; else empty."""
    for path in filter(None, (access.user_file, access.api_key_file)):
        try:
            mode = os.stat(path).st_mode & 0o777
        except OSError:
            continue  # who reads it says so
        if mode & TOO_OPEN:
            return (
                f"{path} holds a secret and has mode {mode:o}, more people than need it can use it: chmod 600 (or 640)"
            )
    return ""


def _first_line(path: str) -> str:
    with open(path, "rb") as file:
        line = file.readline(16384)
    try:
        return line.decode().strip()
    except UnicodeDecodeError:
        # from None: the error itself would show what is in the file
        raise ValueError(f"{path} does not begin with a line of UTF-8 text") from None
