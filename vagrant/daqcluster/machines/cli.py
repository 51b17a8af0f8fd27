"""The command `daqcluster machines`."""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
import time
from pathlib import Path

import click

from daqcluster.machines import harm, parts, secrets
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


@machines.command(context_settings={"ignore_unknown_options": True, "help_option_names": []}, add_help_option=False)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def vagrant(words: tuple[str, ...]) -> None:
    """Call Vagrant, after `prepare` where that is needed."""
    _farm().vagrant(words, os.environ)


def _address(ctx: click.Context, parameter: click.Parameter, text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise click.BadParameter(f"{text!r} is not an address such as 10.0.0.5") from None


def _name(ctx: click.Context, parameter: click.Parameter, text: str) -> str:
    # a certificate has room for 64 letters
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?", text):
        raise click.BadParameter(f"{text!r} is not a machine's name, of 64 letters, digits, dots and dashes at most")
    return text


@machines.command("parts")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--control", required=True, metavar="NAME", callback=_name, help="The machine that will have Elasticsearch."
)
@click.option("--address", required=True, callback=_address, help="Its address: both stand in its certificate.")
def make_parts(folder: Path, control: str, address: str) -> None:
    """Put all that machines are installed from into FOLDER, with secrets: for machines that are not Vagrant's."""
    farm = _farm()
    new = not folder.exists()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        parts.copy_servers(folder, parts.make(folder, farm.say))
        secrets.make(folder / "secrets", control, address)
    except BaseException:
        if new:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    click.echo(f"{folder} is as secret as {folder}/secrets: give a farm machine secrets/agent alone")


@machines.command()
def possible() -> None:
    """Try whether this computer can have machines as containers; status 1 and why, where it can't."""
    _farm().possible()
    click.echo("yes")


@machines.command()
def down() -> None:
    """End all machines, and leave nothing behind."""
    click.echo("down" if _farm().down() else "nothing was up")


@machines.command()
@click.argument("name")
def cut(name: str) -> None:
    """Pull a machine's cable: what is sent is lost, in silence."""
    harm.cut(_farm().running(name), name)
    click.echo(f"{name} is cut off; daqcluster machines mend {name}")


@machines.command()
@click.argument("name")
def mend(name: str) -> None:
    """Put the cable in again."""
    farm = _farm()
    harm.mend(farm.running(name), name, farm.bridge)
    click.echo(f"{name} is connected")


@machines.command()
@click.argument("name")
def hang(name: str) -> None:
    """Let a machine's cvmfs hang."""
    harm.hang(_farm().running(name), name)
    click.echo(f"cvmfs hangs on {name}; daqcluster machines answer {name}")


@machines.command()
@click.argument("name")
def answer(name: str) -> None:
    """Let a machine's cvmfs answer again."""
    harm.answer(_farm().running(name), name)
    click.echo(f"cvmfs answers on {name}")
