"""`daqsched serve`: the daemon."""

from __future__ import annotations

import getpass
import logging
import sys
from pathlib import Path
from typing import Any, Optional

import click

from daqsched import backends
from daqsched.backends import SERVERS, SHARED
from daqsched.cli.options import access_options, state_options
from daqsched.cli.root import main
from daqsched.mesos.detection import MASTERS
from daqsched.settings import is_folder, state_dir


def _end_limit(context: click.Context, parameter: click.Parameter, value: str) -> Any:
    from daqsched.confirm import EndLimit, parse
    from daqsched.errors import JobError

    try:
        return parse(value) if value else EndLimit()
    except JobError as error:
        raise click.BadParameter(f"{error}: write a number, a share, or both: 20,33%") from error


def _place(context: click.Context, parameter: click.Parameter, value: Optional[str]) -> Optional[tuple[str, int]]:
    from daqsched.limits import whole
    from daqsched.ports import LAST

    if value is None:
        return None
    host, _, port = value.rpartition(":")
    number = whole(port)
    if not host or number is None or number > LAST:
        raise click.BadParameter(f"{value!r} is not ADDRESS:PORT, as 0.0.0.0:8443 or [::]:8443")
    return host.strip("[]"), number


def _page(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if value and not value.startswith(("http://", "https://")):
        raise click.BadParameter(f"{value!r} is not a web page: write http://HOST... or https://HOST...")
    return value


@main.command(
    help="Run the scheduler: match offers with the desired jobs, and keep it so. With --state "
    f"{SHARED}... two or more may run: one leads, the others take over when it is gone."
)
@click.option("--master", envvar="DAQSCHED_MASTER", required=True, help=f"{MASTERS}.")
@state_options
@click.option(
    "--peers",
    default="",
    metavar="HOST:PORT",
    help=f"With {SHARED}: where other daqsched serves reach this one [default: the address that reaches {SERVERS}, any port].",
)
@click.option(
    "--peers-certificate",
    envvar="DAQSCHED_PEERS_CERTIFICATE",
    type=click.Path(path_type=Path),
    help=f"With {SHARED}: private key and certificate of this farm's daemons, the same file for all, mode 600.",
)
@click.option("--group", default="", help="The group whose members may use the socket.")
@click.option(
    "--elasticsearch", envvar="DAQSCHED_ELASTICSEARCH", default="", help="URL; without it lines stay on their hosts."
)
@access_options
@click.option("--index", default="daqsched-logs", show_default=True, help="First part of the index names.")
@click.option(
    "--search",
    envvar="DAQSCHED_SEARCH",
    default="",
    metavar="URL",
    help="Elasticsearch where lines are searched for those who ask the daemon [default: that of --elasticsearch].",
)
@click.option(
    "--search-ca",
    envvar="DAQSCHED_SEARCH_CA",
    default="",
    help="PEM file of the authority that signed its certificate.",
)
@click.option(
    "--search-user-file",
    envvar="DAQSCHED_SEARCH_USER_FILE",
    default="",
    help="File whose first line is NAME:PASSWORD of an account that may read lines there.",
)
@click.option(
    "--search-api-key-file", envvar="DAQSCHED_SEARCH_API_KEY_FILE", default="", help="The same with an API key."
)
@click.option(
    "--executor", default="", help="daqsched-executor's path on the farm [default: the one beside this command]."
)
@click.option("--user", default="", help="Account for executors [default: this one].")
@click.option("--role", default="*", show_default=True, help="Mesos role.")
@click.option("--name", default="daqsched", show_default=True, help="The framework's name in the Mesos web UI.")
@click.option("--webui-url", default="", callback=_page, help="The framework's own page, a link in the Mesos web UI.")
@click.option("--credentials", type=click.Path(path_type=Path), help="JSON file with principal and secret, mode 600.")
@click.option(
    "--agent-credentials",
    type=click.Path(path_type=Path),
    help="The same for agents that want some to show sandboxes.",
)
@click.option(
    "--guards",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of the programs that a rollout's guard may name.",
)
@click.option(
    "--audit",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where changes and refusals are written down [default: audit.ndjson in the state's folder].",
)
@click.option(
    "--confirm-over",
    default="",
    callback=_end_limit,
    metavar="N,N%",
    help="More running programs than this are not ended at once unless whoever asks says that it is meant  [default: 20,33%].",
)
@click.option(
    "--rights",
    envvar="DAQSCHED_RIGHTS",
    type=click.Path(path_type=Path, dir_okay=False),
    help="YAML file that says who may do what [default: whoever may use the socket may all].",
)
@click.option(
    "--web",
    metavar="ADDRESS:PORT",
    callback=_place,
    help="Where commands are answered over the network, by HTTPS; with --rights, --web-certificate and --web-key.",
)
@click.option(
    "--web-certificate", type=click.Path(path_type=Path), help="PEM file with its certificate, and what signed that."
)
@click.option("--web-key", type=click.Path(path_type=Path), help="PEM file with the certificate's key, mode 600.")
@click.option(
    "--web-name",
    multiple=True,
    metavar="NAME",
    help="A further name that it goes by [default: the certificate's names].",
)
@click.option(
    "--passwords", type=click.Path(path_type=Path), help="With --web: file that `daqsched password` writes, mode 600."
)
@click.option(
    "--oidc",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --web: YAML file of the identity provider by which people log in, too (the extra oidc).",
)
@click.option(
    "--proxy-from",
    multiple=True,
    metavar="ADDRESS",
    help="With --web and --proxy-secret: a proxy with this address, or in this network, says who asks.",
)
@click.option(
    "--proxy-secret", type=click.Path(path_type=Path), help="File whose first line that proxy shows, mode 600."
)
@click.option(
    "--proxy-separator",
    type=click.Choice([",", ";", "|"]),
    metavar="CHARACTER",
    help="What stands between the groups that it names: , or ; or | (names of a directory have commas).  [default: ,]",
)
@click.option("--new-framework", is_flag=True, help="Register as a new framework: for after the old one was torn down.")
@click.pass_obj
def serve(
    path: Path,
    /,
    state: str,
    state_credentials: Optional[Path],
    peers: str,
    peers_certificate: Optional[Path],
    executor: str,
    new_framework: bool,
    **options: Any,
) -> None:
    """Run the scheduler, until SIGTERM or SIGINT."""
    web = _web(options)
    from daqsched.mesos.outgoing import Framework
    from daqsched.serve.log import begin
    from daqsched.serve.term import Options
    from daqsched.store import former, private
    from daqsched_executor.contract.forwarding import Access
    from daqsched_executor.contract.sysctl import unprotected

    begin()
    problem = unprotected(lambda setting: Path(setting).read_text())
    if problem:
        logging.getLogger(__name__).warning("%s", problem)
    framework = Framework(
        name=options["name"],
        user=options["user"] or getpass.getuser(),
        role=options["role"],
        webui_url=options["webui_url"],
        credentials=options["credentials"],
        executor=(executor or _executor_beside(),),
    )
    folder = Path(state) if is_folder(state) else state_dir()
    private.folder(folder, 0o750)
    if not is_folder(state):
        former.carry_over(folder)
    told = Options(
        options["master"],
        framework,
        socket=path,
        group=options["group"],
        elasticsearch=options["elasticsearch"],
        index=options["index"],
        # paths on the farm machines: no secret is read here
        access=Access(options["ca"], options["user_file"], options["api_key_file"]),
        agent_credentials=options["agent_credentials"],
        guards=options["guards"],
        chronicle=folder / "chronicle.sqlite",
        audit=options["audit"] or folder / "audit.ndjson",
        end_limit=options["confirm_over"],
        rights=options["rights"],
        web=web,
        search=_search(options),
    )
    coordination = backends.coordination(state, state_credentials)
    if coordination is not None:
        from daqsched.serve import ensemble

        ensemble.run(told, coordination, new_framework, peers, peers_certificate)
        return
    from daqsched.serve.start import run

    run(told, Path(state), new_framework)


def _search(options: dict[str, Any]) -> Any:
    """Where lines are searched, as a `daqsched.serve.searches.SearchAccount`; None: nowhere. Not as the forwarders, who may not
    read, and whose files are on other machines."""
    files = [options[f"search_{name}"] for name in ("ca", "user_file", "api_key_file")]
    url = options["search"] or options["elasticsearch"]
    if not url:
        if any(files):
            raise click.UsageError("--search-user-file and the like are for --search URL, or --elasticsearch URL")
        return None
    from daqsched.serve.searches import SearchAccount
    from daqsched_executor.contract.access import authorization
    from daqsched_executor.contract.forwarding import Access

    access = Access(*files)
    try:
        authorization(access)
    except (OSError, ValueError) as error:
        raise click.UsageError(
            f"lines can't be searched as --search-user-file or --search-api-key-file say: {error}"
        ) from error
    return SearchAccount(url, access)


def _web(options: dict[str, Any]) -> Any:
    """The web port, as a `daqsched.serve.term.WebOptions`; None: there is none."""
    given = [
        name
        for name in (
            "web_certificate",
            "web_key",
            "web_name",
            "passwords",
            "oidc",
            "proxy_from",
            "proxy_secret",
            "proxy_separator",
        )
        if options[name]
    ]
    if options["web"] is None:
        if given:
            raise click.UsageError(f"--{given[0].replace('_', '-')} is for --web ADDRESS:PORT")
        return None
    for name in ("rights", "web_certificate", "web_key"):
        if options[name] is None:
            raise click.UsageError(
                f"--web wants --{name.replace('_', '-')} FILE: nobody comes over the network without"
            )
    if bool(options["proxy_from"]) != bool(options["proxy_secret"]):
        raise click.UsageError("--proxy-from and --proxy-secret are given together: either alone could be anybody's")
    if options["proxy_separator"] and not options["proxy_from"]:
        raise click.UsageError("--proxy-separator is for --proxy-from and --proxy-secret")
    from daqsched.serve.term import WebOptions

    names = tuple(one.lower() for one in options["web_name"])
    return WebOptions(
        options["web"],
        options["web_certificate"],
        options["web_key"],
        names,
        options["passwords"],
        options["oidc"],
        options["proxy_from"],
        options["proxy_secret"],
        options["proxy_separator"] or ",",
    )


def _executor_beside() -> str:
    beside = Path(sys.argv[0]).resolve().parent / "daqsched-executor"
    return str(beside) if beside.exists() else "daqsched-executor"
