"""Lines of every kind in a real Elasticsearch, and what the pure functions say of them: who may read which, what is meant."""

from __future__ import annotations

import base64
import json
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, Optional
from urllib.request import Request

from builders import job
from daqsched.hosts import expand
from daqsched.logs.count import FIELDS
from daqsched.logs.grep import matcher
from daqsched.rights.grants import Grants, Target
from daqsched.spec import Spec
from daqsched_executor.contract.template import deadletter_template, template
from opened import opened

#: What nobody may be told who may not read it: each line has one of its own.
CANARY = "canary"

JOBS = {"readout": ("trigger", ""), "readout2": ("trigger", "calo"), "hv_1": ("power", ""), "hv_2": ("power", "calo")}
GONE = "oldjob"
HOSTS = ("hlt01", "hlt02", "hlt03", "hv01")
#: On this host the job is as it was before its owner changed.
VARIANT = ("readout", "hlt02", "power", "calo")
SERVICES = ("sshd", "readout", "hv_1", "cvmfs")
WORDS = ("beam", "lost", "trip", "voltage", "event", "busy")
LEVELS = ("info", "warning", "error")
BEGIN = 1_795_800_000.0

SPEC = Spec(
    jobs=tuple(job(name, "hlt[01-03]", owner=owner, part=part) for name, (owner, part) in JOBS.items()),
    variants=(job(VARIANT[0], VARIANT[1], owner=VARIANT[2], part=VARIANT[3]),),
)


class Stored(NamedTuple):
    """A document, and what it is of; ``target`` None: it does not say."""

    id: str
    place: str
    source: dict[str, Any]
    target: Optional[Target]
    #: Its time in seconds since the epoch.
    time: float

    @property
    def words(self) -> str:
        return str(self.source["message"])


def target_of(name: str, host: str, service: bool) -> Target:
    """Whose it is, said here a second time and not as the code does."""
    if service or name not in JOBS:  # of a job that is gone nobody knows whose it was
        return Target(name, host, "", "", service, forgotten=not service)
    if (name, host) == VARIANT[:2]:
        return Target(name, host, *VARIANT[2:])
    return Target(name, host, *JOBS[name])


def corpus(prefix: str, seed: int, count: int = 240) -> list[Stored]:
    """Lines of jobs, of services that call themselves like jobs, dropped and dead ones, and some that say of nothing."""
    chance = random.Random(seed)
    found = []
    for number in range(count):
        kind = chance.choice("task task task task file syslog json dropped dead service-dead foreign".split())
        host, moment = chance.choice(HOSTS), BEGIN + number + round(chance.random(), 6)
        service = kind in ("file", "syslog", "json", "service-dead") or (kind == "dropped" and chance.random() < 0.5)
        name = chance.choice(SERVICES if service else (*JOBS, GONE))
        words = " ".join(chance.choice(WORDS) for _ in range(3))
        source: dict[str, Any] = {
            "@timestamp": stamp(moment),
            "message": f"{words} {CANARY}{number}x{name.replace('_', '')}x{host}",
            "host": {"name": host},
            "service": {"name": name, "node": {"name": f"{name}@{host}"}},
            "daqsched": {
                "stream": chance.choice(("stdout", "stderr")),
                "fingerprint": f"{hash(words) & 0xFFFFFFFF:08x}",
            },
            "log": {"level": chance.choice(LEVELS), "offset": number},
            "event": {"dataset": f"daqsched.{kind}"},
            "labels": {"run": str(chance.randint(1, 3))},
        }
        if not service:
            source["orchestrator"] = {"type": "daqsched", "resource": {"type": "task", "id": f"{name}@{host}.1"}}
        target: Optional[Target] = target_of(name, host, service)
        index = f"{prefix}-2026.11.28"
        if kind.endswith("dead"):
            index = f"{prefix}-deadletter-2026.11"
            source["event"] = {"dataset": "daqsched.deadletter", "original": json.dumps({"message": source["message"]})}
            source["error"] = {"message": f"refused {source['message']}"}
            source["daqsched"]["deadletter"] = {"index": f"{prefix}-2026.11.28"}
        if kind == "foreign":
            target = None
            del source["orchestrator"]
            odd = chance.randrange(4)
            if odd == 0:
                del source["service"]
            elif odd == 1:
                del source["host"]
            elif odd == 2:
                source["service"]["name"] = ["readout", "hv_1"]
            else:
                source["service"]["name"] = "readout" + "x" * 2000
        found.append(Stored(f"line{number:05}", index, source, target, moment))
    return found


