"""Reading lines back from the real Elasticsearch: what `daqsched logs` shows and follows."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import statistics
import threading
import time
import zoneinfo
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from daqsched.cli import main
from daqsched.errors import PARTIAL, Unreachable, UserError
from daqsched.logs import count, counting, search
from daqsched.logs.count import Group
from daqsched.logs.follow import Follower
from daqsched.logs.grep import matcher
from daqsched.logs.indices import passed_over
from daqsched.logs.query import Wanted
from daqsched_executor.contract import Stream
from daqsched_executor.contract.template import template
from daqsched_executor.forward.documents.batch import BODY
from daqsched_executor.forward.documents.record import index_of
from daqsched_executor.forward.forms import Text
from daqsched_executor.forward.journal.position import Position
from forwarding import ForwarderProcess, Index, Printer
from waiting import until


class Farm(Index):
    """An index into which lines of any host, job and time can be put."""

    def __init__(self, url: str, prefix: str = "") -> None:
        super().__init__(url, prefix)
        self.ask("PUT", f"/_index_template/{self.prefix}", template(self.prefix))
        self.client = search.connect(url)
        self._streams = itertools.count()

    def put(self, job: str, host: str, text: str, at: float, name: str = "stdout", refresh: bool = True) -> None:
        """Store the text's lines, the first read at that time and each other a microsecond later."""
        stream = Stream(f"stream{next(self._streams):05}", name, "", 0, f"{job}@{host}.1", job, host)
        micros = round(at * 1e6)
        made = Text(stream, 0).encode(text.encode(), Position(0, 0), micros, True, 4 * BODY)
        assert made.end == len(text.encode())
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


def test_lines_of_another_index_whose_name_begins_so_are_not_ours(farm: Farm, cluster: Any) -> None:
    """Searched, counted, followed or looked at; dead letters of ours are."""
    other = Farm(cluster.elasticsearch_url, f"{farm.prefix}-b")
    try:
        farm.put("readout", "hlt01", "ours\n", NOW)
        other.put("readout", "hlt01", "theirs\n", NOW)
        farm.ask("PUT", f"/{farm.prefix}-b-2020.01.01", {"mappings": {"properties": {"message": {"type": "long"}}}})
        dead = {"@timestamp": int(NOW * 1000), "message": "refused", "service": {"name": "readout"}}
        farm.ask("POST", f"/{farm.prefix}-deadletter-2026.11/_doc?refresh=true", dead)
        assert sorted(farm.tail()) == ["ours", "refused"] and other.tail() == ["theirs"]
        assert farm.client.foreign(farm.prefix) == {} and passed_over(farm.client, farm.prefix, None) == []
        farm.ask("POST", f"/{other.prefix}-2020.01.01/_close")
        assert passed_over(farm.client, farm.prefix, None) == [] and passed_over(other.client, other.prefix, None)
        assert counting.number(farm.client, Wanted(), farm.prefix) == 2
    finally:
        other.ask("DELETE", f"/{other.prefix}-2020.01.01")  # a closed one is not listed
        other.client.close()
        other.remove()


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
        Follower(client, Wanted())
    client.close()


def test_a_search_that_elasticsearch_refuses_is_the_users_mistake(farm: Farm) -> None:
    """More lines than one page may hold is asked in pages, so only a broken query is refused."""
    farm.put("a", "h", "x\n", NOW)
    with pytest.raises(UserError, match="does not understand"):
        search.tail(farm.client, Wanted(since=1e11), 1, farm.prefix)


class EndedError(Exception):
    """The follower was told to end."""


