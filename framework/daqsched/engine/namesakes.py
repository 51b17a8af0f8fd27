"""Which agent a host's name belongs to, where several call themselves so: a cloned image, an old machine switched on again.

A program belongs to the machine that its cables are in, so a name has one agent at a time: the one that has run something
under it, or the first that made an offer. What another offers under the name is not used, until a person says that it is the
right one, or the first is known to be gone. A copy of a program never starts while the first may still live.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Optional

import msgspec

from daqsched.engine.time_format import TimeFormat
from daqsched.errors import Refused, UserError
from daqsched.limits import brief, some

#: While several agents have one name, the master is asked so often which of them it knows.
LOOK_S = 15.0
#: An agent that did not answer the master for so long has no program left: executors end when their agent stays away for 15
#: minutes (Mesos' recovery_timeout). Then another with its name is its successor.
GONE_S = 1200.0
#: Where an agent listened is known for so many, and as many as there are names, after it lost its name.
FORMER = 1000
#: What the master is asked about is a task that never was, on the agent in question.
PROBE = "daqsched-agent"

#: What an answer says of the agent: it is there; the master waits for it; nobody will hear of it again.
PRESENT, SILENT, REMOVED = "present", "silent", "removed"
_ANSWERS = {
    "TASK_GONE": PRESENT,  # the agent is, and has no such task
    "TASK_UNREACHABLE": SILENT,
    "TASK_UNKNOWN": REMOVED,
    "TASK_GONE_BY_OPERATOR": REMOVED,
}


class Namesakes:
    """See the module; what follows from it is done by `namesake_steps`."""

    def __init__(self) -> None:
        #: host -> the agent that has the name.
        self.agents: dict[str, str] = {}
        #: host -> the agent that a person said is the right one.
        self.chosen: dict[str, str] = {}
        #: host -> the others that made an offer under the name, each with when it was first seen.
        self.others: dict[str, dict[str, float]] = {}
        #: By which word of the store, for as long as that is read.
        self._when: dict[str, tuple[bool, float]] = {}
        #: Where agents listen; of those without a name no more than there are names (`listens`).
        self.places: dict[str, str] = {}
        #: The hosts of which it was said.
        self.said: set[str] = set()
        #: What the master last said of an agent.
        self.known: dict[str, str] = {}
        #: By the task that it was asked about.
        self._asked: dict[str, str] = {}
        #: When to look next.
        self.due = float("inf")
        #: By their short names in small letters, the names under which offers came.
        self._alike: dict[str, dict[str, None]] = {}

    def restored(self, saved: Optional[bytes]) -> None:
        """What a person said, before the instances. Raises ValueError where it can't be read."""
        if saved is not None:
            try:
                self.chosen = msgspec.msgpack.decode(saved, type=dict[str, str])
            except msgspec.MsgspecError as error:
                raise ValueError(brief(str(error))) from error
            self.agents.update(self.chosen)

    def was_on(self, host: str, agent_id: str, when: tuple[bool, float]) -> None:
        """Something of ours runs on this agent since then, or ended there: the last one has the name, unless a person said
        which has."""
        if host not in self.chosen and when >= self._when.get(host, (False, float("-inf"))):
            self.agents[host], self._when[host] = agent_id, when

    def listens(self, agent_id: str, place: str) -> None:
        """Where an agent listens that makes an offer. An agent that starts with an empty work folder has an id of its own each
        time, so those that have no name any more are forgotten now and then."""
        if agent_id not in self.places and len(self.places) > 2 * len(self.agents) + FORMER:
            with_name = set(self.agents.values()).union(*self.others.values())
            self.places = {one: at for one, at in self.places.items() if one in with_name}
        self.places[agent_id] = place

    def wrong(self, host: str, agent_id: str) -> bool:
        """Whether a person said that another one than this agent is right."""
        return self.chosen.get(host, agent_id) != agent_id

    def seen(self, host: str) -> None:
        """An offer came under a name for the first time."""
        self._alike.setdefault(_short(host), {})[host] = None

    def alike(self, host: str) -> str:
        """Another name under which offers come, and which may be meant: ``HLT01`` or ``hlt01.example.org`` for ``hlt01``."""
        return next((name for name in self._alike.get(_short(host), ()) if name != host), "")

    def meets(self, host: str, agent_id: str, now: float) -> bool:
        """Another agent makes an offer under the name; whether that is new."""
        others = self.others.setdefault(host, {})
        if agent_id in others:
            return False
        others[agent_id] = now
        for one in (agent_id, self.agents[host]):
            self.known.pop(one, None)
        self.due = now  # ask the master of both at once
        return True

    def takes_over(self, host: str, agent_id: str, *, chosen: bool = False) -> str:
        """The name is this agent's from now on; whose it was."""
        before = self.agents[host]
        self.agents[host] = agent_id
        self.others.get(host, {}).pop(agent_id, None)
        if chosen:
            self.chosen[host] = agent_id
        else:
            self.chosen.pop(host, None)
        if not self.others.get(host):
            self.others.pop(host, None)
        return before

    def forget(self, host: str, agent_id: str) -> None:
        """It does not call itself so any more, as far as is known."""
        self.others[host].pop(agent_id, None)
        if not self.others[host]:
            del self.others[host]

    def questions(self) -> tuple[tuple[str, str], ...]:
        """What the master is to be asked: of all that share a name, each."""
        self._asked = {
            f"{PROBE}@{host}.{agent_id}": agent_id
            for host, others in self.others.items()
            for agent_id in (self.agents[host], *others)
        }
        self.known = {agent_id: self.known[agent_id] for agent_id in self._asked.values() if agent_id in self.known}
        return tuple(self._asked.items())

    def answered(self, task_id: str, state: str, now: float) -> bool:
        """Take in what the master says of an agent; False: it says something else."""
        agent_id = self._asked.get(task_id)
        if agent_id is None:
            return False
        known = _ANSWERS.get(state, "")
        if known and self.known.get(agent_id) != known:
            self.known[agent_id] = known
            self.due = now
        return True

    def named(self, agent_id: str) -> str:
        """An agent for people: its id, and where it listens."""
        place = self.places.get(agent_id, "")
        return f"{agent_id} ({place})" if place else agent_id

    def which(self, host: str, word: str) -> str:
        """The agent that somebody means: by its id or place; or without a word the only other one, where nobody has said
        which it is. Raises `UserError` and `Refused`."""
        others = self.others.get(host, {})
        if not word:
            if others and host in self.chosen:  # the other one is that which a person has taken the name from, perhaps
                has, names = self.named(self.agents[host]), some([self.named(one) for one in others], "; ")
                raise UserError(
                    f"{has} has the name {host} by somebody's word already, nothing was changed; where it is to go to another, "
                    f"add its id: {names}"
                )
            if len(others) == 1:
                (other,) = others
                return other
            if not others:
                raise Refused(f"no other agent has made an offer as {host}: there is nothing to replace it with")
            names = some([self.named(one) for one in others], "; ")
            raise UserError(f"{len(others)} other agents call themselves {host}: add the id of the right one: {names}")
        known = [*others, self.agents[host]] if host in self.agents else [*others]
        for agent_id in known:
            if word in (agent_id, self.places.get(agent_id)):
                return agent_id
        names = some([self.named(one) for one in others], "; ") or "no other has"
        raise UserError(f"no agent {brief(word)} has made an offer as {host}; {names}")

    def words(self, host: str, silent: Optional[float], time_format: TimeFormat) -> str:
        """What people are told while several have the name; empty: one has. ``silent``: since when the master does not reach
        the one that has programs of ours, where that is so."""
        others = self.others.get(host)
        if not others:
            return ""
        names = " and ".join(map(self.named, others))
        has, way = self.named(self.agents[host]), f"`daqsched replace {host}`"
        if len(others) > 1:
            way += " with its id"
        elif host in self.chosen:
            way = f"`daqsched replace {shlex.join([host, *others])}`"
        if silent is not None:
            when = f"starts there {time_format.at(silent + GONE_S)}" if len(others) == 1 else "waits"
            return f"another agent calls itself {host}, {names}, and {has} is silent: {when}, or at once by {way}"
        it = "it is" if len(others) == 1 else "one of them is"
        return (
            f"{len(others) + 1} agents call themselves {host}: {has} has the name, {names} is given nothing; end the wrong "
            f"one, or {way} if {it} right"
        )

    def set_back(self, by: float) -> None:
        """The clock shows so much less than it did."""
        self.due -= by
        for others in self.others.values():
            others.update({agent_id: at - by for agent_id, at in others.items()})


def _short(host: str) -> str:
    return host.partition(".")[0].lower()


def saved(chosen: Mapping[str, str]) -> Optional[bytes]:
    """What `Namesakes.restored` reads."""
    return msgspec.msgpack.encode(chosen) if chosen else None
