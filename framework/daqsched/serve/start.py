"""`daqsched serve`, put together: one daemon on a folder, and an orderly end (one of several: `ensemble`)."""

from __future__ import annotations

import logging
import signal
from pathlib import Path
from typing import Any

from daqsched import __version__, backends
from daqsched.errors import DaqschedError
from daqsched.serve.audit import Audit
from daqsched.serve.chronicle import remembers
from daqsched.serve.rights_in_force import RightsInForce
from daqsched.serve.serving import Serving
from daqsched.serve.term import Options, Term, most_of
from daqsched.store import Store

logger = logging.getLogger(__name__)


def run(options: Options, state: Path, new_framework: bool) -> None:
    """Serve until SIGTERM or SIGINT; raises `DaqschedError` where it can't begin or go on."""
    store = backends.folder_store(state, most_of(options))
    if not new_framework:
        refuse_lost(store, options.chronicle)
    rights = RightsInForce(options.rights) if options.rights is not None else None
    web = options.web.port() if options.web is not None else None
    audit = Audit(options.audit)
    term = Term(options, store, new_framework=new_framework, audit=audit)
    serving = Serving(
        options.socket,
        options.group,
        term.api.app,
        audit=audit,
        rights=rights,
        web=web,
        authentication=term.authentication,
    )

    def stop(signum: int, frame: Any) -> None:
        term.daemon.stop()

    # pymesos' own SIGINT handler stays in place: it brings its thread's exceptions here
    signal.signal(signal.SIGTERM, stop)
    logger.info("daqsched %s serves on %s, state in %s, master %s", __version__, options.socket, state, options.master)
    if serving.web_address:
        logger.info("whoever comes over the network is answered on https://%s", serving.web_address)
    try:
        term.run()
    except KeyboardInterrupt:
        logger.info("interrupted")
    finally:
        term.end()
        serving.close()
        store.close()
    logger.info("ended; the jobs run on")


def refuse_lost(store: Store, chronicle: Path, place: str = "") -> None:
    """Raise `DaqschedError` where nothing is left of a farm but its past beside the state, or of one at this place: its tasks
    would run on with nobody to look after them, and every job would wait for its own copy."""
    if store.framework_id():
        return
    records = [record for _, record in store.records()]
    if any(record.task is not None for record in records):
        raise DaqschedError(
            "the state knows tasks that run, and not as which framework: restore a backup (`daqsched restore FILE`), or give "
            "them up: `daqsched serve --new-framework` starts all anew, beside what still runs"
        )
    if not (records or store.revision()) and remembers(chronicle, place):
        raise DaqschedError(
            f"the state is empty, but {chronicle} knows of jobs that ran: is --state right? Restore a backup (`daqsched "
            "restore FILE`), or give it up: `daqsched serve --new-framework` begins a new farm, which does not know what the "
            "old one still runs"
        )