def stamp(moment: float) -> str:
    import datetime

    return datetime.datetime.fromtimestamp(moment, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def store(url: str, user: str, prefix: str, lines: Iterable[Stored]) -> None:
    """With our templates."""
    ask(url, user, "PUT", f"/_index_template/{prefix}", template(prefix))
    ask(url, user, "PUT", f"/_index_template/{prefix}-deadletter", deadletter_template(prefix))
    rows = [json.dumps(row) for one in lines for row in ({"create": {"_index": one.place, "_id": one.id}}, one.source)]
    done = ask(url, user, "POST", "/_bulk?refresh=true", "\n".join(rows) + "\n")
    assert not done["errors"], done


def ask(url: str, user: str, method: str, path: str, body: Any = None) -> Any:
    """As ``NAME:PASSWORD``; empty: as nobody."""
    headers = {"content-type": "application/json"}
    if user:
        headers["authorization"] = "Basic " + base64.b64encode(user.encode()).decode()
    data = None if body is None else (body if isinstance(body, str) else json.dumps(body)).encode()
    with opened(Request(url + path, data, headers, method=method)) as answer:
        return json.load(answer)


def may_read(grants: Optional[Grants], one: Stored) -> bool:
    """By the pure function of the rights, of what a line is of."""
    if grants is None or grants.all:
        return True
    return one.target is not None and not grants.why_not("lines", one.target)


def is_meant(asked: dict[str, Any], one: Stored) -> bool:
    """What a request of `protocol.LinesWanted` means, said here a second time."""
    source = one.source
    name = source.get("service", {}).get("name", "")
    names = name if isinstance(name, list) else [name] if len(name) <= 1024 else []
    host = source.get("host", {}).get("name", "")

    def fits(word: str) -> bool:
        of, _, on = word.partition("@")
        return (not of or any(same(of, each) for each in names)) and (not on or on_host(on, host))

    return (
        (not asked.get("select") or any(map(fits, asked["select"])))
        and (not asked.get("hosts") or any(on_host(word, host) for word in asked["hosts"]))
        and (not asked.get("streams") or any(same(word, source["daqsched"]["stream"]) for word in asked["streams"]))
        and (not asked.get("levels") or source["log"]["level"] in asked["levels"])
        and (not asked.get("runs") or source["labels"]["run"] in asked["runs"])
        and (asked.get("since") is None or one.time >= asked["since"])
        and (asked.get("until") is None or one.time < asked["until"])
        and matcher(asked.get("grep", ""))(one.words)
    )


def on_host(word: str, host: str) -> bool:
    return bool(host) and (host in expand(word) if "[" in word else same(word, host))


def same(word: str, text: str) -> bool:
    return bool(text) and fnmatchcase(text, word.replace("[", "[[]")) if "*" in word or "?" in word else text == word


def counted(by: Sequence[str], lines: Iterable[Stored]) -> Counter[tuple[str, ...]]:
    """How many there are in groups; of the fields that are used here."""

    def value(one: Stored, name: str) -> str:
        found: Any = one.source
        for step in FIELDS[name].split("."):
            found = found.get(step, {}) if isinstance(found, dict) else {}
        return found if isinstance(found, str) and len(found) <= 1024 else "-"

    return Counter(tuple(value(one, name) for name in by) for one in lines)


def some_rights(chance: random.Random) -> str:
    """A file with rules for `bob`, at random."""
    rules = []
    for _ in range(chance.randint(1, 4)):
        fields = ["to: unix:bob"]
        if chance.random() < 0.3:
            fields.append(f"deny: [{chance.choice(['lines', 'see', 'lines', chr(34) + '*' + chr(34)])}]")
        else:
            fields.append(f"role: {chance.choice(['viewer', 'viewer', 'shifter', 'expert', 'admin'])}")
            if chance.random() < 0.85:
                words = [
                    chance.choice(PATTERNS + tuple(f"service:{one}" for one in PATTERNS))
                    for _ in range(chance.randint(1, 2))
                ]
                fields.append(f"logs: {json.dumps(words)}")
        if chance.random() < 0.4:
            fields.append(f"on: {json.dumps([chance.choice(PATTERNS) for _ in range(chance.randint(1, 2))])}")
        if chance.random() < 0.3:
            fields.append(f"owner: {chance.choice(['trigger', 'power', 'nobody'])}")
        if chance.random() < 0.2:
            fields.append("part: calo")
        rules.append(f"  - {{{', '.join(fields)}}}")
    return "version: 1\nrules:\n" + "\n".join(rules) + "\n"


PATTERNS = (
    "*",
    "readout",
    "readout*",
    "hv_?",
    "hv_[12]*",
    "*[!2]",
    "hv_*@hlt0[12]*",
    "readout@hlt01",
    "@hlt0?",
    "@hlt[01-02]",
    "*@hlt02",
    "@*",
    "sshd",
    "oldjob",
    "re?dout@h*1",
    "cvmfs@hv01",
    "readout@hlt[01-02]",
)


def some_question(chance: random.Random) -> dict[str, Any]:
    """What somebody may ask for who looks for more than is his."""
    asked: dict[str, Any] = {}
    if chance.random() < 0.4:
        words = ["*", "hv_1", "hv_*", "readout", "@hv01", "hv_1@hlt01", "@hlt[01-03]", "*@*", "sshd", "h?_*@hlt0*"]
        asked["select"] = [chance.choice(words) for _ in range(chance.randint(1, 2))]
    if chance.random() < 0.2:
        asked["hosts"] = [chance.choice(["hv01", "hlt0*", "hlt[01-02]", "*"])]
    if chance.random() < 0.2:
        asked["streams"] = [chance.choice(["stdout", "std*", "stderr"])]
    if chance.random() < 0.2:
        asked["levels"] = chance.sample(LEVELS, 2)
    if chance.random() < 0.2:
        asked["runs"] = [chance.choice("123")]
    if chance.random() < 0.2:
        asked["since"] = BEGIN + chance.randint(0, 200)
    if chance.random() < 0.3:
        asked["until"] = BEGIN + chance.randint(50, 300)
    if chance.random() < 0.4:
        asked["grep"] = chance.choice(
            [f"{CANARY}*", "beam", '"beam lost"', "-beam", "trip volt*", "*age", f'"{CANARY}"', "busy -event", "*"]
        )
        if asked["grep"] == "*":
            asked["grep"] = ""
    return asked
