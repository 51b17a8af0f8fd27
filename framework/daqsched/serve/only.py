"""Whether each word of ``only`` means something: it was mistyped else, and what is meant would be left as it is in silence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from starlette.requests import Request

from daqsched.engine.instance import Key
from daqsched.errors import MatchesNothing
from daqsched.hosts import expand
from daqsched.jobfile.conflicts import check_file
from daqsched.limits import some
from daqsched.select import Idle, hint, selection
from daqsched.serve.daemon import Ask
from daqsched.serve.http import whose
from daqsched.serve.planning import Deadline, Planning
from daqsched.serve.visibility import seen_of
from daqsched.spec import FORWARDER, Spec
from daqsched.views.status import all_keys


async def ensure_means(request: Request, ask: Ask, planning: Planning, spec: Spec, only: Sequence[str]) -> None:
    """Raise `MatchesNothing` where a word fits nothing of the file and nothing that whoever asks sees of the farm."""
    if not only:
        return
    idle, fits, caller = Idle(only), selection(only), whose(request)

    def look(keys: Iterable[Key], deadline: Deadline) -> None:
        for key in deadline.each(keys):
            if not idle:
                return
            if fits(*key):
                idle.see(*key)

    def in_file(deadline: Deadline) -> list[Key]:
        check_file(spec)
        named = [(job.name, host) for job in spec.jobs for host in ("", *deadline.each(expand(job.hosts)))]
        look(named, deadline)
        return named

    named = await planning.do(caller, in_file)
    if not idle:
        return  # the engine is not asked
    seen = await seen_of(request, ask, lambda engine, now: all_keys(engine))

    def on_farm(deadline: Deadline) -> None:
        look(seen, deadline)
        # where these are the file does not say
        elsewhere = [FORWARDER, *(job.name for job in spec.jobs if not job.hosts)]
        lost = [word for word in idle.words if not _may_mean(word, elsewhere)]
        if lost:
            meant = hint(lost, [*named, *seen])
            raise MatchesNothing(
                f"nothing was done: --only {some(lost, ' ')} matches nothing of the file or the farm{meant}"
            )

    await planning.do(caller, on_farm)


def _may_mean(word: str, jobs: Sequence[str]) -> bool:
    """Whether it names one of these jobs, or a host that one of the file's may be on."""
    name = word.partition("@")[0]
    return any(selection([name])(job, "") for job in jobs) if name else any(job != FORWARDER for job in jobs)
