"""How each document is written that the store keeps beside revisions and records; whose subject it is reads it at the start."""

from __future__ import annotations

from typing import Optional

import msgspec

from daqsched.engine.commands import (
    ASIDE,
    BATCHES,
    BEFORE,
    CHOICES,
    CONTROL,
    CREDENTIALS,
    DURATIONS,
    EFFECTS,
    HOLDS,
    KEYS,
    LOGBOOK,
    NAMES,
    OUTCOMES,
    OWNERS,
    PARTS,
    PROPOSALS,
    ROLLOUT,
    STARTED,
)
from daqsched.engine.farm import Farm
from daqsched.engine.namesakes import saved
from daqsched.proposals import Proposals
from daqsched.rights.tokens import Credentials

encode = msgspec.msgpack.Encoder().encode


def encoded(farm: Farm, name: str) -> Optional[bytes]:
    """What `commands.SaveDocument` is to save; None: forget it."""
    if name == ROLLOUT:
        return None if farm.rolling.rollout is None else encode(farm.rolling.rollout)
    if name == BATCHES:
        return encode(farm.rolling.batches) if farm.rolling.batches else None
    if name == BEFORE:
        return encode(farm.rolling.before) if farm.rolling.before is not None and farm.rolling.active else None
    if name == HOLDS:
        return encode([(key, hold) for key, hold in farm.holds.items()]) if farm.holds else None
    if name == OUTCOMES:
        return encode(farm.outcomes) if farm.outcomes else None
    if name == STARTED:
        return encode(list(farm.started)) if farm.started else None
    if name == PARTS:
        return encode(farm.parts) if farm.parts else None
    if name == DURATIONS:
        return encode(farm.durations.known)
    if name == LOGBOOK:
        return encode(farm.logbook) if farm.logbook else None
    if name == CREDENTIALS:
        return encode(farm.credentials) if farm.credentials != Credentials() else None
    if name == KEYS:
        return encode(farm.done_keys) if farm.done_keys else None
    if name == CHOICES:
        return encode(farm.choices) if farm.choices else None
    if name == CONTROL:
        return encode(list(farm.controls.values())) if farm.controls else None
    if name == OWNERS:
        return encode(farm.owned) if farm.owned else None
    if name == PROPOSALS:
        return encode(farm.proposals) if farm.proposals != Proposals() else None
    if name == EFFECTS:
        return encode(farm.effects) if farm.effects.counts else None
    if name == NAMES:
        return saved(farm.namesakes.chosen)
    assert name == ASIDE, f"there is no document {name!r}"
    return encode(farm.aside) if farm.aside else None
