"""Which of the last applies are not in force any more, and by what: whoever waits for one is told."""

from __future__ import annotations

from daqsched.engine.commands import Revision

#: So many applies are remembered; in memory, as those who wait for one are here.
MOST = 20


class Superseded:
    """See the module."""

    def __init__(self) -> None:
        #: By number, oldest first: in words, the jobs that it was about, and whether these were all.
        self._applies: dict[int, tuple[str, frozenset[str], bool]] = {}

    def note(self, revision: Revision, jobs: frozenset[str], everything: bool) -> None:
        """One more apply, about these jobs, or about ``everything``."""
        message = f": {revision.message}" if revision.message else ""
        self._applies[revision.number] = f"revision {revision.number} by {revision.user}{message}", jobs, everything
        while len(self._applies) > MOST:
            del self._applies[next(iter(self._applies))]

    def by(self, number: int) -> str:
        """The first that took the place of this revision, or of a part of it, in words; empty: none did, or it is long ago."""
        mine = self._applies.get(number)
        if mine is None:
            return ""
        for later, (words, jobs, everything) in self._applies.items():
            if later > number and (everything or jobs & mine[1]):
                return words
        return ""
