"""What whoever searches lines is told of what Elasticsearch says: it may name indices, nodes and lines that are not for everybody.

Who may read the daemon's log is told all of it; for the others it is written there, and a sentence of ours says so.
"""

from __future__ import annotations

import logging

from daqsched.errors import DaqschedError, Refused, Unreachable, UserError
from daqsched.serve.refusals import RefusedWith

logger = logging.getLogger(__name__)

#: What is said in the place of what Elasticsearch says, to who may not read logs.
NONE_FOR_YOU = (
    "no line that you may read is stored: the farm's rights say whose lines those are (`logs:`), `daqsched status` whether a "
    "forwarder runs there"
)
UNSAID = "Elasticsearch can't search now, or not everywhere: the daemon's log says why, ask who runs the farm"


class Disclosure:
    """Of one search: what whoever asked is told."""

    #: Whether whoever asked may read the daemon's log.
    all = False

    def error(self, error: DaqschedError) -> DaqschedError:
        """The same failure; without what it says of Elasticsearch, where that is not for who asks."""
        from daqsched.logs.bounded_search import NotWithin
        from daqsched.logs.search import NoSuchLine

        if isinstance(error, NoSuchLine) and not self.all:
            return UserError(f"{error.sentence}, or that it is not for you to read")
        ours = isinstance(error, (NotWithin, RefusedWith)) or (isinstance(error, Refused) and error.verb)
        if self.all or ours or not isinstance(error, (Unreachable, Refused, UserError)):
            return error
        logger.warning("a search failed: %s", error)
        return Unreachable(UNSAID)

    def lacks(self, lacks: list[str]) -> list[str]:
        """Why an answer is not all."""
        from daqsched.logs.follow import ANSWERS_AGAIN, WHOLE_AGAIN

        others = [one for one in lacks if one not in (ANSWERS_AGAIN, WHOLE_AGAIN)]
        if self.all or not others:
            return lacks
        logger.warning("a search was not whole: %s", "; ".join(others))
        return [UNSAID, *(one for one in lacks if one not in others)]

    def nothing(self, says: str) -> str:
        """Why there is no line: whoever may read some of them alone can't be told that there are none."""
        from daqsched.logs.sources import NEVER

        return says if self.all or not says.startswith(NEVER) else NONE_FOR_YOU
