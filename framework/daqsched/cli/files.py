"""The verbs that only look at a job file: no daemon, no master, nothing is changed anywhere."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Optional, Sequence

import click
import msgspec

from daqsched import openapi
from daqsched.cli.completion import names
from daqsched.cli.jobfiles import evaluated, spec_of, with_part
from daqsched.cli.options import json_option, part_option, set_option
from daqsched.cli.root import connect, main
from daqsched.cli.why import MOST, tell_stories
from daqsched.errors import JobFileError, UserError
from daqsched.foreign import paint
from daqsched.plural import plural
from daqsched.settings import Where
from daqsched.spec import LOGGING_PARTS, PARTS, JobSpec, Spec
from daqsched.terminal.out import colours, print_json, print_json_text, say


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@set_option
@part_option("The part of the farm that FILE is.  [default: as FILE says]")
@json_option
def validate(file: Path, settings: Sequence[str], part: Optional[str], as_json: bool) -> None:
    """Look for mistakes in FILE, which is evaluated as `apply` would, and sum up what it asks for. Offline."""
    from daqsched.digests import digest
    from daqsched.farm_parts import words
    from daqsched.hosts import expand

    try:
        spec, choices = evaluated(file, settings, part)
    except JobFileError as error:
        if not as_json:
            raise
        mistakes = [{"file": one.path, "line": one.line, "sentence": one.sentence} for one in error.mistakes]
        print_json({"valid": False, "mistakes": mistakes})
        sys.exit(error.exit_code)
    hosts = [expand(job.hosts) for job in spec.jobs]
    told = {
        "jobs": len(spec.jobs),
        "instances": sum(map(len, hosts)),
        "hosts": len({host for each in hosts for host in each}),
        # where these run depends on the machines that are there
        "by_attributes": sum(1 for job in spec.jobs if not job.hosts),
    }
    if as_json:
        of_part = {"part": spec.part} if spec.part else {}
        shifter = {one.name: one.values for one in choices.variables} if choices is not None else {}
        of_shifter = {"shifter": shifter} if shifter else {}
        names_ = [job.name for job in spec.jobs]
        print_json({"valid": True, "digest": digest(spec), **of_part, **told, "names": names_, **of_shifter})
        return
    wherever = ", {by_attributes} more on whichever machines have their attributes" if told["by_attributes"] else ""
    found = [plural(told[f"{noun}s"], noun) for noun in ("job", "instance", "host")]
    text = f"{found[0]}, {found[1]} on {found[2]}" + wherever
    whose = f"{words(spec.part)}, " if spec.part else ""
    say(f"No mistake: {whose}{text.format(**told)} ({digest(spec)}).")
    for one in choices.variables if choices is not None else ():
        say(f"A shifter may set {one.name} to {', '.join(one.values)}.")


def _tell_story(
    path: Where, select: Sequence[str], settings: Sequence[str], part: Optional[str], as_json: bool
) -> None:
    if settings or part is not None:
        raise UserError(
            "--story tells what became of the farm's instances, and not of a file's: leave out --set and --part"
        )
    tell_stories(path, select, MOST, as_json)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("select", default="", metavar="[JOB[@HOST]]", shell_complete=names("selection"))
@set_option
@part_option("Only this part of the farm; - is the one without a name.")
@click.option(
    "--story",
    "story",
    is_flag=True,
    help="What became of JOB@HOST, which stands in the place of FILE: `daqsched story`.",
)
@json_option
@click.pass_obj
def show(
    path: Where, file: Path, select: str, settings: Sequence[str], part: Optional[str], story: bool, as_json: bool
) -> None:
    """Show what FILE becomes: all of it, one JOB, or what the executor of JOB@HOST would be told. Offline.

    Of JOB@HOST the placeholders are filled in; a port that only a launch can choose is 0. In the place of FILE may stand
    the number of a revision, which the daemon is asked for: it hides values of environment variables from all but admins, or
    without `serve --rights` from all but root and its own account. A job that is not everywhere the same is shown once for each
    way that it is, with the hosts where it is so.
    """
    from daqsched.farm_parts import called, of_part, read
    from daqsched.hosts import expand, fold
    from daqsched.jobfile.differences import changed
    from daqsched.merge import Desired
    from daqsched.redaction import WHY, hides
    from daqsched.spec import plain

    if story:
        _tell_story(path, [str(file), *filter(None, [select])], settings, part, as_json)
        return
    spec = spec_of(lambda: connect(path), str(file), settings)
    if part is not None:
        spec = with_part(spec, part) if spec.part else of_part(spec, read(part))
        if not spec.jobs:
            raise UserError(f"{called(part)} has no job there: `daqsched history` shows which parts there are")
    name, _, host = select.partition("@")
    if any(hides(job) for job in (*spec.jobs, *spec.variants) if name in ("", job.name)):
        say(f"{WHY}.", err=True)
    if host:
        told = _told(spec, name, host)
        print_json(told)
    elif as_json:
        others = [plain(job) for job in spec.variants if name == job.name]
        print_json({**plain(_job(spec, name)), **({"variants": others} if others else {})} if name else plain(spec))
    else:
        desired = Desired(spec)
        for job in [_job(spec, name)] if name else spec.jobs:
            forms = desired.forms(job.name)
            for one in forms:
                where = f" on {fold(expand(one.hosts))}" if len(forms) > 1 and one.hosts else ""
                say(
                    paint(f"{one.name}{where}", "1" if colours() else ""),
                    *(f"  {word:<20} {text}" for word, text in changed(one)),
                )


def _job(spec: Spec, name: str) -> JobSpec:
    from daqsched.limits import did_you_mean

    for job in spec.jobs:
        if job.name == name:
            return job
    raise UserError(f"the file has no job {name!r}{did_you_mean(name, [job.name for job in spec.jobs])}")


def _told(spec: Spec, name: str, host: str) -> object:
    from daqsched.fill import payload
    from daqsched.hosts import expand, fold
    from daqsched.merge import Desired

    job = _job(spec, name)
    if job.hosts and host not in expand(job.hosts):
        raise UserError(f"{name} does not run on {host} but on {fold(expand(job.hosts))}")
    return payload(Desired(spec).of(name, host) or job, host, task_id=f"{name}@{host}.0")


@main.command()
@click.option("--api", is_flag=True, help="The daemon's HTTP interface instead, as OpenAPI.")
def schema(api: bool) -> None:
    """Print the JSON schema of what `apply` sends and `show --json` shows."""
    print_json_text(openapi.text() if api else schema_text())


def schema_text() -> str:
    """The schema as docs/reference/spec.schema.json has it."""
    found = msgspec.json.schema(Spec)
    for part in (*PARTS.values(), *LOGGING_PARTS.values()):  # `refuse_unknown` makes it true
        found["$defs"][part.__name__]["additionalProperties"] = False
    for kind in found["$defs"].values():  # Python 3.13 takes the indentation away, older ones do not
        kind["description"] = inspect.cleandoc(kind["description"])
        for field in kind.get("properties", {}).values():  # nor do all msgspecs have one order
            if "anyOf" in field:
                field["anyOf"].sort(key=str)
    return msgspec.json.format(msgspec.json.encode(found, order="sorted"), indent=2).decode() + "\n"
