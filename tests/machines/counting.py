"""Whether every line is stored once, and no instance ever ran twice."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator

#: Between two looks at all processes.
LOOK_S = 0.1


class Watch:
    """Looks at all programs that count, on all machines, as long as it runs: `wrong` has each that was where it should not be."""

    def __init__(self, machines: dict[str, str]) -> None:
        """``machines``: a machine -> its container's id, which stays over its starts."""
        self._machines = machines
        self.wrong: list[str] = []
        self.looks = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(LOOK_S):
            self._look()

    def _look(self) -> None:
        seen: dict[str, list[int]] = {}
        for instance, pid, group in counters():
            seen.setdefault(instance, []).append(pid)
            host = instance.partition("@")[2]
            if self._machines[host] not in group:
                self.wrong.append(f"{instance} ran elsewhere: {group}")
        self.wrong += [f"{instance} ran as {pids} at once" for instance, pids in seen.items() if len(pids) > 1]
        self.looks += 1


def counters() -> Iterable[tuple[str, int, str]]:
    """The programs that count and live now: instance, pid, cgroups."""
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        with contextlib.suppress(OSError):
            words = Path("/proc", name, "cmdline").read_bytes().split(b"\0")
            if len(words) == 4 and words[1].endswith(b"/bin/counter"):
                yield words[2].decode(), int(name), Path("/proc", name, "cgroup").read_text()


class Ledger:
    """What the programs noted of themselves, read from `words`: one list for each line of theirs."""

    def __init__(self, words: Iterable[list[str]]) -> None:
        #: A start -> the machine it was on, its release.
        self.begun: dict[str, tuple[str, str]] = {}
        #: A start -> the number of its last line, by its own word.
        self.last: dict[str, int] = {}
        #: A start -> from when to when it certainly ran.
        self.lived: dict[str, tuple[float, float]] = {}
        #: Starts that met another copy.
        self.twice: list[str] = []
        for kind, me, *rest in words:
            if kind == "begun":
                self.begun[me] = rest[0], rest[1]
                self.last[me] = 0
                self.lived[me] = (float(rest[2]), float(rest[2]))
            elif kind == "count":
                self.last[me] = int(rest[0])
                self.lived[me] = (self.lived[me][0], float(rest[1]))
            else:
                self.twice.append(me)

    def starts(self) -> Counter[str]:
        """``job@host`` -> how often it was started."""
        return Counter(me.partition("/")[0] for me in self.begun)

    def check(self) -> None:
        """Each start was on its machine, and over before the next one of the same instance began."""
        assert not self.twice, f"met another copy of themselves: {self.twice}"
        by_instance: dict[str, list[str]] = {}
        for me, (host, _) in self.begun.items():
            instance = me.partition("/")[0]
            assert instance.endswith(f"@{host}"), f"{instance} was on {host}"
            by_instance.setdefault(instance, []).append(me)
        for starts in by_instance.values():
            starts.sort(key=lambda me: self.lived[me])
            for before, after in zip(starts, starts[1:]):
                assert self.lived[before][1] <= self.lived[after][0], f"{before} was alive when {after} began"


def numbered(documents: Iterable[dict[str, Any]]) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Those that are lines of such programs: start, number, document; not the half line of one that was killed in the middle."""
    for document in documents:
        dataset = document["event"]["dataset"]
        assert dataset not in ("daqsched.dropped", "daqsched.deadletter"), document
        words = document["message"].split(" ")
        if words[0] != "count" or document["service"]["name"] not in ("readout", "monitor"):
            continue
        if words[-1] == "end":
            yield words[1], int(words[2]), document
        else:
            assert "partial" in document["log"]["flags"], document


def missing(documents: Iterable[dict[str, Any]], ledger: Ledger) -> dict[str, list[int]]:
    """A start -> the numbers, up to the last that it noted, that are not stored."""
    left = {me: set(range(1, last + 1)) for me, last in ledger.last.items()}
    for me, number, _ in numbered(documents):
        left[me].discard(number)
    return {me: sorted(numbers) for me, numbers in left.items() if numbers}


def check_lines(documents: list[dict[str, Any]], ledger: Ledger) -> int:
    """Each line of each start is stored once, from the first to at least the last that it noted, under its instance, and the
    order of their times is that of their numbers. Returns how many there are."""
    lost = missing(documents, ledger)
    assert not lost, "; ".join(
        f"{me}: {len(numbers)} lines are missing: {numbers[:20]}" for me, numbers in lost.items()
    )
    found: dict[str, list[tuple[str, int]]] = {}
    records: dict[str, set[tuple[str, int]]] = {}
    for me, number, document in numbered(documents):
        instance = me.partition("/")[0]
        assert document["service"]["node"]["name"] == instance and instance.endswith(f"@{document['host']['name']}")
        found.setdefault(me, []).append((document["@timestamp"], number))
        record = document["orchestrator"]["resource"]["id"], document["daqsched"]["start"]
        records.setdefault(me, set()).add(record)
    assert set(found) == set(ledger.begun)
    for me, lines in found.items():
        twice = sorted(number for number, count in Counter(number for _, number in lines).items() if count > 1)
        assert not twice, f"{me}: {len(twice)} lines are there twice: {twice[:20]}"
        numbers = [number for _, number in sorted(lines)]
        assert numbers == list(range(1, len(numbers) + 1)), (
            f"{me}: times do not rise, or behind what it noted one is missing"
        )
        assert len(records[me]) == 1, f"{me} is stored as several starts: {records[me]}"
    assert len(set().union(*records.values())) == len(records), "several starts are stored as one"
    return sum(map(len, found.values()))


def quiet(count: Callable[[], int], within_s: float) -> None:
    """Wait until no more comes: what is stored twice would."""
    deadline = time.monotonic() + within_s
    before, same = -1, 0
    while same < 5:
        now = count()
        same = same + 1 if now == before else 0
        before = now
        assert time.monotonic() < deadline, f"more and more is stored, {now} documents by now"
        time.sleep(0.5)
