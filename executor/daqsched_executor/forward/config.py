"""How a forwarder is configured: by the framework in its environment, or by a YAML file; options overrule both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..contract import FORWARDING_VARIABLE, SPOOL_VARIABLE, Forwarding
from ..contract.access import authorization
from ..contract.forwarding_rules import mistakes
from ..machine.spool import choose
from .delivery.connection import addresses

#: Options of the command that are fields, too.
OPTIONS = ("spool", "elasticsearch", "index", "ca_file", "user_file", "api_key_file")


def configured(options: Any, environ: Mapping[str, str]) -> Forwarding:
    """All of it, looked at; raises ValueError or OSError with one sentence for people (a line for each mistake)."""
    config = unchecked(options, environ)
    wrong = [f"{field}: {sentence}" for field, sentence in mistakes(config)]
    if wrong:
        raise ValueError("\n".join(wrong))
    addresses(config.elasticsearch)
    authorization(config.access)
    return config


def unchecked(options: Any, environ: Mapping[str, str]) -> Forwarding:
    """All of it, with a spool; raises as `configured` does."""
    if options.config:
        from .yamlfile import read  # few machines have such a file, and a YAML reader costs memory

        config = read(options.config)
    else:
        config = Forwarding.from_json(environ.get(FORWARDING_VARIABLE) or '{"version":1}')
    config = replace(config, **{name: getattr(options, name) for name in OPTIONS if getattr(options, name)})
    if not config.spool:
        config = replace(config, spool=choose(environ))
    if not config.spool:
        raise ValueError(
            f"spool: no folder is named for what is registered and kept: give --spool DIR, {SPOOL_VARIABLE}, or spool in "
            "the file (a Mesos sandbox tells it by itself)"
        )
    return config
