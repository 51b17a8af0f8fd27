"""No sentence of an answer names what somebody may not see: random farms in which what is hidden is in the way of what is not."""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any, Optional

import msgspec
import pytest

from builders import job, offer
from daqsched import protocol
from daqsched.engine import events
from daqsched.operations import OPERATIONS
from daqsched.rights.rules import read
from daqsched.rights.unsaid import AWAITED, ENDING, OTHER, said
from daqsched.rollout import Strategy
from daqsched.serve import log, looking
from daqsched.serve.chronicle import Chronicle
from daqsched.spec import JobSpec, Spec
from direct import Direct

RIGHTS = read(
    """
version: 1
rules:
  - {to: unix-group:trg, role: expert, owner: trigger}
  - {to: unix-group:lead, role: admin, owner: trigger}
  - {to: unix-group:blind, role: admin}
  - {to: unix-group:blind, deny: [see], on: ["canary*"]}
  - {to: unix-group:half, role: expert, on: ["seen*", "canary1@hlt01"]}
""",
    "rights.yaml",
)

#: Who asks -> what no answer may have.
HIDDEN = {
    "trg": re.compile("canary"),
    "lead": re.compile("canary"),
    "blind": re.compile("canary"),
    # of one job a part is seen
    "half": re.compile(r"canary(?!1\b)|canary1@(?!hlt01)|canary1 on (?!hlt01)"),
}

HOSTS = ("hlt01", "hlt02", "hlt03")

#: As many farms, and steps of each.
FARMS, STEPS = 6, 45


