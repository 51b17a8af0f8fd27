"""What a forwarder is told: by the framework in its environment, by a YAML file, and by options, which overrule both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..contract import FORWARDING_VARIABLE, SPOOL_VARIABLE, Forwarding, spool_of
from .elastic import addresses, user_of


def told(options: Any, environ: Mapping[str, str]) -> Forwarding:
    """All of it, looked at; raises ValueError or OSError with one sentence for people."""
    config = Forwarding.from_json(environ.get(FORWARDING_VARIABLE) or '{"version":1}')
    given = {name: getattr(options, name) for name in ("spool", "elasticsearch", "index", "user_file")}
    config = replace(config, **{name: value for name, value in given.items() if value})
    if not config.spool:
        config = replace(config, spool=spool_of(environ) or "")
    if not config.spool:
        raise ValueError(f"no spool: give --spool DIR or set {SPOOL_VARIABLE} (a Mesos sandbox tells it by itself)")
    addresses(config.elasticsearch)
    user_of(config.user_file)
    return config
