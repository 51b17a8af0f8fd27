"""The command `daqcluster`."""

from __future__ import annotations

import errno
import json
import shlex
import signal
import sys
import time
from pathlib import Path
from typing import Any, Callable, Optional, TypeVar

import click

from daqcluster import software
from daqcluster.cluster import ATTRIBUTES, Cluster, default_folder
from daqcluster.errors import ClusterError
from daqcluster.machines.cli import machines
from daqcluster.progress import Say

_Function = TypeVar("_Function", bound=Callable[..., Any])


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ClusterError as error:
            click.secho("Error: ", fg="red", bold=True, nl=False, err=True)
            click.echo(str(error), err=True)
            ctx.exit(error.status)
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # whoever read our output has gone: click ends us in silence
            click.secho("Error: ", fg="red", bold=True, nl=False, err=True)
            click.echo(f"{error.filename or 'this machine'}: {error.strerror}", err=True)
            ctx.exit(1)


def _say_since(began: float) -> Say:
    def say(sentence: str) -> None:
        click.echo(f"[{time.monotonic() - began:5.1f} s] {sentence}", err=True)

    return say


def _folder_option(name: str, **more: Any) -> Callable[[_Function], _Function]:
    text = "The cluster's folder. [env: DAQCLUSTER_DIR; default: ~/.local/state/daqcluster/default]"
    return click.option("--dir", name, metavar="FOLDER", type=click.Path(path_type=Path), help=text, **more)


def _cluster(ctx: click.Context, parameter: click.Parameter, folder: Optional[Path]) -> Cluster:
    return Cluster(folder or ctx.obj or default_folder(), _say_since(time.monotonic()))


#: `daqcluster --dir FOLDER up` and `daqcluster up --dir FOLDER` are the same.
_in_folder = _folder_option("cluster", callback=_cluster)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@_folder_option("folder")
@click.pass_context
def main(ctx: click.Context, folder: Optional[Path]) -> None:
    """Real Mesos, Elasticsearch and ZooKeeper on this machine, and no trace of them afterwards."""
    ctx.obj = folder


main.add_command(machines)


@main.command()
@click.option("--agents", default=3, show_default=True, type=click.IntRange(0, 50), help="How many: hlt01, hlt02, ...")
@click.option(
    "--elasticsearch",
    is_flag=False,
    flag_value="own",
    metavar="[URL]",
    help="One of our own, or the URL of yours.",
)
@click.option("--zookeeper", is_flag=True, help="Agents and frameworks find the master by zk://.")
@click.option(
    "--webui",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, resolve_path=True),
    help="Another web page than ours, for example Mesos' own (src/webui of its source).",
)
@click.option("--attributes", default=ATTRIBUTES, show_default=True, help="Attributes of each new agent.")
@click.option("--ports", metavar="FIRST-LAST", help="Ports that each new agent offers. [default: 35 of its own each]")
@click.option("--launcher", type=click.Choice(["linux", "posix"]), help="[default: linux where root has cgroup v1]")
@click.option("--heap", default="512m", show_default=True, help="Elasticsearch's memory.")
@click.option(
    "--credentials",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, resolve_path=True),
    help="Mesos' JSON file of principals and secrets: frameworks must be one of these.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@_in_folder
def up(
    cluster: Cluster,
    agents: int,
    elasticsearch: Optional[str],
    zookeeper: bool,
    webui: Optional[str],
    attributes: str,
    ports: Optional[str],
    launcher: Optional[str],
    heap: str,
    credentials: Optional[str],
    as_json: bool,
) -> None:
    """Bring a cluster up and wait until all of it answers."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        # as after Ctrl-C: half a cluster is taken down
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    own_or_url = True if elasticsearch == "own" else elasticsearch or False
    cluster.up(agents, own_or_url, zookeeper, webui, attributes, heap, launcher, credentials, ports)
    _show(cluster, as_json)
    if not as_json:
        ours = _ours(cluster)
        click.echo(f"\nNext: eval $({ours} env); daqsched serve    (and: {ours} kill hlt01, {ours} down)")


@main.command()
@click.argument("part", nargs=-1, type=click.Choice(["mesos", "elasticsearch", "zookeeper"]))
@_in_folder
def fetch(cluster: Cluster, part: tuple[str, ...]) -> None:
    """Fetch and build what `up` takes (each PART, or all), and start nothing."""
    software.fetch(part, cluster.say)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@_in_folder
def status(cluster: Cluster, as_json: bool) -> None:
    """Show what there is; the exit status is 0 where all of it runs."""
    sys.exit(0 if _show(cluster, as_json) else 1)


@main.command()
@click.option("--keep", is_flag=True, help="Keep the logs.")
@_in_folder
def down(cluster: Cluster, keep: bool) -> None:
    """End just what `up` started, and leave nothing behind."""
    there = bool(cluster.id)
    cluster.down(keep)
    click.echo("down" if there else "nothing was up")


@main.command()
@click.argument("name")
@_in_folder
def kill(cluster: Cluster, name: str) -> None:
    """kill -9 a member: master, elasticsearch, zookeeper, or an agent by its host name."""
    cluster.kill(name)
    click.echo(f"{name} is dead; {_ours(cluster)} start {name}")


@main.command()
@click.argument("name")
@_in_folder
def start(cluster: Cluster, name: str) -> None:
    """Start a member again that has ended."""
    cluster.start(name)
    click.echo(f"{name} is up")


@main.command()
@_in_folder
def env(cluster: Cluster) -> None:
    """Print what a shell can evaluate, so that daqsched finds the cluster."""
    if "master" not in cluster.members:
        raise ClusterError("no cluster is up: daqcluster up")
    values = {"DAQSCHED_MASTER": cluster.master_url}
    if cluster.elasticsearch_url:
        values["DAQSCHED_ELASTICSEARCH"] = cluster.elasticsearch_url
    # a framework's state means nothing without its master: it goes with the cluster
    values["DAQSCHED_STATE"] = str(cluster.folder / "serve")
    for name, value in values.items():
        click.echo(f"export {name}={shlex.quote(value)}")


def _ours(cluster: Cluster) -> str:
    """How the command is called for this cluster."""
    if cluster.folder == default_folder().absolute():
        return "daqcluster"
    return f"daqcluster --dir {shlex.quote(str(cluster.folder))}"


def _show(cluster: Cluster, as_json: bool) -> bool:
    found = cluster.status()
    if as_json:
        click.echo(json.dumps(found, indent=2))
    elif not found["members"]:
        click.echo(f"nothing is up in {found['folder']}; daqcluster up")
    else:
        for member in found["members"]:
            state = "up" if member["alive"] else "DEAD"
            if member["alive"] and member["registered"] is False:
                state = "up, NOT REGISTERED"
            styled = click.style(f"{state:4}", fg="green" if state == "up" else "red")
            place = f"127.0.0.1:{member['port']}"
            click.echo(
                f"{member['name']:14} {styled}  {place:16} pid {member['pid']:<8} {member.get('attributes', '')}".rstrip()
            )
        click.echo(f"master         {found['master']}   (containers by the {found['launcher']} launcher)")
        if found["elasticsearch"]:
            click.echo(f"elasticsearch  {found['elasticsearch']}")
        if found["webui"]:
            click.echo(f"web page       {found['webui']}")
        click.echo(f"folder         {found['folder']}")
        if found["checkout"]:
            click.echo(f"brought up by  {found['checkout']}")
    return bool(found["running"])


if __name__ == "__main__":
    main()
