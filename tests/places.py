"""What may stand where somebody is to come back to, and leads out of the daemon's own address or into a script."""

from __future__ import annotations

#: None of them is a place of ours.
NO_PLACES = (
    "",
    "x",
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r\nSet-Cookie: a=b",
    "\t//evil.example",
    " /x",
    "/x y",
    "/\x00",
    "/x\x7f",
    "/\u2215/evil.example",
    "/\uff0f/evil.example",
    "/ä",
    "/x\\..\\evil",
    "https://evil.example/",
    "https:evil.example",
    "https:/evil.example",
    "HTTPS://ours.example@evil.example",
    "javascript:alert(1)",
    "java\nscript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "blob:https://evil.example/1",
    "?q=1",
    "#x",
    "@evil.example",
    ":8443/x",
    ".evil.example",
)
