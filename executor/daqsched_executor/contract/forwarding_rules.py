"""What types alone can't say of `Forwarding`: the same rules for a job file and for a YAML file.

Imported by who reads such a file, not by the package: an executor does without it.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from math import inf
from typing import Union

from daqsched_executor.contract.forwarding import PERIODS, WHEN_FULL, Forwarding, Journal, JsonLines, LogFiles, Syslog

#: A field, as ``files[nsmd2].paths``, and a sentence about it.
Wrong = tuple[str, str]

#: The presets that the forwarder's forms know, and the directives of a time's format (`forward.forms`; a test compares).
TIMES = (
    "iso", "python", "log4j", "syslog", "ctime", "apache", "apache-error", "glog", "cvmfs", "epics", "nsm", "zabbix", "epoch",
)  # fmt: skip
LEVELS = ("words", "none", "python", "log4j", "glog", "apache", "apache-error", "syslog", "nsm")
MULTILINES = ("indented", "traceback", "java", "syslog-continuation", "nsm")
DIRECTIVES = "YymdebBaAHIpMSfzZsTF%"

_NODE = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[^/@:\s\[\]]+)(:\d{1,5})?(/[^\s@]*)?\Z")
#: What Elasticsearch takes as the beginning of an index's name (MetadataCreateIndexService.validateIndexName).
_INDEX = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}\Z")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,99}\Z")
#: Nobody means such a word as a regular expression.
_PRESET = re.compile(r"[a-z][a-z0-9-]*\Z")
_ADDRESS = re.compile(r"[0-9.]+\Z|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\Z")


#: Each connection costs a descriptor, and memory for a message that has not ended.
MOST_SENDERS = 10_000
#: A week.
MOST_IDLE_S = 604_800


def mistakes(config: Forwarding) -> Iterator[Wrong]:
    """Each thing that is wrong, all of them; an empty address of Elasticsearch is none here."""
    for url in config.elasticsearch.split(",") if config.elasticsearch else ():
        if "@" in url:
            yield "elasticsearch", "user and password must not be in an address: name their file in user_file"
        elif not _NODE.match(url.strip()):
            yield (
                "elasticsearch",
                f"{url.strip()!r} is not an address of Elasticsearch: write for example http://es1:9200",
            )
    if config.index and not _INDEX.match(config.index):
        sentence = "lower-case letters, digits, '.', '_', '-', a letter or digit first, at most 100"
        yield "index", f"{config.index!r} can't begin an index's name: {sentence}"
    yield from _word("period", config.period, PERIODS)
    yield from _word("when_full", config.when_full, WHEN_FULL)
    for name in ("ca_file", "user_file", "api_key_file", "run_file", "spool"):
        yield from _absolute(name, getattr(config, name))
    if config.user_file and config.api_key_file:
        yield "api_key_file", "there is a user_file, too: give one of them"
    if config.ca_file and config.elasticsearch and "https://" not in config.elasticsearch:
        yield "ca_file", "no address of Elasticsearch begins with https://, so it would not be used"
    if not 0 <= config.keep < inf:
        yield "keep", f"must be 0 or more MiB, not {config.keep:g}"
    if not 1 <= config.disk < inf:
        yield "disk", f"must be 1 MiB or more, not {config.disk:g}"
    for files in config.files:
        yield from _files(f"files[{files.name}]", files)
    yield from _socket("syslog", config.syslog, ("udp", "tcp"))
    if not 1 <= config.syslog.senders <= MOST_SENDERS:
        yield "syslog.senders", f"must be from 1 to {MOST_SENDERS:,}, not {config.syslog.senders}"
    if not 1 <= config.syslog.idle_s <= MOST_IDLE_S:
        yield "syslog.idle_s", f"must be from 1 to {MOST_IDLE_S:,} seconds, not {config.syslog.idle_s:g}"
    yield from _socket("json", config.json, ("udp",))
    both = config.syslog.udp and config.syslog.udp == config.json.udp
    if both and config.syslog.address == config.json.address and config.syslog.hosts == config.json.hosts:
        yield "json.udp", f"port {config.json.udp} is that of syslog.udp, too"
    yield from _journal(config.journal)


def _files(inside: str, files: LogFiles) -> Iterator[Wrong]:
    if not _NAME.match(files.name):
        sentence = "a letter or digit, then letters, digits, '_', '.', '@', '-', at most 100"
        yield f"{inside}.name", f"{files.name!r} is not a valid name for a service: {sentence}"
    if not files.paths:
        yield f"{inside}.paths", "names no file"
    for path in files.paths:
        yield from _absolute(f"{inside}.paths", path)
    if files.time and "%" not in files.time and files.time not in TIMES:
        yield f"{inside}.time", f"{files.time!r} is neither a strptime format nor one of {', '.join(TIMES)}"
    for letter in re.findall(r"%(.?)", files.time):
        if not letter or letter not in DIRECTIVES:
            known = " ".join(f"%{one}" for one in DIRECTIVES)
            yield f"{inside}.time", f"{files.time!r}: %{letter} is not known: there are {known}"
    for field, presets in (("level", LEVELS), ("multiline", MULTILINES)):
        text = getattr(files, field)
        try:
            groups = re.compile(text).groupindex
        except (re.error, OverflowError) as error:
            yield f"{inside}.{field}", f"{text!r} is not a regular expression: {error}"
            continue
        if text in presets or not text:
            continue
        if _PRESET.match(text):
            yield f"{inside}.{field}", f"{text!r} is not one of {', '.join(presets)}"
        elif field == "level" and "level" not in groups:
            yield f"{inside}.level", f"{text!r} has no group of the name level: write (?P<level>...)"
    try:
        codecs.lookup(files.charset)
    except LookupError:
        yield f"{inside}.charset", f"{files.charset!r} is not a charset that Python knows: for example latin-1"
    for name in files.labels:
        if not name or "." in name:
            yield f"{inside}.labels", f"{name!r} is not a valid name for a label: not empty, and no dot"


def _socket(name: str, told: Union[Syslog, JsonLines], ports: tuple[str, ...]) -> Iterator[Wrong]:
    for port in ports:
        number = getattr(told, port)
        if not 0 <= number < 65536:
            yield f"{name}.{port}", f"must be from 1 to 65535, or 0 for none, not {number}"
    if not _ADDRESS.match(told.address):
        yield f"{name}.address", f"{told.address!r} is not an address of this machine: write for example 0.0.0.0 or ::"
    if not 0 < told.buffer < inf:
        yield f"{name}.buffer", f"must be more than 0 MiB, not {told.buffer:g}"


def _journal(journal: Journal) -> Iterator[Wrong]:
    yield from _absolute("journal.directory", journal.directory)
    for unit in journal.units:
        if not unit or re.search(r"\s", unit):
            yield "journal.units", f"{unit!r} is not the name of a unit: write for example sshd.service"


def _word(field: str, word: str, words: tuple[str, ...]) -> Iterator[Wrong]:
    if word not in words:
        yield field, f"{word!r} is not one of {', '.join(words)}"


def _absolute(field: str, path: str) -> Iterator[Wrong]:
    if path and (not path.startswith("/") or "\0" in path):
        yield field, f"{path!r} must be an absolute path"
