"""Reading lines back from the real Elasticsearch: what `daqsched logs` shows and follows."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daqsched import search
from daqsched.errors import Unreachable, UserError
from daqsched.search import Line, Wanted
from daqsched_executor.contract import Stream
from daqsched_executor.contract.template import template
from daqsched_executor.forward.batch import BODY
from daqsched_executor.forward.forms import Text
from daqsched_executor.forward.position import Position
from daqsched_executor.forward.record import index_of
from forwarding import ForwarderProcess, Index, Printer, until


class Farm(Index):
    """An index into which lines of any host, job and time can be put."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.ask("PUT", f"/_index_template/{self.prefix}", template(self.prefix))
        self.client = search.connect(url)
        self._streams = itertools.count()

    def put(self, job: str, host: str, text: str, at: float, name: str = "stdout", refresh: bool = True) -> None:
        """Store the text's lines, the first read at that time and each other a microsecond later."""
        stream = Stream(f"stream{next(self._streams):05}", name, "", 0, f"{job}@{host}.1", job, host)
        micros = round(at * 1e6)
        made = Text(stream, 0).encode(text.encode(), Position(0, 0), micros, True, BODY)
        path = f"/{index_of(self.prefix, micros)}/_bulk" + ("?refresh=true" if refresh else "")
        assert self.ask_raw("POST", path, made.documents.body())["errors"] is False

    def tail(self, most: int = 100, **wanted: Any) -> list[str]:
        """The texts of the last wanted lines."""
        return [line.message for line in search.tail(self.client, Wanted(**wanted), most, self.prefix)]


@pytest.fixture
def farm(cluster: Any) -> Iterator[Farm]:
    """A clean prefix with the forwarder's template."""
    made = Farm(cluster.elasticsearch_url)
    yield made
    made.client.close()
    made.remove()


NOW = time.time()


def test_nothing_was_ever_stored(farm: Farm) -> None:
    """No index yet means no lines, not an error."""
    assert farm.tail() == []


def test_the_last_lines_come_oldest_first(farm: Farm) -> None:
    """More than a page of them, over two days' indices."""
    farm.put("readout", "hlt01", "".join(f"{at}\n" for at in range(1500)), NOW - 86400)
    farm.put("readout", "hlt01", "".join(f"{at}\n" for at in range(1500, 2600)), NOW)
    assert farm.tail(3) == ["2597", "2598", "2599"]
    assert farm.tail(2500) == [str(at) for at in range(100, 2600)]
    assert len(farm.tail(10_000)) == 2600


def test_lines_of_one_moment_are_neither_lost_nor_doubled_at_a_pages_end(farm: Farm) -> None:
    """Many streams with lines of the very same microsecond."""
    for at in range(30):
        farm.put("readout", f"hlt{at:02}", "".join(f"{at} {line}\n" for line in range(50)), NOW, refresh=at == 29)
    found = farm.tail(5000)
    assert len(found) == len(set(found)) == 1500


def test_wishes_narrow_the_lines_down(farm: Farm) -> None:
    """By job and host with wildcards and ranges, by stream, level, time and text."""
    farm.put("readout", "hlt01", "[INFO] run 12 started\n[ERROR] link lost\n", NOW - 100)
    farm.put("readout", "hlt02", "[INFO] run 12 ended\n", NOW - 50)
    farm.put("builder", "hlt01", "[WARNING] no events from hlt02\n", NOW - 10, name="stderr")
    assert farm.tail(words=("readout",)) == ["[INFO] run 12 started", "[ERROR] link lost", "[INFO] run 12 ended"]
    assert farm.tail(words=("read*@hlt[02-09]", "build?r")) == ["[INFO] run 12 ended", "[WARNING] no events from hlt02"]
    assert farm.tail(hosts=("hlt01",), words=("readout",)) == ["[INFO] run 12 started", "[ERROR] link lost"]
    assert farm.tail(streams=("stderr",)) == ["[WARNING] no events from hlt02"]
    assert farm.tail(levels=("error", "critical")) == ["[ERROR] link lost"]
    assert farm.tail(since=NOW - 60, until=NOW - 20) == ["[INFO] run 12 ended"]
    assert farm.tail(text="run 12") == ["[INFO] run 12 started", "[INFO] run 12 ended"]
    assert farm.tail(text='"run 12" start*') == ["[INFO] run 12 started"]
    assert farm.tail(text="run -ended") == ["[INFO] run 12 started"]
    assert farm.tail(text='an unclosed "quote ( or + bracket') == []
    assert farm.tail(words=("nobody",)) == []


