"""`daqsched rights`: who may do what, and why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import click

from daqsched.cli.options import access_options, json_option, part_option
from daqsched.cli.root import connect, main
from daqsched.errors import Refused, UserError
from daqsched.settings import Where
from daqsched.terminal.out import canvas, print_json, print_json_text, say

if TYPE_CHECKING:
    from daqsched.protocol import RightsAnswer
    from daqsched.rights.rules import Rights


@main.group(invoke_without_command=True)
@json_option
@click.pass_context
def rights(context: click.Context, as_json: bool) -> None:
    """Who may do what. Without a verb: what you may do to the farm as a whole."""
    if context.invoked_subcommand is None:
        _show(connect(context.obj).rights(), as_json)


@rights.command()
@click.argument("user")
@click.argument("verb", required=False)
@click.argument("target", required=False, metavar="[JOB[@HOST]]")
@part_option("Of `set`: the part of the farm that has the variable.")
@json_option
@click.pass_obj
def why(path: Where, user: str, verb: Optional[str], target: Optional[str], part: Optional[str], as_json: bool) -> None:
    """Whether USER may VERB a job, and by which rule not. USER is a person of the file, an account, or an identity with its prefix
    (token:wall-1); "-" is who asks. Of `set` the job is a variable: whether USER may set it, with all that comes of that."""
    from daqsched.rights.verbs import VERBS

    if verb is not None and verb not in VERBS:
        raise UserError(f"{verb!r} can't be asked for: one of {', '.join(VERBS)}")
    job, _, host = (target or "").partition("@")
    who = "" if user == "-" else user
    of_variable = verb == "set" and target is not None
    client = connect(path)
    answer = client.rights(who, variable=target, part=part) if of_variable else client.rights(who, job, host)
    if verb is None or as_json or not answer.in_force:
        _show(answer, as_json)
        return
    reason = answer.verbs.get(verb, f"this daemon does not know {verb!r}: it is of another version")
    it = target or "the farm"
    does = f"set {it}" if of_variable else VERBS[verb].does.format(it=it)
    say(reason or f"{answer.name} may {does}.")
    if reason:
        raise SystemExit(5)


@rights.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def check(file: Path) -> None:
    """Say what is wrong in FILE, each mistake with its line and field; nothing is changed."""
    found = _read(file)
    say(f"No mistake: {len(found.rules)} rules, {len(found.people)} people, {len(found.groups)} groups.")


@rights.command("elasticsearch")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--index", default="", help="First part of the index names [default: the daemon's].")
@click.option(
    "--document-level", is_flag=True, help="The licence has document-level security: not asked where --apply finds out."
)
@click.option("--yaml", "as_yaml", is_flag=True, help="As a file roles.yml for each node, not as JSON.")
@click.option(
    "--apply", "put", is_flag=True, help="Put them into Elasticsearch; takes the rights manage_security and monitor."
)
@click.option(
    "--passwords-in",
    type=click.Path(path_type=Path, file_okay=False),
    help="With --apply: folder in which each new user's name and password is written, mode 600.",
)
@click.option("--dry-run", is_flag=True, help="With --apply: say what would be changed there, and change nothing.")
@click.option("--elasticsearch", envvar="DAQSCHED_ELASTICSEARCH", default="", help="URL [default: the daemon's].")
@access_options
@click.pass_obj
def elasticsearch(
    path: Where,
    /,
    file: Path,
    index: str,
    document_level: bool,
    as_yaml: bool,
    put: bool,
    passwords_in: Optional[Path],
    dry_run: bool,
    **options: Any,
) -> None:
    """Roles and users for Elasticsearch's own security that say of lines what FILE says.

    A role for part of the lines takes document-level security, a licence; without one only those have a role who may read
    all, and the daemon searches for the others. Whose jobs are is taken from the farm as it is now: call it again when that or
    FILE changes.
    """
    from daqsched.logs import reader_roles
    from daqsched.spec import EMPTY

    if put and passwords_in is None and not dry_run:
        raise click.UsageError("--apply wants --passwords-in FOLDER: passwords of new users are written there")
    if dry_run and not put:
        raise click.UsageError("--dry-run is for --apply: without that nothing is changed")
    context = click.get_current_context()
    for name in ("passwords_in", "user_file", "api_key_file", "ca"):
        if not put and context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            option = name if name == "passwords_in" else f"elasticsearch_{name}"
            raise click.UsageError(
                f"--{option.replace('_', '-')} is for --apply: else nothing is sent to Elasticsearch"
            )
    found_rights = _read(file)
    spec = EMPTY
    taken: dict[str, float] = {}
    if reader_roles.needs_farm(found_rights):
        client = connect(path)
        mine = client.rights()
        if mine.in_force and mine.verbs.get("rights"):
            raise Refused(
                "FILE names owners or parts, and whose each job is only an admin of the whole farm is told in full"
            )
        in_force = client.revision(0)
        spec, taken = in_force.spec, in_force.taken
    if not put:
        index = index or "daqsched-logs"
        found = reader_roles.readers(found_rights, spec, document_level, taken)
        if as_yaml:
            print_json_text("".join(f"{line}\n" for line in reader_roles.yaml(found, index)))
        else:
            users = {role.user: [role.name] for role in found.roles if role.user}
            roles = {role.name: role.body(index) for role in found.roles}
            print_json_text(json.dumps({"roles": roles, "users": users}, indent=2, ensure_ascii=False) + "\n")
    else:
        from daqsched.cli.logsetup import client_of
        from daqsched.logs import security

        elastic, index = client_of(path, {**options, "index": index})
        try:
            documents = document_level or security.has_documents(elastic)
            found = reader_roles.readers(found_rights, spec, documents, taken)
            todo = security.steps(elastic, found, index, passwords_in)
            for step in todo if dry_run else security.take(elastic, todo):
                mark = "would" if dry_run else "done"
                say(f"{mark if step.path else 'ok':6}{step.what}: {step.detail}")
            if not any(step.path for step in todo):
                say("Nothing is to be changed: Elasticsearch has these roles and users.")
        finally:
            elastic.close()
    for sentence in found.left_out:
        say(sentence, err=True)


def _read(file: Path) -> Rights:
    from daqsched.rights.rules import read

    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{file} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8 text: {error.reason}") from error
    return read(text, str(file))


def _show(answer: RightsAnswer, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    if not answer.in_force:
        say(f"{answer.name} may all: this farm has no file of rights (`daqsched serve --rights`).")
        return
    from daqsched.terminal.show_rights import table

    canvas().print(table(answer))
    if answer.trouble:
        say(answer.trouble, err=True)
