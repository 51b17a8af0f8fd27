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
