"""What a page does with the board and the events: the least that can be right, written by the format alone."""

from __future__ import annotations

import json
import re
from typing import Any, Callable, NamedTuple, Optional

import httpx


class Event(NamedTuple):
    """One of a stream."""

    id: str
    kind: str
    data: Any


def events(text: bytes) -> list[Event]:
    """Those that are whole in this piece of a stream."""
    found = []
    for block in text.decode().split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n") if re.match(r"(id|event|data): ", line))
        if "event" in fields:
            found.append(Event(fields.get("id", ""), fields["event"], json.loads(fields["data"])))
    return found


class Page:
    """What a browser knows."""

    def __init__(self, board: Any) -> None:
        """``board``: the answer, as it is read from JSON."""
        words = board["words"]
        self.epoch, self.v, self.farm = board["epoch"], board["v"], board["farm"]
        self.jobs, self.hosts = list(board["jobs"]), list(board["hosts"])
        self.job, self.host = list(board["job"]), list(board["host"])
        restarts, why = dict(board["restarts"]), {at: words[number] for at, number in board["why"]}
        self.cells: list[Optional[tuple[Any, ...]]] = [
            None
            if letter == "-"
            else (
                letter,
                board["t"][at],
                restarts.get(at, 0),
                why.get(at, ""),
                words[board["release"][at]] if board["release"][at] >= 0 else "",
                int(board["marks"][at], 16),
            )
            for at, letter in enumerate(board["s"])
        ]

    @property
    def since(self) -> str:
        return f"{self.epoch}.{self.v}"

    def take(self, event: Event) -> None:
        """One ``delta``."""
        assert event.kind == "delta", event
        delta = event.data
        self.v = delta["v"]
        assert event.id == self.since
        self.jobs += delta.get("jobs", [])
        self.hosts += delta.get("hosts", [])
        self.job += delta.get("job", [])
        self.host += delta.get("host", [])
        self.cells += [None] * (len(self.job) - len(self.cells))
        words = [*delta.get("words", []), ""]
        for at, letter, since, restarts, why, release, marks in delta.get("c", []):
            row = (letter, since, restarts, words[why], words[release], marks)
            self.cells[at] = None if letter == "-" else row
        self.farm = delta.get("farm", self.farm)

    def rows(self) -> dict[tuple[str, str], tuple[Any, ...]]:
        """By job and host, without what is gone."""
        names = zip(self.job, self.host, self.cells)
        return {(self.jobs[job], self.hosts[host]): cell for job, host, cell in names if cell is not None}


class EventStream:
    """A stream of the daemon's, read as it comes."""

    def __init__(self, http: httpx.Client, since: str = "", *topics: str, last: str = "") -> None:
        params: list[tuple[str, str]] = [("topics", one) for one in topics]
        request = http.build_request(
            "GET",
            "/v1/events",
            params=[*params, *([("since", since)] if since else [])],
            headers={"last-event-id": last} if last else {},
        )
        self.response = http.send(request, stream=True)
        self._pieces = self.response.iter_raw()
        self._text, self._ready = b"", list[Event]()
        #: How often it said that it is alive.
        self.alive = 0

    def next(self) -> Optional[Event]:
        """The next one; None: it has ended."""
        while not self._ready:
            piece = next(self._pieces, None)
            if piece is None:
                return None
            self.alive += piece.count(b"\n: ") + piece.startswith(b": ")
            whole, mark, self._text = (self._text + piece).rpartition(b"\n\n")
            self._ready = events(whole + mark)
        return self._ready.pop(0)

    def follow(self, page: Page, done: Callable[[Page], object]) -> Event:
        """Take in what comes until that is so of the page."""
        while True:
            event = self.next()
            assert event is not None, "it has ended"
            page.take(event)
            if done(page):
                return event

    def rest(self) -> list[Event]:
        """All that still comes, to its end."""
        return list(iter(self.next, None))

    def close(self) -> None:
        self.response.close()


def opened(http: httpx.Client) -> Page:
    """As a browser that comes for the first time."""
    found = http.get("/v1/board")
    assert found.status_code == 200, found.text
    return Page(found.json())
