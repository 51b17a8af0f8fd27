"""What people write into the logbook: nothing of the farm follows from it."""

from __future__ import annotations

from typing import Optional

import msgspec

from daqsched.engine import commands, events
from daqsched.engine.commands import LOGBOOK
from daqsched.engine.farm import Farm
from daqsched.engine.verdict import Accepted
from daqsched.errors import UserError
from daqsched.limits import brief, refusal
from daqsched.logbook import LogbookEntry, kept

_decode = msgspec.msgpack.Decoder(list[LogbookEntry]).decode


def restored(farm: Farm, saved: Optional[bytes]) -> None:
    """As the last daemon had it; what can't be read is for people alone, and told."""
    if saved is None:
        return
    try:
        entries = _decode(saved)
        beyond = refusal(entries, texts=False)
        wrong = " ".join(beyond) if beyond is not None else ""
    except (msgspec.MsgspecError, ValueError) as error:
        entries, wrong = [], brief(str(error))
    if wrong:
        farm.troubles.append(f"the logbook can't be read ({wrong}): it begins anew")
    else:
        farm.logbook = kept(entries)


def written(farm: Farm, event: events.NoteWritten, now: float) -> Accepted:
    """Somebody's sentence, kept until newer ones need its room."""
    if not event.message.strip():
        raise UserError('a note says something: daqsched note "beam is back"')
    number = farm.logbook[-1].number + 1 if farm.logbook else 1
    farm.logbook = kept([*farm.logbook, LogbookEntry(number, now, event.user, event.message)])
    farm.out.append(commands.SaveDocument(LOGBOOK))
    farm.note(f"note {number} by {event.user}: {event.message}")
    return Accepted(note=number)
