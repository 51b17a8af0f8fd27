"""The job file that a verb is given, or the revision that stands in its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Optional, Sequence

import msgspec

from daqsched.limits import whole


def with_part(spec: Any, part: Optional[str]) -> Any:
    """The job file as one of the part that `--part` names."""
    from daqsched import farm_parts
    from daqsched.errors import UserError

    if part is None:
        return spec
    named = farm_parts.read(part)
    if spec.part not in ("", named):
        raise UserError(f"--part {part}: the file says farm = {spec.part!r}")
    return msgspec.structs.replace(spec, part=named)


def evaluated(file: Path, settings: Sequence[str], part: Optional[str]) -> Any:
    """A job file and what it leaves to shifters (`jobfile.alternatives.Evaluated`), of the part that `--part` names."""
    from daqsched import farm_parts
    from daqsched.jobfile.alternatives import load_with_choices
    from daqsched.jobfile.variables import parse

    named = farm_parts.read(part) if part is not None else None
    found = load_with_choices(file, parse(settings), named)
    return found._replace(spec=with_part(found.spec, part))


def ensure_matches(client: Any, spec: Any, only: Sequence[str]) -> None:
    """Raise `UserError` where a word of `--only` fits nothing of the file and nothing that whoever types sees of the farm: it was
    mistyped, and what is meant would be left as it is in silence."""
    if not only:
        return
    from daqsched.errors import UserError
    from daqsched.hosts import expand
    from daqsched.limits import some
    from daqsched.select import Idle, as_hosts, selection
    from daqsched.spec import FORWARDER

    fits, idle = selection(only), Idle(only)
    for job in spec.jobs:
        for key in ((job.name, host) for host in ("", *expand(job.hosts))):
            if fits(*key):
                idle.see(*key)
    # the hosts of these are the daemon's to know
    elsewhere = [FORWARDER, *(job.name for job in spec.jobs if not job.hosts)]
    left = [word for word in idle.words if not _may_mean(word, elsewhere)]
    # of a bare word the daemon would take a host for it
    asked = {word if "@" in word else f"{word}@*": word for word in left}
    lost = [asked.get(word, word) for word in client.status(list(asked)).unmatched] if asked else []
    if lost:
        raise UserError(
            f"nothing was done: --only {some(lost, ' ')} matches nothing of the file or the farm{as_hosts(lost)}"
        )


def _may_mean(word: str, jobs: Sequence[str]) -> bool:
    """Whether it names one of these jobs, or a host that one of the file's may be on."""
    from daqsched.select import selection
    from daqsched.spec import FORWARDER

    name = word.partition("@")[0]
    return any(selection([name])(job, "") for job in jobs) if name else any(job != FORWARDER for job in jobs)


def is_revision(word: str) -> bool:
    """Whether it is the number of a revision, and not the name of a job file."""
    return whole(word) is not None and not Path(word).exists()


def spec_of(client: Callable[[], Any], word: str, settings: Sequence[str] = ()) -> Any:
    """What a job file asks for, or what the revision of that number did (0: the one in force), which the daemon is asked for."""
    from daqsched.jobfile.load import load
    from daqsched.jobfile.variables import parse

    if is_revision(word):
        return client().revision(int(word)).spec
    return load(word, parse(settings))
