"""What the rules give one person: any rule gives, a deny wins, and each refusal says which."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator
from functools import cached_property
from typing import NamedTuple, Optional

from daqsched.limits import some
from daqsched.rights.principal import Principal, can_be_name
from daqsched.rights.rules import KNOWN, Rights, Rule, line_words, words_of
from daqsched.rights.verbs import VERBS, Role
from daqsched.select import Chosen, selection

#: The host of a job that runs wherever attributes are: one that is not known yet.
ANY = "*"

#: What is asked of a machine or of its programs; all else is told host by host.
_TOLD = frozenset({"see", "lines"})


class Target(NamedTuple):
    """What something is asked of; empty: of no job, or of all of them."""

    job: str = ""
    host: str = ""
    owner: str = ""
    part: str = ""
    #: It is no job, but what else writes lines on a machine, by the name that these carry; of nobody and no part.
    service: bool = False
    #: It is of the past, and nobody knows whose it was: no rule for an owner or a part gives it, and each of those denies it.
    forgotten: bool = False

    def __str__(self) -> str:
        return f"{self.job}@{self.host}" if self.host and self.job else self.job or (self.host and f"@{self.host}")


#: The farm as a whole; and what a sentence calls what it may not name.
FARM, HIDDEN = Target(), Target("some of this")


class LineRule(NamedTuple):
    """A rule as far as lines are concerned: all of its conditions count at once. None in the place of words: none of these."""

    #: Else it takes, whatever others give.
    gives: bool
    #: Words as on the command line, for jobs and for services alike.
    on: tuple[str, ...]
    jobs: Optional[tuple[str, ...]]
    services: Optional[tuple[str, ...]]
    #: Those of jobs; empty: of any.
    owners: frozenset[str]
    parts: frozenset[str]


class _Given:
    """A rule that concerns a person."""

    def __init__(self, number: int, rule: Rule) -> None:
        self.number, self.rule = number, rule
        self.role = Role[rule.role] if rule.role is not None else None
        self.denied = frozenset(words_of(rule.deny))
        self._chosen: Chosen = selection(words_of(rule.on))
        #: Whose lines, as words and as a test.
        self.jobs, self.services = line_words(words_of(rule.logs))
        self._lines = selection(self.jobs) if self.jobs else None
        self._service_lines: Optional[Chosen] = selection(self.services) if self.services else None
        self._owners, self._parts = frozenset(words_of(rule.owner)), frozenset(words_of(rule.part))
        self.accounts = frozenset(words_of(rule.accounts))
        #: It is about the farm as a whole.
        self.everywhere = "*" in words_of(rule.on) and not self._owners and not self._parts

    def fits(self, target: Target) -> bool:
        if target == FARM:
            return self.everywhere
        return self._of_those(target) and self._chosen(target.job, "" if target.host == ANY else target.host)

    def may_fit(self, target: Target) -> bool:
        """Whether it fits on some host, where the target's is one that is not known yet."""
        return target.host == ANY and self._of_those(target) and self._on_some_host(target.job, "")

    @cached_property
    def _on_some_host(self) -> Chosen:
        return selection([word.partition("@")[0] or "*" for word in words_of(self.rule.on)])

    @property
    def about(self) -> Hashable:
        """The same of all rules that fit the same."""
        return frozenset(words_of(self.rule.on)), self._owners, self._parts

    def denies(self, verb: str) -> bool:
        """Whether it takes that verb. What somebody may not see he can do nothing with."""
        return not self.denied.isdisjoint(("*", "see", verb))

    def _of_those(self, target: Target) -> bool:
        if target.forgotten and (self._owners or self._parts):
            return self.role is None
        return (not self._owners or target.owner in self._owners) and (not self._parts or target.part in self._parts)

    def lines(self, target: Target) -> bool:
        chosen = self._service_lines if target.service else self._lines
        return chosen is not None and chosen(target.job, target.host)

    def about_lines(self, whole: bool) -> LineRule:
        """``whole``: of all that the rule is about."""
        jobs, services = (("*",), ("*",)) if whole else (self.jobs or None, self.services or None)
        return LineRule(self.role is not None, words_of(self.rule.on), jobs, services, self._owners, self._parts)


