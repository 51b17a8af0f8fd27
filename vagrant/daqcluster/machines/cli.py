"""The command `daqcluster machines`."""

from __future__ import annotations

import os
import time

import click

from daqcluster.machines.farm import Farm


@click.group()
def machines() -> None:
    """What `vagrant up` needs beside Vagrant: scripts/vagrant calls it."""


def _farm() -> Farm:
    began = time.monotonic()
    return Farm(lambda sentence: click.echo(f"[{time.monotonic() - began:5.1f} s] {sentence}", err=True))


@machines.command()
def prepare() -> None:
    """Make, or bring up to date, all that the machines are made of. The container engine runs afterwards."""
    _farm().prepare(os.environ)


@machines.command()
def down() -> None:
    """End all machines, and leave nothing behind."""
    click.echo("down" if _farm().down() else "nothing was up")
