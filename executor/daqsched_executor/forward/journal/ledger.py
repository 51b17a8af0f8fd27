"""What the records of the journal come to: places, what has no reply, what was dropped, and the totals. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

from .marks import Mark
from .position import Drop, Loss, Plan, Position, Range, Stretch, typed


@dataclass
class Totals:
    """Lines since this spool was made; read = stored + duplicates + dead + dropped + those that are under way."""

    read: int = 0
    stored: int = 0
    #: Those that a former attempt had stored already.
    duplicates: int = 0
    #: Those that Elasticsearch refused in their full form.
    dead: int = 0
    #: Those that were dropped or lost, each reported by a document.
    dropped: int = 0


class Lost(NamedTuple):
    """What was lost for one reason."""

    times: int = 0
    #: Those that were read before; they are among `Totals.dropped`.
    lines: int = 0
    #: At least so many.
    size: int = 0


class Ledger:
    """The state after the records that it was given."""

    def __init__(self) -> None:
        self.positions: dict[str, Position] = {}
        #: The backlog, by stream, oldest first.
        self.stretches: dict[str, list[Stretch]] = {}
        #: The times of bytes that waited when they were last noted.
        self.marks: dict[str, list[Mark]] = {}
        #: Planned, sent or not, without a reply so far.
        self.outstanding: dict[int, Plan] = {}
        #: Lines that were dropped and that no plan has reported yet.
        self.drops: list[Drop] = []
        #: What is to be moved to the end of its bytes, from a drop that was cut short; see `squeeze`.
        self.squeezing: Drop | None = None
        #: What was lost and no plan has reported yet; by reason, all that ever was (see `position.LOST_BECAUSE`).
        self.losses: list[Loss] = []
        self.lost: dict[str, Lost] = {}
        #: Where something was lost of each stream: it is counted once, however often it is found.
        self._places: dict[str, list[tuple[int, int]]] = {}
        self.totals = Totals()
        #: The latest time that a line was given.
        self.micros = 0
        self._number = 0

    @property
    def under_way(self) -> int:
        """How many lines have no reply yet."""
        return sum(plan.lines for plan in self.outstanding.values())

    def snapshot(self) -> list[dict[str, object]]:
        """Records that come to the present state."""
        records: list[dict[str, object]] = [
            {"number": self._number, "micros": self.micros, "totals": asdict(self.totals), "told": self.drops}
        ]
        if self.lost:
            records.append({"losses": self.losses, "lost_before": self.lost, "places": self._places})
        for stream, position in self.positions.items():
            left = self.stretches.get(stream)
            records.append({"place": stream, "position": position, **({"left": left} if left else {})})
        if self.marks:
            records.append({"marks": self.marks})
        if self.squeezing:
            records.append({"squeezing": self.squeezing})
        records += [
            {
                "again": number,
                "ranges": plan.ranges,
                "drops": plan.drops,
                "lines": plan.lines,
                "index": plan.target,
                "told_losses": plan.losses,
            }
            for number, plan in self.outstanding.items()
        ]
        return records

    def apply(self, record: dict[str, Any]) -> None:
        """One record more, as it is read from the file. Raises LookupError, TypeError or ValueError for what is none, and then
        the state is of no use."""
        for word, meaning in _MEANINGS.items():
            if word in record:
                meaning(self, record)
                break
        self.micros = max(self.micros, _whole(record.get("micros", 0)))

    def _planned(self, record: dict[str, Any]) -> None:
        plan = _plan_of(record)
        self._number = number = _whole(record["plan"])
        self.outstanding[number] = plan
        for entry in plan.ranges:
            self._read(entry.stream, entry.generation, entry.start, entry.end, entry.cut_after, entry.latest)
        self.drops = [drop for drop in self.drops if drop not in plan.drops]
        self.losses = [loss for loss in self.losses if loss not in plan.losses]
        self.totals.read += plan.lines

    def _planned_before(self, record: dict[str, Any]) -> None:
        self.outstanding[_whole(record["again"])] = _plan_of(record)
        rest = record.get("rest")
        if rest is not None:
            self._number = number = _whole(rest["again"])
            self.outstanding[number] = _plan_of(rest)

    def _done(self, record: dict[str, Any]) -> None:
        plan = self.outstanding.pop(_whole(record["done"]), None)
        if plan is not None:
            stored, duplicates, dead = map(_whole, record["as"])
            if stored + duplicates + dead > plan.lines:
                raise ValueError(f"a batch of {plan.lines} lines can't come back as {record['as']}")
            self.totals.stored += stored
            self.totals.duplicates += duplicates
            self.totals.dead += dead
            self.totals.dropped += plan.lines - stored - duplicates - dead

    def _placed(self, record: dict[str, Any]) -> None:
        stream = _name(record["place"])
        before = self.positions.get(stream)
        self.positions[stream] = position = typed(Position, record["position"])
        if record.get("left"):
            self.stretches[stream] = [typed(Stretch, one) for one in record["left"]]
        elif before is not None and before.generation != position.generation:
            self.stretches.pop(stream, None)
            self.marks.pop(stream, None)

    def _jumped(self, record: dict[str, Any]) -> None:
        stream, to = _name(record["jump"]), _whole(record["to"])
        position = self.positions[stream]
        stretches = self.stretches.setdefault(stream, [])
        if stretches and stretches[-1].end == position.offset:
            stretches[-1] = stretches[-1]._replace(end=to)
        else:
            stretches.append(Stretch(position.offset, to, position.cut, position.latest))
        self.positions[stream] = Position(position.generation, to, False, position.latest)

    def _dropped(self, record: dict[str, Any]) -> None:
        drop = typed(Drop, record["drop"])
        self._read(drop.stream, drop.generation, drop.start, drop.end, False)
        self._gave_up(drop)

    def _squeezing(self, record: dict[str, Any]) -> None:
        self.squeezing = drop = typed(Drop, record["squeeze"])
        to = drop.start + drop.size
        stretches = self.stretches.setdefault(drop.stream, [])
        for at, stretch in enumerate(stretches):
            if stretch.start <= drop.start < stretch.end:
                rest = [Stretch(to, stretch.end, False, stretch.latest)] if to < stretch.end else []
                stretches[at : at + 1] = _before(stretch, drop.start) + rest
                break
        else:
            position = self.positions[drop.stream]
            before = Stretch(position.offset, drop.start, position.cut, position.latest)
            stretches += _before(before, drop.start)
            self.positions[drop.stream] = Position(drop.generation, to, False, position.latest)
        if not stretches:
            del self.stretches[drop.stream]
        self._gave_up(drop)

    def _squeezing_before(self, record: dict[str, Any]) -> None:
        self.squeezing = typed(Drop, record["squeezing"])

    def _squeezed(self, record: dict[str, Any]) -> None:
        self.squeezing = None

    def _gave_up(self, drop: Drop) -> None:
        self.totals.read += drop.lines
        self.totals.dropped += drop.lines
        for at, other in enumerate(self.drops):
            if other[:2] == drop[:2] and other.end == drop.start and other.debug == drop.debug:
                self.drops[at] = other._replace(
                    end=drop.end, lines=other.lines + drop.lines, size=other.size + drop.size
                )
                return
        self.drops.append(drop)

    def _lose(self, record: dict[str, Any]) -> None:
        loss = typed(Loss, record["lost"])
        if record["over"]:
            self.stretches.pop(loss.stream, None)
            self.marks.pop(loss.stream, None)
        places = self._places.setdefault(loss.stream, [])
        if (loss.generation, loss.start) in places:
            return
        places.append((loss.generation, loss.start))
        before = self.lost.get(loss.why, Lost())
        self.lost[loss.why] = Lost(before.times + 1, before.lines + loss.lines, before.size + loss.size)
        if record["tell"]:
            self.losses.append(loss)

    def _lost_before(self, record: dict[str, Any]) -> None:
        self.losses = [typed(Loss, loss) for loss in record["losses"]]
        self.lost = {_name(why): typed(Lost, lost) for why, lost in record["lost_before"].items()}
        self._places = {
            stream: [(_whole(generation), _whole(start)) for generation, start in places]
            for stream, places in record["places"].items()
        }

    def _read(self, stream: str, generation: int, start: int, end: int, cut: bool, latest: int = 0) -> None:
        """Bytes were planned or dropped: the place that began there, one of the backlog or the foremost, moves on."""
        stretches = self.stretches.get(stream, [])
        for at, stretch in enumerate(stretches):
            if stretch.start == start:
                if end < stretch.end:
                    stretches[at] = Stretch(end, stretch.end, cut, latest or stretch.latest)
                else:
                    del stretches[at]
                    if not stretches:
                        del self.stretches[stream]
                return
        if not latest and stream in self.positions:
            latest = self.positions[stream].latest
        self.positions[stream] = Position(generation, end, cut, latest)

    def _marked(self, record: dict[str, Any]) -> None:
        for stream, marks in record["marks"].items():
            if marks:
                self.marks[stream] = [typed(Mark, mark) for mark in marks]
            else:
                self.marks.pop(stream, None)

    def _forgot(self, record: dict[str, Any]) -> None:
        for table in (self.positions, self.stretches, self.marks, self._places):
            table.pop(_name(record["forget"]), None)

    def _began(self, record: dict[str, Any]) -> None:
        self._number = _whole(record["number"])
        totals = record.get("totals", {})
        self.totals = Totals(**{one.name: _whole(totals.get(one.name, 0)) for one in fields(Totals)})
        self.drops = [typed(Drop, drop) for drop in record.get("told", ())]


_MEANINGS: dict[str, Callable[[Ledger, dict[str, Any]], None]] = {
    "plan": Ledger._planned,
    "done": Ledger._done,
    "again": Ledger._planned_before,
    "place": Ledger._placed,
    "jump": Ledger._jumped,
    "drop": Ledger._dropped,
    "squeeze": Ledger._squeezing,
    "squeezing": Ledger._squeezing_before,
    "squeezed": Ledger._squeezed,
    "marks": Ledger._marked,
    "forget": Ledger._forgot,
    "number": Ledger._began,
    "lost": Ledger._lose,
    "lost_before": Ledger._lost_before,
}


def _before(stretch: Stretch, start: int) -> list[Stretch]:
    """What is left of a stretch before that byte."""
    return [stretch._replace(end=start)] if stretch.start < start else []


def _plan_of(record: dict[str, Any]) -> Plan:
    ranges = tuple(typed(Range, entry) for entry in record["ranges"])
    drops = tuple(typed(Drop, drop) for drop in record.get("drops", ()))
    losses = tuple(typed(Loss, loss) for loss in record.get("told_losses", ()))
    return Plan(ranges, drops, _whole(record["lines"]), _name(record["index"]), losses)


def _whole(value: Any) -> int:
    """A number that a record may hold."""
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ValueError(f"{str(value)[:100]} is not a number of a record")
    return value


def _name(value: Any) -> str:
    if type(value) is not str:
        raise ValueError(f"{str(value)[:100]} is not a name in a record")
    return value