class Grants:
    """What one person may; asked as often as there are instances."""

    def __init__(self, rights: Rights, who: Principal) -> None:
        self.who = who
        self._rights = rights
        self.called = called(rights, who)
        mine = [
            _Given(at, rule)
            for at, rule in enumerate(rights.rules)
            if self.called.intersection(words_of(rule.to))
            or (rule.role is None and (who.doubt or _may_be(rights, rule, who)))
        ]
        self._gives = [one for one in mine if one.role is not None]
        self._denies = [one for one in mine if one.role is None]

    def why_not(self, verb: str, target: Target = FARM) -> str:
        """Why it can't be asked of the target by this person, as a sentence; empty: it can."""
        why = self._why_not_by_rules(verb, target)
        return self._of_token(verb, target, why) if self._capped(verb) else why

    def _capped(self, verb: str) -> bool:
        """Whether that is more than the token gives."""
        return self.who.most is not None and self.who.most < VERBS[verb].role

    def _of_token(self, verb: str, target: Target, why: str) -> str:
        """What is said of a token that gives too little; ``why``: what the rules say."""
        assert self.who.most is not None, "there is a token"
        gives = f"this token gives {self.who.most.name} at most"
        if why:  # another one would be no help
            return f"{why}; and {gives}"
        wanted = VERBS[verb].role
        return self._says(
            verb,
            target,
            f"{gives}, and it takes {_a(wanted)}. The rules give that: come without the token, or have an admin make another "
            f"with `--role {wanted.name}` (`daqsched token create NAME`)",
        )

    def _why_not_by_rules(self, verb: str, target: Target) -> str:
        if self.who.owner:
            return ""
        wanted = VERBS[verb].role
        for one in self._denies:
            if one.denies(verb):
                rule = self._rights.line(one.number)
                if one.fits(target):
                    return self._says(verb, target, f"{rule} denies it{self._in_doubt(one)}")
                if verb not in _TOLD and one.may_fit(target):
                    where = f"hosts that {rule} denies{self._in_doubt(one)}"
                    return self._says(verb, target, f"its attributes may be those of {where}: name its hosts")
        best: Optional[Role] = None
        for one in self._gives:
            if one.role is not None and one.fits(target):
                if one.role >= wanted and (verb != "lines" or self._reads_all_of(one) or one.lines(target)):
                    return ""
                best = one.role if best is None else max(best, one.role)
        if verb == "lines" and best is not None:
            return self._says(verb, target, "no rule gives its lines (logs:)")
        return self._says(verb, target, f"it takes {_a(wanted)}, and {self._has(best)}")

    def _reads_all_of(self, one: _Given) -> bool:
        """Whether the rule gives lines without naming them: to an admin who has not come with a token for less."""
        return one.role is Role.admin and (self.who.most is None or self.who.most is Role.admin)

    @property
    def line_rules(self) -> tuple[LineRule, ...]:
        """What `why_not` goes by for ``lines``, in no order: any rule gives, one that takes wins. Not for who may `all`."""
        gives = [one.about_lines(self._reads_all_of(one)) for one in self._gives]
        denies = [one.about_lines(True) for one in self._denies if one.denies("lines")]
        return tuple(one for one in [*gives, *denies] if one.jobs is not None or one.services is not None)

    def account(self, account: str, target: Target) -> str:
        """Why a job may not be given this account; empty: it may."""
        if not self.why_not("account", target):
            return ""
        if any(one.role is not None and account in one.accounts and one.fits(target) for one in self._gives):
            return ""
        return f"{target} would run as {account}: {self.why_not('account', target)}"

    def refusal(self, verb: str, targets: Iterable[Target]) -> str:
        """Why it can't be asked of all of these at once, naming the first that it can't be; empty: it can."""
        counted, most, number = 0, None, 0
        for target in targets:
            why = self.why_not(verb, target)
            if why:
                # a host without jobs is told as one with hidden ones is
                hidden = self.why_not("see", target) if target.job else target.host and not self.everywhere("see")
                return self._says(verb, HIDDEN, "it is not there, or not for you to see") if hidden else why
            if VERBS[verb].ends:
                limit = self._at_once(verb, target)
                if limit is not None:
                    counted += 1
                    if most is None or limit[0] < most:
                        most, number = limit
        if most is not None and counted > most:
            return (
                f"{counted} at once are more than the {most} that {self._rights.line(number)} lets {self.who.name} {verb}: "
                "ask an expert, or do it in pieces"
            )
        return ""

    def _at_once(self, verb: str, target: Target) -> Optional[tuple[int, int]]:
        """How many at once it may be asked of, and the rule; None: of any number."""
        found: Optional[tuple[int, int]] = None
        if self.who.owner:
            return None
        for one in self._gives:
            if one.role is not None and one.role >= VERBS[verb].role and one.fits(target):
                if one.rule.at_once is None:
                    return None
                if found is None or one.rule.at_once > found[0]:
                    found = (one.rule.at_once, one.number)
        return found

    def somewhere(self, verb: str) -> str:
        """Why it can't be asked of anything at all; empty: of some it can."""
        wanted = VERBS[verb].role
        denied = any(one.denies(verb) and one.everywhere for one in self._denies)
        given = any(one.role is not None and one.role >= wanted for one in self._gives)
        if self._capped(verb):
            by_rules = self.who.owner or (given and not denied)
            return self._of_token(verb, FARM, "" if by_rules else self._why_not_by_rules(verb, FARM))
        if verb == "lines" and given and not denied and not any(one.gives for one in self.line_rules):
            return "" if self.who.owner else self._says(verb, FARM, "no rule gives its lines (logs:)")
        return "" if self.who.owner or (given and not denied) else self.why_not(verb)

    @property
    def known_as(self) -> list[str]:
        """Which people of the file this is, and by which identities; of groups nothing."""
        people = self.called.intersection(self._rights.people)
        return [
            *sorted(people),
            *self.who.identities,
        ]

    @property
    def person(self) -> tuple[str, ...]:
        """Who this is, by whatever door: the same for all identities of somebody of the file's, all tokens of one account."""
        people = tuple(sorted(self.called.intersection(self._rights.people)))
        known = self.who.identities
        return people or tuple(one for one in known if not one.startswith("token:")) or (*known,) or (self.who.name,)

    @property
    def all(self) -> bool:
        """Whether this person may all, of everything."""
        return self.who.owner and self.who.most is None

    def everywhere(self, verb: str) -> bool:
        """Whether it can be asked of all of the farm (of lines: look at each), so that no instance has to be looked at."""
        return not self.why_not_of_all(verb)

    def why_not_of_all(self, verb: str) -> str:
        """Why it can't be asked of all of the farm; empty: it can, of each instance."""
        if self.all:
            return ""
        why = self.why_not(verb)
        denies = next((one for one in self._denies if one.denies(verb)), None)
        if why or denies is None:
            return why
        rule = self._rights.line(denies.number)
        return self._says(verb, FARM, f"it is of all, and {rule} denies some of that{self._in_doubt(denies)}")

    @property
    def visibility(self) -> Hashable:
        """The same of all who see the same of the farm by the same words, by whatever rules and files; None: all of it."""
        if self.everywhere("see"):
            return None
        denies = frozenset(one.about for one in self._denies if one.denies("see"))
        return frozenset(one.about for one in self._gives), denies

    def rows(self, targets: Collection[Target]) -> Iterator[tuple[str, str]]:
        """Each verb with why it can't be asked of any of these; empty: of some it can."""
        for verb in VERBS:
            whys = [self.why_not(verb, target) for target in targets or [FARM]]
            yield verb, "" if "" in whys else whys[0]

    def _in_doubt(self, denies: _Given) -> str:
        """What to say where it is not known whether a rule is for this person."""
        if self.called.intersection(words_of(denies.rule.to)):
            return ""
        if self.who.doubt:
            return (
                f" to some, and the directory of accounts does not say whether {self.who.name} is one: ask again soon"
            )
        left_out = [name for kind, name in _named(self._rights, denies.rule) if kind in self.who.left_out]
        if not all(map(can_be_name, left_out)):
            return (
                f" to a group whose name can't be one here, and {self.who.name} is in one that was left out for its name: have it "
                "called by letters of ASCII"
            )
        if left_out:
            return f" to a group, and {self.who.name} is in one that is named by no text: have it called by letters of ASCII"
        return f" to a group, and nobody here knows whether {self.who.name} is in it: that is told with a log-in alone"

    def _has(self, best: Optional[Role]) -> str:
        names = sorted(self.called - {KNOWN})
        whom = f"{self.who.name} ({some(names)})" if names else self.who.name
        return f"{whom} is {_a(best)} there" if best is not None else f"no rule gives {whom} anything there"

    def _says(self, verb: str, target: Target, why: str) -> str:
        return f"{self.who.name} may not {VERBS[verb].does.format(it=str(target) or 'the farm')}: {why}"


