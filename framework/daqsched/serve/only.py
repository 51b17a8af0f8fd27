"""Whether each word of ``only`` means something: it was mistyped else, and what is meant would be left as it is in silence."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request

from daqsched.errors import MatchesNothing
from daqsched.hosts import expand
from daqsched.jobfile.conflicts import check
from daqsched.limits import some
from daqsched.select import Idle, hint, selection
from daqsched.serve.daemon import Ask
from daqsched.serve.http import whose
from daqsched.serve.planning import Deadline, Planning
from daqsched.serve.sight import seen_of
from daqsched.spec import FORWARDER, Spec
from daqsched.views.status import all_keys


async def ensure_means(request: Request, ask: Ask, planning: Planning, spec: Spec, only: Sequence[str]) -> None:
    """Raise `MatchesNothing` where a word fits nothing of the file and nothing that whoever asks sees of the farm."""
    if not only:
        return
    seen = await seen_of(request, ask, lambda engine, now: all_keys(engine))

    def work(deadline: Deadline) -> None:
        check(spec)
        named = [(job.name, host) for job in spec.jobs for host in ("", *deadline.each(expand(job.hosts)))]
        idle, fits = Idle(only), selection(only)
        for keys in (named, seen):
            for key in deadline.each(keys if idle else ()):
                if fits(*key):
                    idle.see(*key)
        # where these are the file does not say
        elsewhere = [FORWARDER, *(job.name for job in spec.jobs if not job.hosts)]
        lost = [word for word in idle.words if not _may_mean(word, elsewhere)]
        if lost:
            meant = hint(lost, [*named, *seen])
            raise MatchesNothing(
                f"nothing was done: --only {some(lost, ' ')} matches nothing of the file or the farm{meant}"
            )

    await planning.do(whose(request), work)


def _may_mean(word: str, jobs: Sequence[str]) -> bool:
    """Whether it names one of these jobs, or a host that one of the file's may be on."""
    name = word.partition("@")[0]
    return any(selection([name])(job, "") for job in jobs) if name else any(job != FORWARDER for job in jobs)