def test_an_elasticsearch_that_is_not_there_is_one_sentence() -> None:
    """With its address, and without the client's own story."""
    client = search.connect("http://127.0.0.1:1")
    with pytest.raises(Unreachable, match="Elasticsearch at http://127.0.0.1:1 does not answer"):
        search.tail(client, Wanted(), 1)
    with pytest.raises(Unreachable):
        next(search.follow(client, Wanted()))
    client.close()


def test_a_search_that_elasticsearch_refuses_is_the_users_mistake(farm: Farm) -> None:
    """More lines than one page may hold is asked in pages, so only a broken query is refused."""
    farm.put("a", "h", "x\n", NOW)
    with pytest.raises(UserError, match="does not understand"):
        search.tail(farm.client, Wanted(since=1e11), 1, farm.prefix)


class EndedError(Exception):
    """The follower was told to end."""


class Follower(threading.Thread):
    """Follows in the background and keeps what it was given, with the moment of each."""

    def __init__(self, farm: Farm, wanted: Wanted, shown: list[Line], **options: Any) -> None:
        super().__init__(daemon=True)
        self._lines = search.follow(farm.client, wanted, shown, farm.prefix, sleep=self._sleep, **options)
        self._ended = threading.Event()
        self.looks = 0
        self.given: list[tuple[float, str]] = []

    def _sleep(self, seconds: float) -> None:
        self.looks += 1
        if self._ended.wait(seconds):
            raise EndedError

    def run(self) -> None:
        with contextlib.suppress(EndedError):
            for line in self._lines:
                self.given.append((time.monotonic(), line.message))

    def texts(self) -> list[str]:
        """What was given, in order."""
        return [text for _, text in self.given]

    def end(self) -> None:
        """Stop following."""
        self._ended.set()
        self.join(10)


def test_following_gives_each_new_line_once_and_late_ones_too(farm: Farm) -> None:
    """What another host read a little earlier but stored later is not missed."""
    farm.put("readout", "hlt01", "older than what is shown\n", NOW - 5)
    farm.put("readout", "hlt01", "oldest shown\n", NOW - 4)
    farm.put("readout", "hlt01", "shown\n", NOW - 1)
    shown = search.tail(farm.client, Wanted(), 2, farm.prefix)
    follower = Follower(farm, Wanted(), shown)
    follower.start()
    farm.put("readout", "hlt03", "between\n", NOW - 2)
    until("given", lambda: follower.texts() == ["between"])
    farm.put("readout", "hlt01", "new 1\nnew 2\n", NOW)
    until("given", lambda: follower.texts() == ["between", "new 1", "new 2"])
    farm.put("readout", "hlt02", "late\n", NOW - 3)
    until("the late one is given", lambda: follower.texts()[1:] == ["new 1", "new 2", "late"])
    farm.put("readout", "hlt01", "".join(f"many {at}\n" for at in range(2500)), NOW + 1)
    until("many are given", lambda: len(follower.given) == 2504)
    looks = follower.looks
    until("it looked again", lambda: follower.looks > looks + 2)
    follower.end()
    assert follower.texts()[4:] == [f"many {at}" for at in range(2500)]


def test_following_begins_with_what_is_printed_from_then_on(farm: Farm) -> None:
    """Without lines shown before, old ones stay out; an index that does not exist yet is waited for."""
    follower = Follower(farm, Wanted(words=("readout",)), [])
    follower.start()
    until("it looks", lambda: follower.looks > 1)
    farm.put("readout", "hlt01", "old\n", time.time() - 100)
    farm.put("readout", "hlt01", "new\n", time.time())
    farm.put("other", "hlt01", "other\n", time.time())
    until("given", lambda: follower.texts() == ["new"])
    follower.end()


def test_a_printed_line_is_followed_within_two_seconds(farm: Farm, tmp_path: Path) -> None:
    """The whole way: a program prints, the forwarder stores, the follower shows, in order."""
    spool = tmp_path / "spool"
    printer = Printer(spool)
    forwarder = ForwarderProcess(spool, farm.url, farm.prefix)
    follower = Follower(farm, Wanted(words=("readout@hlt01",)), [])
    follower.start()
    printed = []
    for at in range(8):
        printed.append(time.monotonic())
        printer.print(f"line {at}\n")
        until("followed", lambda at=at: len(follower.given) > at)  # type: ignore[misc]
    follower.end()
    assert forwarder.stop() == 0
    assert follower.texts() == [f"line {at}" for at in range(8)]
    # The first line makes the index, which takes this server a moment longer.
    delays = [given - at for at, (given, _) in zip(printed, follower.given)][1:]
    assert max(delays) < 2.0, delays