class Farm:
    """Of jobs that wait for each other, take each other's place and ports, and end in all ways."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.chance = random.Random(seed)
        self.direct = Direct(RIGHTS)
        self.root = Direct().caller()
        self.chronicle = Chronicle(folder / f"chronicle-{seed}.sqlite", 1.8e9)
        daemon = self.direct.daemon
        self.direct.api.looks.chronicle = self.chronicle
        daemon.subscribers.append(lambda changes: self.chronicle.note(daemon.engine, changes, daemon.time))
        daemon.put(events.Registered("fw", "m:5050"))
        self.answers: Counter[str] = Counter()
        self.said: Counter[str] = Counter()

    def job(self, name: str, before: list[str]) -> JobSpec:
        chance = self.chance
        hosts = "hlt[01-02]" if chance.random() < 0.7 else chance.choice(HOSTS)
        after = tuple(chance.sample(before, min(len(before), chance.choice([0, 1, 1, 2]))))
        if not name.startswith("canary") and chance.random() < 0.7:
            after = tuple(one for one in after if one.startswith("canary"))
        return job(
            name,
            hosts,
            owner="power" if name.startswith("canary") else "trigger",
            release=chance.choice(["1", "2"]),
            after=after,
            replaces=self.replaced(name) if chance.random() < 0.5 else (),
            ports={"p": chance.choice([31000, 31001])} if chance.random() < 0.4 else {},
            start="manual" if chance.random() < 0.1 else "auto",
        )

    def replaced(self, name: str) -> tuple[str, ...]:
        """What is there now, and may be gone with the next apply."""
        there = [one.name for one in self.direct.engine.spec.jobs if one.name != name]
        return (self.chance.choice(there),) if there else ()

    def spec(self) -> Spec:
        names = [f"{kind}{number}" for kind in ("seen", "canary") for number in (1, 2, 3)]
        self.chance.shuffle(names)
        jobs: list[JobSpec] = []
        for name in names[: self.chance.choice([3, 4, 5, 6, 6])]:
            made = self.job(name, [one.name for one in jobs])
            jobs.append(msgspec.structs.replace(made, replaces=tuple(set(made.replaces) - set(names))))
        return Spec(jobs=tuple(jobs), part=self.chance.choice(["", "", "canarypart"]))

    async def ask(self, who: Optional[str], method: str, path: str, body: Any = None, query: str = "") -> Any:
        caller = self.direct.caller(f"unix-group:{who}") if who else self.root
        content = msgspec.json.encode(body) if body is not None else b""
        return await self.direct.ask(caller, method, path, query.encode(), content)

    async def step(self) -> None:
        """Something of what people, programs and machines do; what is refused changes nothing."""
        chance, daemon = self.chance, self.direct.daemon
        what = chance.choice(
            "apply apply offers offers offers report report report stop start hold aside restart time".split()
        )
        keys = list(daemon.engine.instances) or [("", "")]
        word = "@".join(chance.choice(keys))
        if what == "apply":
            way = Strategy(batches=(1,), ready_s=5.0) if chance.random() < 0.4 else None
            asked = protocol.ApplyRequest(self.spec(), "go", True, strategy=way, stops=99, no_look=True)
            await self.ask(None, "POST", "/apply", asked)
        elif what == "offers":
            some = chance.sample(HOSTS, 2)
            daemon.put(events.OffersArrived(tuple(offer(one, id=f"o{chance.random()}") for one in some)))
        elif what == "report":
            for task in chance.sample(daemon.edge.launched, min(3, len(daemon.edge.launched))):
                state = chance.choice(
                    "TASK_RUNNING TASK_RUNNING TASK_FAILED TASK_KILLED TASK_FINISHED TASK_UNREACHABLE".split()
                )
                host = task.rpartition(".")[0].partition("@")[2]
                daemon.put(events.TaskReported(task, f"agent-{host}", state, "died", uuid=f"{chance.random()}"))
        elif what in ("stop", "start", "hold"):
            await self.ask(None, "POST", f"/{what}", protocol.SelectRequest([word], "why", stops=99, everyones=True))
        elif what == "aside":
            until = daemon.time + 60.0
            await self.ask(
                None, "POST", "/aside", protocol.AsideRequest([chance.choice(HOSTS)], until, "why", stops=99)
            )
        elif what == "restart":
            await self.ask(
                None, "POST", "/restart", protocol.RestartRequest(["*"], "why", Strategy(batches=(1,)), stops=99)
            )
        else:
            daemon.time += chance.choice([1.0, 10.0, 70.0])
            daemon.put(events.Ticked())

    async def look(self, who: str) -> None:
        """All that can be looked at, a plan, a start of all, and what is refused."""
        chance = self.chance
        asked = [
            (
                method,
                path.replace("{id}", "x").replace("{number}", chance.choice("012")).replace("{host}", "hlt01"),
                None,
                "",
            )
            for method, path in OPERATIONS
            if method == "GET" and path not in ("/openapi.json", "/events", "/backup")
        ]
        spec = Spec(jobs=tuple(one for one in self.spec().jobs if one.name.startswith("seen")))
        spec = msgspec.structs.replace(
            spec, jobs=tuple(msgspec.structs.replace(one, after=(), replaces=()) for one in spec.jobs)
        )
        posted: list[tuple[str, str, Any, str]] = [
            ("POST", "/plan", protocol.PlanRequest(spec, ["seen*"]), ""),
            ("POST", "/plan", protocol.PlanRequest(spec), ""),
            ("POST", "/start", protocol.SelectRequest(["*"]), ""),
            ("POST", "/stop", protocol.SelectRequest(["*"]), ""),
            ("POST", "/order", protocol.OrderRequest(["*"], "retry"), ""),
            ("POST", "/apply", protocol.ApplyRequest(spec, "x"), ""),
            ("POST", "/restart", protocol.RestartRequest(["seen1"], "x"), ""),
            ("POST", "/aside", protocol.AsideRequest(["hlt01"], 1.9e9), ""),
        ]
        for path in ("/status", "/progress", "/why", "/stories", "/names"):
            asked.append(("GET", path, None, "select=*&most=99&of=selection"))
        asked.append(("GET", "/status", None, f"at={self.direct.daemon.time}"))
        for method, path, body, query in [*asked, *(posted if chance.random() < 0.3 else posted[:2])]:
            found = await self.ask(who, method, path, body, query)
            text = found.body.decode()
            assert found.status < 500, (path, text)
            hidden = HIDDEN[who].search(text)
            assert hidden is None, (who, method, path, query, text[max(0, hidden.start() - 300) : hidden.end() + 200])
            self.answers[f"{method} {path}"] += 1
            for words in (AWAITED, ENDING, OTHER):
                self.said[words] += text.count(words)


@pytest.mark.parametrize("seed", range(FARMS))
def test_no_sentence_names_what_is_hidden(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reasons, evidence, changes, conflicts, lines of plans, refusals, revisions: of everybody who does not see all."""
    monkeypatch.setattr(looking, "LOOK_S", 0.01)  # nobody would answer
    monkeypatch.setattr(
        logging.getLogger(), "handlers", [*logging.getLogger().handlers, log.RECENT]
    )  # as a daemon has it
    farm = Farm(seed, tmp_path)

    async def run() -> None:
        first = [job("canary1", "hlt02", owner="power"), job("canary2", "hlt03", owner="power")]
        first += [job("seen1", owner="trigger", after=("canary1",)), job("seen2", owner="trigger", after=("canary2",))]
        asked = protocol.ApplyRequest(Spec(jobs=tuple(first)), "first", no_look=True)
        assert (await farm.ask(None, "POST", "/apply", asked)).status == 200
        for who in HIDDEN:
            await farm.look(who)
        for number in range(STEPS):
            await farm.step()
            await farm.look(list(HIDDEN)[number % len(HIDDEN)])

    asyncio.run(run())
    farm.chronicle.close(1.9e9)
    assert farm.said[AWAITED] and len(farm.answers) > 20, (farm.said, farm.answers)


