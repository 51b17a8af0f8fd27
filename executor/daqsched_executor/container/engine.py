"""The machine's container engine, by the package docker: each request with a time limit, each failure a sentence.

What the package raises becomes one of four: `Waits` and `ContainerRefused` (see `spec`), `Away` where the engine does not answer,
`Gone` where the container is not there any more.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import docker
from docker.errors import APIError, DockerException, NotFound

from daqsched_executor.container.peer import CONNECT_S, reach
from daqsched_executor.container.spec import SANDBOX, ContainerRefused, Waits

#: A busy machine may take this long to create or start a container.
REQUEST_S = 60.0
#: A container that is being removed by somebody else is gone after this.
REMOVAL_S = 20.0

_ID = re.compile(r"[0-9a-f]{64}\Z")


class Away(Exception):
    """The engine gives no answer; the message says how that shows."""


class Gone(Exception):
    """There is no such container."""


class ContainerState(NamedTuple):
    """A container as the engine sees it. ``pid`` is that of its first process on the machine, 0 where none runs."""

    running: bool
    pid: int
    code: int
    out_of_memory: bool


class Found(NamedTuple):
    """A container of ours."""

    id: str
    name: str
    sandbox: str


class ContainerEngine:
    """A connection to the engine. Not to be shared by threads."""

    def __init__(self, address: str) -> None:
        """Connect; raises `Waits`."""
        reach(address)
        try:
            # asks for the engine's version, so that older and newer ones are spoken to in words that they know
            self._api = docker.APIClient(base_url=address, version="auto", timeout=CONNECT_S)
        except (DockerException, OSError) as error:
            raise Waits(f"the container engine at {address} gives no answer that is understood: {error}") from error
        self._api.timeout = REQUEST_S

    def ours(self) -> list[Found]:
        """All containers that daqsched made, whether they run or not."""
        with _asking("list its containers"):
            rows = self._api.containers(all=True, filters={"label": SANDBOX})
        return [Found(row["Id"], row["Names"][0].lstrip("/"), row["Labels"][SANDBOX]) for row in rows if row["Names"]]

    def create(self, name: str, body: Mapping[str, Any]) -> str:
        """A container that does not run yet; its id."""
        with _asking(f"create the container ({body['Image']})"):
            try:
                made = str(self._api.create_container_from_config(body, name)["Id"])
                if not _ID.match(made):  # by it we know the container's processes
                    raise ContainerRefused(f"what answers as container engine gives an invalid id: {made[:80]!r}")
                return made
            except NotFound as error:
                raise Waits(
                    f"image {body['Image']} is not on this machine: docker pull or docker load it ({_words(error)})"
                ) from error

    def attach(self, container: str) -> io.RawIOBase:
        """What the container prints from now on, in frames; ends with the container's output."""
        with _asking("attach to the container"):
            stream = self._api.attach_socket(container, {"stdout": 1, "stderr": 1, "stream": 1})
            stream._sock.settimeout(None)  # a program may be silent for days
            return stream  # type: ignore[no-any-return]  # docker has no types

    def start(self, container: str) -> None:
        """Run it."""
        with _asking("start the container"):
            self._api.start(container)

    def kill(self, container: str, number: int) -> None:
        """The signal to its first process; one that has ended is fine."""
        with _asking("pass a signal on"):
            try:
                self._api.kill(container, number)
            except APIError as error:
                if error.status_code not in (404, 409):
                    raise

    def wait(self, container: str) -> None:
        """Return when it has ended."""
        with _asking("wait for the container"):
            self._api.wait(container, timeout=None)

    def state(self, container: str) -> ContainerState:
        """How it is, or how it ended."""
        with _asking("look at the container"):
            raw = self._api.inspect_container(container)["State"]
        return ContainerState(bool(raw["Running"]), int(raw["Pid"]), int(raw["ExitCode"]), bool(raw["OOMKilled"]))

    def remove(self, container: str) -> None:
        """Kill it where it runs, and return when nothing of it is left; one that is gone is fine."""
        deadline = time.monotonic() + REMOVAL_S
        while True:
            try:
                with _asking("remove the container"):
                    self._api.remove_container(container, force=True, v=True)
            except Gone:
                return
            except Waits:  # somebody else is removing it
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


@contextmanager
def _asking(what: str) -> Iterator[None]:
    try:
        yield
    except NotFound as error:
        if "No such container" in _words(error):
            raise Gone(_words(error)) from error
        raise Waits(f"the container engine cannot {what}: {_words(error)}") from error  # a network, for one
    except APIError as error:
        words = f"the container engine cannot {what}: {_words(error)}"
        # 400: it will not, whenever asked; "OCI runtime": the kernel refuses what the job asks for (a limit)
        if error.status_code == 400 or "OCI runtime create failed" in words:
            raise ContainerRefused(words) from error
        raise Waits(words) from error
    except (DockerException, OSError) as error:
        raise Away(f"the container engine did not {what}: {error}") from error


def _words(error: APIError) -> str:
    return " ".join(str(error.explanation or error).split())
