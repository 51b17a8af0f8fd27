"""The command `daqcluster`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, Optional

import click

from daqcluster.cluster import ATTRIBUTES, Cluster, default_folder
from daqcluster.errors import ClusterError


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ClusterError as error:
            click.secho("Error: ", fg="red", bold=True, nl=False, err=True)
            click.echo(str(error), err=True)
            ctx.exit(1)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--dir", "folder", type=click.Path(path_type=Path), help="The cluster's folder [env: DAQCLUSTER_DIR].")
@click.pass_context
def main(ctx: click.Context, folder: Optional[Path]) -> None:
    """Real Mesos, Elasticsearch and ZooKeeper on this machine, and no trace of them afterwards."""
    began = time.monotonic()

    def say(sentence: str) -> None:
        click.echo(f"[{time.monotonic() - began:5.1f} s] {sentence}", err=True)

    ctx.obj = Cluster(folder or default_folder(), say)


@main.command()
@click.option("--agents", default=3, show_default=True, type=click.IntRange(0, 50), help="How many: hlt01, hlt02, ...")
@click.option(
    "--elasticsearch",
    is_flag=False,
    flag_value="own",
    metavar="[URL]",
    help="One of our own, or the URL of yours.",
)
@click.option("--zookeeper", is_flag=True, help="Masters are found by zk://.")
@click.option("--webui", metavar="DIR", help="Assets of the official Mesos web UI (its source has them in src/webui).")
@click.option("--attributes", default=ATTRIBUTES, show_default=True, help="Each agent's attributes.")
@click.option("--heap", default="512m", show_default=True, help="Elasticsearch's memory.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.pass_obj
def up(
    cluster: Cluster,
    /,
    agents: int,
    elasticsearch: Optional[str],
    zookeeper: bool,
    webui: Optional[str],
    attributes: str,
    heap: str,
    as_json: bool,
) -> None:
    """Bring a cluster up and wait until all of it answers."""
    own_or_url = True if elasticsearch == "own" else elasticsearch or False
    cluster.up(agents, own_or_url, zookeeper, webui, attributes, heap)
    _show(cluster, as_json)
    if not as_json:
        click.echo("\nNext: eval $(daqcluster env); daqsched serve    (and: daqcluster kill hlt01, daqcluster down)")


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.pass_obj
def status(cluster: Cluster, /, as_json: bool) -> None:
    """Show what there is; the exit status is 0 where all of it runs."""
    _show(cluster, as_json)
    sys.exit(0 if cluster.status()["running"] else 1)


@main.command()
@click.option("--keep", is_flag=True, help="Keep the logs.")
@click.pass_obj
def down(cluster: Cluster, /, keep: bool) -> None:
    """End just what `up` started, and leave nothing behind."""
    there = bool(cluster.id)
    cluster.down(keep)
    click.echo("down" if there else "nothing was up")


@main.command()
@click.argument("name")
@click.pass_obj
def kill(cluster: Cluster, /, name: str) -> None:
    """kill -9 a member: master, elasticsearch, zookeeper, or an agent by its host name."""
    cluster.kill(name)
    click.echo(f"{name} is dead; daqcluster start {name}")


@main.command()
@click.argument("name")
@click.pass_obj
def start(cluster: Cluster, /, name: str) -> None:
    """Start a member again that has ended."""
    cluster.start(name)
    click.echo(f"{name} is up")


@main.command()
@click.pass_obj
def env(cluster: Cluster) -> None:
    """Print what a shell can evaluate, so that daqsched finds the cluster."""
    if not cluster.members:
        raise ClusterError("no cluster is up: daqcluster up")
    click.echo(f"export DAQSCHED_MASTER={cluster.master_url}")
    if cluster.elasticsearch_url:
        click.echo(f"export DAQSCHED_ELASTICSEARCH={cluster.elasticsearch_url}")
    # a framework's state means nothing without its master: it goes with the cluster
    click.echo(f"export DAQSCHED_STATE={cluster.folder / 'serve'}")


def _show(cluster: Cluster, as_json: bool) -> None:
    found = cluster.status()
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    if not found["members"]:
        click.echo(f"nothing is up in {found['folder']}")
        return
    for member in found["members"]:
        state = "up" if member["alive"] else "DEAD"
        if member["alive"] and member["registered"] is False:
            state = "up, NOT REGISTERED"
        colour = "green" if state == "up" else "red"
        detail = member.get("attributes", "")
        click.echo(
            f"{member['name']:14} {click.style(f'{state:4}', fg=colour)}  127.0.0.1:{member['port']:<6} "
            f"pid {member['pid']:<8}{detail}"
        )
    click.echo(f"master         {found['master']}   (containers by the {found['launcher']} launcher)")
    click.echo(f"folder         {found['folder']}")


if __name__ == "__main__":
    main()
