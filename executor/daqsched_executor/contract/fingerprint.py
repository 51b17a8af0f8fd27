"""Which messages are alike: those that differ in numbers, ids and time alone have the same fingerprint.

The forwarder stores it with each line (``daqsched.fingerprint``), `daqsched logs --new` compares it. The package itself does
not import this module: an executor has no use for it.
"""

from __future__ import annotations

import re
from zlib import crc32

#: What does not count: digits, the letters that hexadecimal numbers are made of, and whatever else in ASCII is no letter,
#: because a number may have a sign, a point, or blanks before it.
IGNORED = bytes(set(range(128)) - set(b"ghijklmnopqrstuvwxyzGHIJKLMNOPQRSTUVWXYZ"))

#: How far into a message a day's and a month's name are looked for.
TIME_WITHIN = 96

_NO_LETTERS = rb"[\x00-@\[-`{-\x7f]*"
_NAMED_TIME = re.compile(
    _NO_LETTERS + rb"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)(?![A-Za-z])" + _NO_LETTERS + rb")?"
    rb"(?:(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)(?![A-Za-z]))?"
)


def named_time(message: bytes) -> int:
    """Where the names of a day and a month at the beginning end: ``Mon Nov 23 05:06:02 2026``, ``[23/Nov/2026``, ``Nov 23``.

    Without a name: where its first letter is.
    """
    found = _NAMED_TIME.match(message, 0, TIME_WITHIN)
    assert found is not None, "each part of the pattern may be absent"
    return found.end()


def fingerprint(message: bytes) -> str:
    """Eight hexadecimal digits for a message in UTF-8: the CRC-32 of what is left without `named_time` and `IGNORED`.

    Two messages that are not alike have the same one about once in 4 thousand million pairs.
    """
    return f"{crc32(message[named_time(message) :].translate(None, IGNORED)):08x}"
