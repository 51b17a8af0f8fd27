"""`daqsched serve`, put together: store, daemon, Mesos and the socket, and an orderly end."""

from __future__ import annotations

import logging
import os
import signal
import time
from pathlib import Path
from typing import Any, Optional

from daqsched import __version__
from daqsched.api import Api
from daqsched.chronicle import Chronicle
from daqsched.daemon import Daemon
from daqsched.errors import DaqschedError
from daqsched.expiry import Expiry
from daqsched.forwarder import with_forwarder
from daqsched.guards import Guards
from daqsched.mesos.connection import Mesos, explain
from daqsched.mesos.credentials import read_credentials
from daqsched.mesos.outgoing import Framework
from daqsched.spec import Spec
from daqsched.store.sqlite import SqliteStore
from daqsched_executor.contract.forwarding import Access

logger = logging.getLogger(__name__)


def run(
    master: str,
    framework: Framework,
    *,
    state: Path,
    socket: Path,
    group: str,
    elasticsearch: str,
    index: str,
    access: Access,
    new_framework: bool,
    agent_credentials: Optional[Path] = None,
    guards: Optional[Path] = None,
) -> None:
    """Serve until SIGTERM or SIGINT; raises `DaqschedError` where it can't begin or go on."""

    def complete(spec: Spec) -> Spec:
        return with_forwarder(spec, framework.executor, elasticsearch, index, access)

    store = SqliteStore(state)
    daemon = Daemon(store, complete)
    daemon.ask_guard = Guards(guards, daemon.put).ask
    framework_id = "" if new_framework else daemon.engine.framework_id
    mesos = Mesos(master, framework, framework_id, daemon.put)
    secret = agent_credentials or framework.credentials
    api = Api(daemon, complete, elasticsearch, index, read_credentials(secret) if secret else None)
    chronicle = Chronicle(state / "chronicle.sqlite", daemon.engine, time.time())
    daemon.saved = lambda keys: chronicle.note(daemon.engine, keys, time.time())
    api.chronicle = chronicle
    api.serve(socket, group)
    expiry = Expiry(socket)

    def stop(signum: int, frame: Any) -> None:
        daemon.stop()

    # pymesos' own SIGINT handler stays in place: it brings its thread's exceptions here
    signal.signal(signal.SIGTERM, stop)
    logger.info("daqsched %s serves on %s, state in %s, master %s", __version__, socket, state, master)
    try:
        mesos.start()
        daemon.run(mesos)
    except KeyboardInterrupt:
        logger.info("interrupted")
    except DaqschedError:
        raise
    except (RuntimeError, OSError) as error:
        logger.debug("the connection to Mesos", exc_info=True)
        raise explain(error) from error
    finally:
        expiry.stop()
        api.close()
        mesos.stop()
        chronicle.close(time.time())
        store.close()
        os.unlink(socket)
    logger.info("ended; the jobs run on")
