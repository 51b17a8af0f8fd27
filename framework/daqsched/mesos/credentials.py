"""With which name and secret the framework comes to the master."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from daqsched.errors import UserError


def read_credentials(path: Path) -> tuple[str, str]:
    """``principal`` and ``secret`` out of a JSON file that nobody else can read; raises `UserError` otherwise."""
    try:
        mode = path.stat().st_mode
        words = json.loads(path.read_text(encoding="utf-8"))
        principal, secret = words["principal"], words["secret"]
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f'{path} must be JSON: {{"principal": "...", "secret": "..."}}') from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UserError(f"{path} holds a secret and can be read by others: chmod 600 {path}")
    if not isinstance(principal, str) or not isinstance(secret, str):
        raise UserError(f"{path}: principal and secret must be texts")
    return principal, secret