def test_whatever_is_unsaid_was_there() -> None:
    """Who sees all reads names; else the test above would be content with a farm in which nobody waits."""
    assert (
        said("waits for canary1 (1 of 2 running)", "canary1".__eq__, lambda job, host: False, lambda job: True)
        == AWAITED
    )


#: A sentence, and what is said of it to who sees neither `canary` nor anything of `gone`, nor `seen` on hlt02.
SENTENCES = {
    "waits for canary (2 of 3 running)": AWAITED,
    "waits for canary on hlt01 (BACKOFF)": AWAITED,
    "waits for the end of canary@hlt01 (STOPPING)": ENDING,
    "waits for the end of gone@hlt01 (STOPPING)": ENDING,
    "waits for the end of seen@hlt02 (STOPPING)": ENDING,
    "waits for the end of seen@hlt01 (STOPPING)": "waits for the end of seen@hlt01 (STOPPING)",
    "waits for gone (it has no machine yet)": AWAITED,
    "waits for seen (it has no machine yet)": "waits for seen (it has no machine yet)",
    "waits for seen on hlt02 (FAILED)": AWAITED,
    "makes way for the new one; waits for the end of canary@hlt01": f"makes way for the new one; {ENDING}",
    "waits for the end of canary@hlt01, which can't be reached; `daqsched start seen@hlt01 --anyway` starts it all the same": (
        f"{ENDING}; `daqsched start seen@hlt01 --anyway` starts it all the same"
    ),
    "waits for canary (0 of 1 running); `daqsched start canary` lets that run": AWAITED,
    "waits for its first start by hand: `daqsched start x`": "waits for its first start by hand: `daqsched start x`",
    "waits for its turn: 2 of 3 starts at once on hlt01": "waits for its turn: 2 of 3 starts at once on hlt01",
    "the next batch waits for http://guard/x: it says no": "the next batch waits for http://guard/x: it says no",
    "the next batch waits for check: it says no": "the next batch waits for check: it says no",
    "by alice@DAQ.EXAMPLE: new firmware": "by alice@DAQ.EXAMPLE: new firmware",
    "port 31000 on hlt01 is canary's": OTHER,
    "exit code 3 after 2 s": "exit code 3 after 2 s",
    "": "",
}


@pytest.mark.parametrize("sentence", SENTENCES)
def test_of_each_clause_what_may_be_said_is_said(sentence: str) -> None:
    """And twice is as once."""

    def hides(job: str, host: str) -> bool:
        return job in ("canary", "gone") or (job == "seen" and host == "hlt02")

    def told(text: str) -> str:
        return said(text, lambda name: name == "canary", hides, lambda job: job in ("canary", "seen"))

    assert told(sentence) == SENTENCES[sentence] == told(SENTENCES[sentence])


def test_the_page_is_told_of_the_daemon_what_the_command_is(tmp_path: Path) -> None:
    """Of whoever sees anything; a rollout is for those who see all."""
    farm = Farm(1, tmp_path)
    same = ("revision", "digest", "user", "applied", "master", "connected", "leader", "read_only", "audit", "control")

    async def run() -> None:
        asked = protocol.ApplyRequest(Spec(jobs=(job("seen1", owner="trigger"), job("canary1", owner="power"))), "go")
        assert (await farm.ask(None, "POST", "/apply", asked)).status == 200
        for who in (None, *HIDDEN):
            board, status = [
                msgspec.json.decode((await farm.ask(who, "GET", path)).body) for path in ("/board", "/status")
            ]
            head = board["farm"]
            assert {name: head[name] for name in same} == {name: status[name] for name in same}, who
            assert head["revision"] == 1 and head["user"] and head["master"] == "m:5050"

    asyncio.run(run())
    farm.chronicle.close(1.9e9)