class Following(threading.Thread):
    """Follows in the background and keeps what it was given, with the moment of each."""

    def __init__(self, farm: Farm, wanted: Wanted, most: int = 0) -> None:
        super().__init__(daemon=True)
        self._ended = threading.Event()
        self.looks = 0
        self.complaints: list[str] = []
        follower = Follower(farm.client, wanted, farm.prefix, self.complaints.append, self._sleep)
        self.shown = [line.message for line in follower.tail(most)]
        self._lines = follower.follow()
        self.given: list[tuple[float, str]] = []
        self.late: set[str] = set()

    def _sleep(self, seconds: float) -> None:
        self.looks += 1
        if self._ended.wait(seconds):
            raise EndedError

    def run(self) -> None:
        with contextlib.suppress(EndedError):
            for line in self._lines:
                self.given.append((time.monotonic(), line.message))
                if line.late:
                    self.late.add(line.message)

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
    follower = Following(farm, Wanted(), 2)
    assert follower.shown == ["oldest shown", "shown"]
    follower.start()
    farm.put("readout", "hlt03", "between\n", NOW - 2)
    until(lambda: follower.texts() == ["between"], "given")
    farm.put("readout", "hlt01", "new 1\nnew 2\n", NOW)
    until(lambda: follower.texts() == ["between", "new 1", "new 2"], "given")
    farm.put("readout", "hlt02", "late\n", NOW - 3)
    until(lambda: follower.texts()[1:] == ["new 1", "new 2", "late"], "the late one is given")
    farm.put("readout", "hlt01", "".join(f"many {at}\n" for at in range(2500)), NOW + 1)
    until(lambda: len(follower.given) == 2504, "many are given")
    looks = follower.looks
    until(lambda: follower.looks > looks + 2, "it looked again")
    follower.end()
    assert follower.texts()[4:] == [f"many {at}" for at in range(2500)]


def test_following_begins_with_what_is_printed_from_then_on(farm: Farm) -> None:
    """An index that does not exist yet is waited for."""
    follower = Following(farm, Wanted(words=("readout",)))
    follower.start()
    until(lambda: follower.looks > 1, "it looks")
    farm.put("readout", "hlt01", "new\n", time.time())
    farm.put("other", "hlt01", "other\n", time.time())
    until(lambda: follower.texts() == ["new"], "given")
    follower.end()


def test_following_gives_a_backlog_that_is_stored_an_hour_later_marked(farm: Farm) -> None:
    """Its lines are older than all that was shown, of the same stream or another, and in an older index."""
    farm.put("readout", "hlt01", "shown\n", NOW)
    follower = Following(farm, Wanted(), 5)
    follower.start()
    until(lambda: follower.looks > 1, "it looks")
    farm.put("readout", "hlt02", "".join(f"backlog {at}\n" for at in range(1200)), NOW - 3600)
    farm.put("readout", "hlt02", "yesterday\n", NOW - 86400)
    farm.put("readout", "hlt02", "live\n", NOW + 1)
    until(lambda: len(follower.given) == 1202, "all is given")
    looks = follower.looks
    until(lambda: follower.looks > looks + 12, "it looked at all again", 120)
    follower.end()
    backlog = [f"backlog {at}" for at in range(1200)]
    assert [text for text in follower.texts() if text.startswith("backlog")] == backlog
    assert len(follower.given) == 1202
    assert follower.late == {"yesterday", *backlog}


