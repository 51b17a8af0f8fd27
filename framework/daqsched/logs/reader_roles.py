"""Roles of Elasticsearch's own security that say of lines what the file of rights says. Pure.

A person's role has a query (document-level security), which Elasticsearch heeds with a licence for it: platinum, enterprise, a
trial. Without one it can hold nobody to some of an index, so there only those have a role who may read all.

Of a group that is kept elsewhere (``unix-group:``) nobody knows here who is in it. What it is denied is denied to all, and its
role is of what it is given less all that anybody is denied: rather too little than too much.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from json import dumps
from typing import Any, NamedTuple, Optional

from msgspec.structs import replace

from daqsched.limits import shown
from daqsched.logs.permitted import NOTHING, escaped, filter_of
from daqsched.rights.grants import Grants
from daqsched.rights.principal import Principal
from daqsched.rights.rules import KNOWN, Rights, words_of
from daqsched.spec import Spec

#: How their names begin, and what says in Elasticsearch that one is ours.
PREFIX, MADE_BY = "daqsched-", "daqsched rights elasticsearch"

#: What Elasticsearch takes as the name of a role.
_NAME = re.compile(r"[!-~](?:[ -~]{0,400}[!-~])?\Z")

#: Licences with document-level security.
DOCUMENTS = frozenset(["trial", "platinum", "enterprise"])


class ReaderRole(NamedTuple):
    """What somebody may read."""

    name: str
    #: As the file of rights calls him.
    whom: str
    #: The user of Elasticsearch's that has it; empty: a group, whose people are known to others.
    user: str
    #: Of which documents; None: of all.
    query: Optional[Mapping[str, Any]]

    def body(self, prefix: str) -> dict[str, Any]:
        """As Elasticsearch has it, for our indices: ``PREFIX-*`` would be ``PREFIX-b-DATE``, too, which are another farm's."""
        name = "-".join("".join(map(escaped, word)) for word in prefix.split("-"))
        ours = f"/{name}-(deadletter-)?[0-9]{{4}}[.][0-9.]+/"
        indices: dict[str, Any] = {"names": [ours], "privileges": ["read", "view_index_metadata"]}
        if self.query is not None:
            indices["query"] = self.query
        return {
            "cluster": [],
            "indices": [indices],
            "metadata": {"made_by": MADE_BY, "index": prefix, "whom": self.whom},
        }


class Readers(NamedTuple):
    """All roles, and a sentence for whoever has none."""

    roles: list[ReaderRole]
    left_out: list[str]


def readers(rights: Rights, spec: Spec, documents: bool, taken: Mapping[str, float] = {}) -> Readers:
    """``documents``: the licence has document-level security; ``spec`` says whose each job is, ``taken`` since when where its name
    was another one's (`permitted.filter_of`)."""
    roles: list[ReaderRole] = []
    left_out: list[str] = []
    users: dict[str, str] = {}
    named: dict[str, str] = {}
    for whom, identities, user in _subjects(rights):
        grants = Grants(_careful(rights, all_denies=not user), Principal(whom, frozenset(identities)))
        query = None if _reads_all(grants) else filter_of(grants, spec, taken)
        if query == NOTHING:
            continue
        name = f"{PREFIX}{user or whom.replace(':', '-')}"
        if user and users.setdefault(user, whom) != whom:
            left_out.append(
                f"{whom} has no role: {users[user]} would be the user {user}, too, and to the rights these are two people; "
                "enter them below people"
            )
        elif query is not None and not documents:
            left_out.append(
                f"{whom} has no role: he may read some lines, and without document-level security (a licence) Elasticsearch "
                "gives all or none; the daemon searches for him"
            )
        elif not _NAME.match(name):
            left_out.append(
                f"{shown(whom)} has no role: Elasticsearch takes names of up to 400 letters of ASCII; the daemon searches for him"
            )
        elif named.setdefault(name, whom) != whom:
            left_out.append(
                f"{whom} has no role: {name} is the one of {named[name]}; call one of them otherwise in the file"
            )
        else:
            roles.append(ReaderRole(name, whom, user, query))
    return Readers(roles, left_out)


def needs_farm(rights: Rights) -> bool:
    """Whether the roles follow from whose the farm's jobs are."""
    return any(words_of(rule.owner) or words_of(rule.part) for rule in rights.rules)


def yaml(found: Readers, prefix: str) -> Iterator[str]:
    """The lines of a file ``roles.yml``; who is to have which as comments. Strings of JSON are strings of YAML."""
    for role in found.roles:
        body = role.body(prefix)
        yield f"{role.name}:"
        yield "  cluster: []"
        for one in body["indices"]:
            if "query" in one:
                one["query"] = dumps(one["query"])
        yield f"  indices: {dumps(body['indices'])}"
        yield f"  metadata: {dumps(body['metadata'])}"
        who = (
            f"bin/elasticsearch-users useradd {role.user} -r {role.name}" if role.user else f"for those of {role.whom}"
        )
        yield f"# {who}"


def _subjects(rights: Rights) -> Iterator[tuple[str, Collection[str], str]]:
    """Each person and identity that the file names, and the user that it would be."""
    for person, identities in rights.people.items():
        yield person, identities, person
    theirs = {one for identities in rights.people.values() for one in identities}
    named = [word for rule in rights.rules for word in words_of(rule.to)]
    named += [word for members in rights.groups.values() for word in members]
    for word in dict.fromkeys(named):
        prefix, colon, name = word.partition(":")
        # a token is the daemon's own
        if colon and word not in theirs and prefix != "token":
            yield word, (word,), "" if prefix.endswith("-group") else name


def _careful(rights: Rights, all_denies: bool) -> Rights:
    """The same, where what is denied to people whom nobody knows here is denied to everybody."""
    rules = (
        replace(rule, to=KNOWN)
        if words_of(rule.deny) and (all_denies or any(_elsewhere(rights, word) for word in words_of(rule.to)))
        else rule
        for rule in rights.rules
    )
    return replace(rights, rules=tuple(rules))


def _elsewhere(rights: Rights, word: str) -> bool:
    """Whether people may be meant whom this file does not name: those of a group that is kept elsewhere."""
    seen: set[str] = set()
    words = [word]
    while words:
        one = words.pop()
        if one not in seen:
            seen.add(one)
            words += rights.groups.get(one, ())
    return any(one.partition(":")[0].endswith("-group") for one in seen)


def _reads_all(grants: Grants) -> bool:
    rules = grants.line_rules
    return all(one.gives for one in rules) and any(
        "*" in one.on and _all(one.jobs) and _all(one.services) and not one.owners and not one.parts for one in rules
    )


def _all(words: Optional[Iterable[str]]) -> bool:
    return words is not None and "*" in words