def _a(role: Role) -> str:
    return f"{'an' if role.name[0] in 'ae' else 'a'} {role.name}"


def called(rights: Rights, who: Principal) -> frozenset[str]:
    """All that rules may call this person."""
    found = set(who.known_as)
    if who.known_as:
        found.add(KNOWN)
    found.update(name for name, identities in rights.people.items() if who.known_as.intersection(identities))
    while True:
        more = {name for name, members in rights.groups.items() if name not in found and found.intersection(members)}
        if not more:
            return frozenset(found)
        found |= more


def _may_be(rights: Rights, rule: Rule, who: Principal) -> bool:
    """Whether a rule may be for somebody of whose groups not all are known, as it is for one of these."""
    if not who.unasked and not who.left_out:
        return False
    return any(
        kind in who.unasked or (kind in who.left_out and not can_be_name(name)) for kind, name in _named(rights, rule)
    )


def _named(rights: Rights, rule: Rule) -> Iterator[tuple[str, str]]:
    """All whom a rule may mean, by kind and name: its words, who is in the groups, and how people are known."""
    found: set[str] = set()
    left = list(words_of(rule.to))
    while left:
        one = left.pop()
        if one not in found:
            found.add(one)
            left += (*rights.groups.get(one, ()), *rights.people.get(one, ()))
            kind, _, name = one.partition(":")
            yield kind, name
