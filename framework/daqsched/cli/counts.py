"""What `daqsched logs --count` and `--new` print: tables, heat maps, JSON."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from daqsched import times
from daqsched.logs.count import json_rows, names_from, novelty_hosts, ranks, table
from daqsched.logs.lines import format_line, json_text, line_fields
from daqsched.plural import plural
from daqsched.terminal.heat import heat_map, length
from daqsched.terminal.out import print_json_text, say

if TYPE_CHECKING:
    from daqsched.logs.query import Wanted
    from daqsched.logs.sources import Source

#: What is counted where nobody says from when.
HOUR_S = 3600.0


class Screen(NamedTuple):
    """Where and how things are shown."""

    width: int
    colours: bool
    as_json: bool
    most: int


def show_count(source: Source, wanted: Wanted, by: str, every_s: float, now: float, screen: Screen) -> float:
    """The numbers as a table, with ``every_s`` as a heat map; of the last hour where ``wanted`` does not say since when.

    Gives the begin of what was counted.
    """
    names = names_from(by)
    end = now if wanted.until is None else wanted.until
    begin = end - HOUR_S if wanted.since is None else wanted.since
    counted = source.count(names, every_s, begin, end)
    examples: dict[str, str] = {}
    if "message" in names:
        at = names.index("message")
        largest = [group.values[at] for group in counted.groups] if screen.as_json else []
        largest = largest or [values[at] for values, _ in ranks(counted)[: screen.most]]
        found = source.examples(dict.fromkeys(largest), begin, end)
        examples = found if screen.as_json else {key: text.replace("\t", " ") for key, text in found.items()}
    if screen.as_json:
        print_json_text("".join(f"{row}\n" for row in json_rows(counted, every_s, examples)))
        return begin
    what = plural(counted.total, "line")
    if names:
        what += f" by {', '.join(names)}"
    span = f"{times.clock(begin)} to {times.clock(end)}"
    say(f"{what}, {span}" + (f", every {length(every_s)}" if every_s else ""))
    if not counted.total:
        return begin
    if every_s:
        plain = "utf" not in (sys.stdout.encoding or "").lower()
        rows = heat_map(
            counted, begin, end, every_s, screen.most, screen.width, screen.colours, plain=plain, examples=examples
        )
    else:
        rows = table(counted, screen.most, examples, screen.width)
    say(*rows)
    return begin


def show_new(source: Source, since: float, screen: Screen, today: str) -> None:
    """Each message of a new kind: its first line, how often, on which hosts."""
    found = source.new(since)
    messages = found.messages[: None if screen.as_json else screen.most]
    for novelty in messages:
        if screen.as_json:
            more = {"count": novelty.count, "hosts": list(novelty.hosts), "host_count": novelty.host_count}
            print_json_text(f"{json_text({**line_fields(novelty.first), **more})}\n")
            continue
        often = f"{novelty.count:,} times" if novelty.count > 1 else "once"
        say(format_line(novelty.first, screen.colours, today=today), f"    {often}, {novelty_hosts(novelty)}")
    when = times.clock(since)
    kinds = len(found.messages)
    said = f"{plural(kinds, 'message', 'is', 'are')} new since {when}, out of {plural(found.lines, 'line')}"
    if kinds > len(messages):
        said += f"; {kinds - len(messages):,} are not shown (--lines N shows more)"
    if found.without:
        said += f"; {plural(found.without, 'line', 'has', 'have')} no fingerprint (stored by an older forwarder)"
    if found.cut:
        were = "was" if found.cut == 1 else "were"
        said += f"; {plural(found.cut, 'line')} of too many kinds {were} not looked at: ask for less time or fewer jobs"
    say(f"daqsched logs: {said}", err=True)
