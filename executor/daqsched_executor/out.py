"""Where executor, warden and forwarder print: sentences, each on one line whatever others' words are in it."""

from __future__ import annotations

import sys
from typing import TextIO

from .contract.foreign import ascii_json, printable


def say(*sentences: str, file: TextIO | None = None) -> None:
    """Print each as one line, at once, on stdout unless told otherwise; raises OSError as print does."""
    out = sys.stdout if file is None else file
    text = "".join(f"{printable(sentence)}\n" for sentence in sentences)
    try:
        out.write(text)
    except UnicodeEncodeError:  # an agent's environment need not name a locale
        out.write(text.encode("ascii", "backslashreplace").decode())
    out.flush()


def say_json(text: str) -> None:
    """Print JSON."""
    sys.stdout.write(f"{ascii_json(text)}\n")
    sys.stdout.flush()