def test_following_gives_each_line_once_that_many_store_at_once(farm: Farm) -> None:
    """Writers side by side, so that sequence numbers become visible out of order: nothing is missed or doubled."""
    follower = Following(farm, Wanted())
    follower.start()

    def write(host: str) -> None:
        for at in range(40):
            lines = "".join(f"{host} {at} {number}\n" for number in range(100))
            farm.put("readout", host, lines, time.time(), refresh=False)

    writers = [threading.Thread(target=write, args=(f"hlt{at:02}",)) for at in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    until(lambda: len(follower.given) >= 16_000, "all is given", 60)
    looks = follower.looks
    until(lambda: follower.looks > looks + 12, "it looked at all again", 120)
    follower.end()
    assert len(follower.given) == len(set(follower.texts())) == 16_000


def test_following_waits_for_an_elasticsearch_that_restarts(farm: Farm, cluster: Any) -> None:
    """It says so once, and goes on where it was: nothing missed, nothing again."""
    farm.put("readout", "hlt01", "before\n", time.time())
    follower = Following(farm, Wanted(), 5)
    follower.start()
    cluster.kill("elasticsearch")
    until(lambda: follower.complaints, "it says so")
    cluster.start("elasticsearch")
    until(lambda: len(follower.complaints) == 2, "it answers", 90)
    farm.put("readout", "hlt01", "after\n", time.time())
    until(lambda: follower.given, "given")
    looks = follower.looks
    until(lambda: follower.looks > looks + 12, "it looked at all again", 120)
    follower.end()
    assert (follower.shown, follower.texts()) == (["before"], ["after"])
    assert "lines are shown as soon as it does" in follower.complaints[0]


def test_lines_around_a_moment_and_around_a_line(farm: Farm) -> None:
    """Those before come before; of its stream, its host, or all of the farm."""
    begin = float(int(NOW))  # so that microseconds behind it are not rounded to others
    farm.put("readout", "hlt01", "".join(f"a{at}\n" for at in range(10)), begin)
    farm.put("builder", "hlt01", "b\n", begin + 3e-6)
    farm.put("readout", "hlt02", "c\n", begin + 5e-6)
    before, after = search.around(farm.client, Wanted(), begin + 2e-6, 4, farm.prefix)
    assert ([line.message for line in before], [line.message for line in after]) == (["a0", "a1"], ["a2", "b"])
    line = search.tail(farm.client, Wanted(text="a5"), 1, farm.prefix)[0]

    def near(scope: str, most: int = 6, **wanted: Any) -> list[str]:
        before, found, after = search.around_line(farm.client, Wanted(**wanted), line.id, scope, most, farm.prefix)
        assert found.id == line.id
        return [one.message for one in [*before, found, *after]]

    assert near("stream") == ["a2", "a3", "a4", "a5", "a6", "a7", "a8"]
    assert near("stream", 100) == [f"a{at}" for at in range(10)]
    assert near("host") == ["b", "a3", "a4", "a5", "a6", "a7", "a8"]
    assert set(near("farm", 100)) == {"b", "c", *(f"a{at}" for at in range(10))}
    assert near("farm", 100, words=("builder",)) == ["b", "a5"]
    with pytest.raises(UserError, match="no line has the id"):
        search.around_line(farm.client, Wanted(), "nothing", "farm", 2, farm.prefix)


def test_lines_are_counted_by_fields_and_time(farm: Farm) -> None:
    """All of them, also those that lack a field, over more groups than a page has."""
    begin = float(int(NOW) // 60 * 60 - 600)
    for at in range(3):
        farm.put("readout", f"hlt0{at}", "[ERROR] cvmfs: 17 failed\nplain\n" * (at + 1), begin + 60 * at)
    counted = counting.count(farm.client, Wanted(), ["host", "level"], 60, farm.prefix)
    assert (counted.total, counted.cut) == (12, 0)
    assert set(counted.groups) == {
        Group((f"hlt0{at}", level), at + 1, begin + 60 * at) for at in range(3) for level in ("error", "-")
    }
    counted = counting.count(farm.client, Wanted(levels=("error",)), ["run", "version", "start"], 0, farm.prefix)
    assert counted.groups == (Group(("-", "-", "-"), 6),)
    counted = counting.count(farm.client, Wanted(), ["message"], 0, farm.prefix)
    prints = [group.values[0] for group in counted.groups]
    examples = counting.examples(farm.client, Wanted(), prints, farm.prefix)
    assert {examples[group.values[0]]: group.count for group in counted.groups} == {
        "[ERROR] cvmfs: 17 failed": 6,
        "plain": 6,
    }
    assert counting.count(farm.client, Wanted(), [], 0, farm.prefix).total == 12
    assert counting.count(farm.client, Wanted(words=("nobody",)), ["host"], 60, farm.prefix).groups == ()


@pytest.mark.parametrize(("month", "first"), [(3, 28), (10, 24), (11, 19)])
def test_days_are_those_of_the_clock_on_the_wall(farm: Farm, month: int, first: int) -> None:
    """Half an hour before and behind each midnight, also where a day has 23 or 25 hours."""
    here = zoneinfo.ZoneInfo("Europe/Berlin")
    midnights = [datetime.datetime(2026, month, first + day, tzinfo=here).timestamp() for day in range(4)]
    for day, midnight in enumerate(midnights[:3]):
        farm.put("readout", f"hlt0{day}", "x\n" * (day + 1), midnight + 1800)
        farm.put("readout", f"hlt0{day}", "y\n" * 10, midnights[day + 1] - 1800)
    wanted = Wanted(since=midnights[0], until=midnights[3])
    counted = counting.count(farm.client, wanted, [], 86400, farm.prefix, here)
    assert {group.time: group.count for group in counted.groups} == dict(zip(midnights, (11, 12, 13)))
    assert counted.total == 36


def test_a_pasted_line_is_found_as_it_stands(farm: Farm) -> None:
    """Signs are text, as in a sandbox."""
    lines = [
        "cvmfs: catalog 14 failed (error -110): mirror down",
        "C:\\Temp\\x.log missing",
        "ERROR!!! stop",
        "readRate=5 in RichReadout",
        'usage "a b" -v: readout -q | core ~1 at 1,5',
    ]
    farm.put("readout", "hlt01", "".join(f"{line}\n" for line in lines), NOW)
    for line in lines:
        assert farm.tail(text=line) == [line]
    texts = (
        "error -110",
        "*eadout",
        "*READ*",
        "nothing|stop",
        "stip~1",
        "error -stop",
        '"-v"',
        "hlt01 -ended",
        "x.lo*",
    )
    for text in texts:
        assert farm.tail(text=text) == [line for line in lines if matcher(text)(line)], text


def test_lines_of_a_clock_that_is_ahead_hide_no_others(farm: Farm) -> None:
    """The newest of the others is the last; while following none is late for it."""
    farm.put("readout", "hlt01", "first\n", time.time() - 5)
    farm.put("readout", "hlt09", "ahead 1\nahead 2\n", time.time() + 3600)
    follower = Following(farm, Wanted(), 3)
    assert follower.shown == ["ahead 1", "ahead 2", "first"]
    follower.start()
    farm.put("readout", "hlt01", "punctual\n", time.time())
    until(lambda: follower.texts() == ["punctual"], "given")
    follower.end()
    assert follower.late == set()
    assert farm.tail(most=2) == ["ahead 2", "punctual"]


def test_following_goes_on_where_an_index_is_made_anew(farm: Farm) -> None:
    """Deleted and made by the next line; again with many; and restored with lines that were shown before: each once."""
    name = index_of(farm.prefix, round(NOW * 1e6))
    farm.put("readout", "hlt01", "".join(f"old {at}\n" for at in range(50)), NOW)
    follower = Following(farm, Wanted(), 2)
    follower.start()
    farm.put("readout", "hlt01", "before\n", NOW + 1)
    until(lambda: follower.texts() == ["before"], "given")
    farm.ask("DELETE", f"/{name}")
    farm.put("readout", "hlt01", "one\n", NOW + 2)
    until(lambda: follower.texts() == ["before", "one"], "the first of the new index is given")
    assert [name in one and "made anew" in one for one in follower.complaints] == [True]
    kept = farm.ask("POST", f"/{name}/_search", {"size": 10})["hits"]["hits"]
    farm.ask("DELETE", f"/{name}")
    farm.put("readout", "hlt01", "".join(f"new {at}\n" for at in range(300)), NOW + 3)
    for hit in kept:
        farm.ask("PUT", f"/{name}/_create/{hit['_id']}?refresh=true", hit["_source"])
    until(lambda: len(follower.given) >= 302, "all is given")
    looks = follower.looks
    until(lambda: follower.looks > looks + 12, "it looked at all again", 120)
    follower.end()
    assert sorted(follower.texts()) == sorted(["before", "one", *(f"new {at}" for at in range(300))])
    assert len(follower.complaints) == 2


def test_what_cannot_be_searched_is_told_with_its_index(farm: Farm) -> None:
    """A shard that is away, an index of somebody else's, a closed one, and none but wrong ones."""

    def told(*words: str) -> Result:
        done = CliRunner().invoke(main, ["logs", *words, "--elasticsearch", farm.url, "--index", farm.prefix])
        assert "no line matches;" not in done.output
        return done

    farm.put("readout", "hlt01", "good\n", NOW)
    assert told().exit_code == 0
    other = f"{farm.prefix}-2026.01.01"
    away = {"settings": {"index.routing.allocation.require._name": "nowhere", "number_of_replicas": 0}}
    farm.ask("PUT", f"/{other}?wait_for_active_shards=0&timeout=1s", away)
    for words in ((), ("--count",), ("--new=1h",)):
        done = told(*words)
        assert done.exit_code == PARTIAL and f"1 of 2 shards failed: {other} is left out" in done.output, done.output
    farm.ask("DELETE", f"/{other}")
    foreign = {"mappings": {"dynamic": True, "properties": {"service": {"properties": {"name": {"type": "text"}}}}}}
    farm.ask("PUT", f"/_index_template/{farm.prefix}", {"index_patterns": [f"{farm.prefix}-*"], "template": foreign})
    farm.ask("PUT", f"/{other}/_create/1?refresh=true", {"message": "lost", "service": {"node": {"name": "a@b"}}})
    done = told("--grep", "lost")
    assert done.exit_code == PARTIAL and other in done.output and "daqsched logs setup" in done.output, done.output
    farm.ask("POST", f"/{other}/_close")
    done = told()
    assert done.exit_code == PARTIAL and f"{other} is closed" in done.output, done.output
    farm.ask("POST", f"/{other}/_open")
    farm.ask("DELETE", f"/{index_of(farm.prefix, round(NOW * 1e6))}")
    until(lambda: told().exit_code == 5, "nothing that can be searched is left")
    assert "run `daqsched logs setup`" in told().output


def test_more_groups_than_a_page_are_all_counted(farm: Farm) -> None:
    """Page by page; the sum is the number of lines."""
    farm.put("readout", "hlt01", "line\n" * 2500, NOW - 5000)
    for at in range(3):
        farm.put("readout", f"hlt1{at}", "line\n" * 1000, NOW)
    counted = counting.count(farm.client, Wanted(), ["host"], 1e-3, farm.prefix)
    assert counted.total == sum(group.count for group in counted.groups) == 5500
    hosts = [f"hlt{at:04}" for at in range(count.PAGE + 50)]
    micros = round(NOW * 1e6)
    rows = b"".join(
        Text(Stream(f"page{host}", "stdout", "", 0, "", "readout", host), 0)
        .encode(b"x\n", Position(0, 0), micros, True, BODY)
        .documents.body()
        for host in hosts
    )
    assert farm.ask_raw("POST", f"/{index_of(farm.prefix, micros)}/_bulk?refresh=true", rows)["errors"] is False
    counted = counting.count(farm.client, Wanted(), ["host"], 0, farm.prefix)
    assert counted.total == 5500 + len(hosts) and counted.cut == 0
    assert len(counted.groups) == len({*hosts, "hlt01", "hlt10", "hlt11", "hlt12"})


def test_nothing_is_counted_where_nothing_was_stored(farm: Farm) -> None:
    """No index: no groups, nothing new."""
    assert counting.count(farm.client, Wanted(), ["host"], 60, farm.prefix).total == 0
    assert counting.new(farm.client, Wanted(), NOW, farm.prefix).messages == []


def test_new_messages_are_those_of_a_kind_that_was_not_there_before(farm: Farm) -> None:
    """Numbers and ids do not make a message new; where and how often it came is told."""
    farm.put("readout", "hlt01", "event 17 built\nold [WARNING] from yesterday 0x1f\n", NOW - 90_000)
    farm.put("builder", "hlt01", "segfault in trk at 0x17\n", NOW - 7200)
    farm.put("readout", "hlt02", "event 99 built\nold [WARNING] from yesterday 0x2e\n", NOW - 10)
    for at in range(6):
        farm.put("readout", f"hlt0{at}", "[ERROR] segfault in trk at 0x17\n" * 2, NOW - 20 + at)
    farm.put("builder", "hlt03", "segfault in trk at 0x18\n", NOW - 5)
    found = counting.new(farm.client, Wanted(), NOW - 3600, farm.prefix)
    assert (found.lines, found.without, found.cut) == (15, 0, 0)
    (novelty,) = found.messages
    assert (novelty.first.host, novelty.first.message) == ("hlt00", "[ERROR] segfault in trk at 0x17")
    assert (novelty.count, novelty.host_count, len(novelty.hosts)) == (12, 6, 4)
    assert len(counting.new(farm.client, Wanted(words=("@hlt03",)), NOW - 3600, farm.prefix).messages) == 2


def test_a_printed_line_is_followed_within_two_seconds(farm: Farm, tmp_path: Path) -> None:
    """The whole way: a program prints, the forwarder stores, the follower shows, in order.

    A quiet machine needs one second at most (bench/follow.py); the bound here leaves room for others."""
    spool = tmp_path / "spool"
    printer = Printer(spool)
    forwarder = ForwarderProcess(spool, farm.url, farm.prefix)
    follower = Following(farm, Wanted(words=("readout@hlt01",)))
    follower.start()

    def more_than(count: int) -> Callable[[], bool]:
        return lambda: len(follower.given) > count

    printed = []
    for at in range(8):
        printed.append(time.monotonic())
        printer.print(f"line {at}\n")
        until(more_than(at), "followed")
    follower.end()
    assert forwarder.stop() == 0
    assert follower.texts() == [f"line {at}" for at in range(8)]
    # The first line makes the index, which takes this server a moment longer.
    delays = [given - at for at, (given, _) in zip(printed, follower.given)][1:]
    assert statistics.median(delays) < 2.0, delays
