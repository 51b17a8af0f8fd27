"""The errors that people meet: the user's mistake, the world's failure. Anything else is our bug and shows itself."""

from __future__ import annotations

from collections.abc import Sequence


class DaqschedError(Exception):
    """The root: its text is one sentence that says what to do next; `exit_code` is what a command ends with."""

    exit_code = 1

    #: It is about what was asked alone, and about nothing of the farm.
    of_request = False

    @property
    def lines(self) -> Sequence[str]:
        """What is shown of it, each as a line of its own: one sentence."""
        return (str(self),)


class UserError(DaqschedError):
    """What was asked can't be done as it was asked."""

    exit_code = 2


class MatchesNothing(UserError):
    """Words of a selection mean nothing that who asks may see: it names them, and what is near and may be seen."""

    of_request = True


class JobError(UserError):
    """A mistake in a job: ``field`` names the place, e.g. ``resources.cpus``; the job file's line is found by `jobfile`."""

    def __init__(self, sentence: str, field: str = "") -> None:
        super().__init__(sentence)
        self.field = field


class JobFileError(UserError):
    """A mistake in a job file, as ``FILE:LINE: sentence``; line 0: the file as a whole. ``others``: further ones."""

    #: More than these are not printed one by one: a function that makes 200 jobs makes a mistake 200 times.
    MOST = 20

    def __init__(self, path: str, line: int, sentence: str, others: Sequence[JobFileError] = ()) -> None:
        super().__init__(f"{path}:{line}: {sentence}" if line else f"{path}: {sentence}")
        self.path, self.line, self.sentence = path, line, sentence
        self.mistakes: tuple[JobFileError, ...] = (self, *others)

    @property
    def lines(self) -> Sequence[str]:
        """One for each mistake."""
        lines = [mistake.args[0] for mistake in self.mistakes[: self.MOST]]
        more = len(self.mistakes) - self.MOST
        return [*lines, f"... and {more} more mistakes"] if more > 0 else lines

    def __str__(self) -> str:
        return "\n".join(self.lines)


class JobFileWarning(UserWarning):
    """What in a job file is probably not meant, as ``FILE:LINE: sentence``."""


class Unreachable(DaqschedError):
    """A server did not answer: the daemon, the master, Elasticsearch."""

    exit_code = 3


class Unsure(Unreachable):
    """A server was lost while it was at work: what was asked for may have been done, and may not."""


class Forgotten(Unreachable):
    """What an id names is not known any more: asking for it again never helps."""


class NotRunning(DaqschedError):
    """What was started is not all running within the time allowed."""

    exit_code = 4


class ReplacedByAnother(DaqschedError):
    """What somebody waited for is no longer desired: another apply took its place."""

    exit_code = 8


class Refused(DaqschedError):
    """The daemon understood and said no; ``verb``: what the farm's rights do not give."""

    exit_code = 5

    def __init__(self, sentence: str, verb: str = "") -> None:
        super().__init__(sentence)
        self.verb = verb


class PreconditionFailed(Refused):
    """It was asked for one state of the farm, and another one is in force."""


class DoneBefore(Refused):
    """The same request, by its key, was carried out before: its answer is not known any more."""


#: What a command ends with where Elasticsearch answered in part only: what is shown is not all, and stderr says why.
PARTIAL = 7


class Deposed(DaqschedError):
    """The state can't be saved, or another daemon owns it by now: nothing more may leave this one."""

    exit_code = 3


class Unsaved(DaqschedError):
    """The state can't be saved now: the disk is full, or fails. What is saved already is whole."""

    exit_code = 3
