"""`daqsched login` and `logout`: a way in over the network that is kept, so that commands need no file of a secret."""

from __future__ import annotations

import contextlib
import sys
from typing import Optional

import click

from daqsched.cli.root import connect, main
from daqsched.errors import DaqschedError, Refused, UserError
from daqsched.settings import Server, Where
from daqsched.terminal.out import interactive, say


@main.command()
@click.argument("name", required=False)
@click.pass_obj
def login(where: Where, name: Optional[str]) -> None:
    """Log in as NAME at the daemon of --server, for 12 hours: its commands need no token then. The password is typed, a
    line of the standard input, or in --password-file. Without NAME the token of --token-file is kept. Both are kept in
    your keyring, where there is one (package `keyring`), else in a file of mode 600."""
    from daqsched import remote
    from daqsched.saved_logins import SESSION, TOKEN, SavedLogin, keep
    from daqsched.times import clock

    server = _server(where)
    url, name = remote.url_of(server), name or server.user
    if not name and server.token is not None:
        secret = remote.token_of(server.token)
        who = connect(server).rights().name
        say(f"Commands at {url} are {who}'s from now on: the token is {keep(SavedLogin(url, '', TOKEN, secret))}.")
        return
    if not name:
        raise UserError(f"say as whom: daqsched --server {url} login NAME; --token-file FILE keeps a token")
    password = remote.password_of(server.password) if server.password is not None else _typed(name, url)
    answer, session = connect(Server(url, ca=server.ca, kept=False)).log_in(name, password)
    place = keep(SavedLogin(url, answer.name, SESSION, session, answer.until))
    say(f"{answer.name} is logged in at {url} until {clock(answer.until)}: the session is {place}.")


@main.command()
@click.pass_obj
def logout(where: Where) -> None:
    """End the session of `daqsched login` at the daemon of --server; a token that is kept is kept no more, and counts on."""
    from daqsched import remote
    from daqsched.saved_logins import TOKEN, forget, kept

    server = _server(where)
    url = remote.url_of(server)
    try:
        found = kept(url)
    except UserError:
        forget(url)
        raise
    if found is None:
        raise UserError(f"nobody is logged in at {url} here: `daqsched login` does that")
    if found.kind == TOKEN:
        forget(url)
        say("The token is kept here no more. It counts on until it expires: `daqsched token revoke NAME` ends it.")
        return
    client = connect(Server(url, ca=server.ca))
    forget(url)
    try:
        client.log_out()
    except Refused:
        say(f"The session of {found.name} at {url} was over already; it is kept here no more.")
        return
    except DaqschedError as error:
        raise type(error)(f"the session is kept here no more, but may count until it is over, as {error}") from error
    say(f"{found.name} is logged out at {url}.")


def _server(where: Where) -> Server:
    if not isinstance(where, Server):
        raise UserError(
            "one logs in over the network, --server URL; through the socket of this machine the kernel says who asks"
        )
    return where


def _typed(name: str, url: str) -> str:
    from daqsched.terminal.unseen import typed_unseen

    if interactive():
        with contextlib.suppress(click.Abort):
            return typed_unseen(f"Password of {name} at {url}")
        raise UserError("no password was typed: nobody is logged in")
    text = sys.stdin.readline(5000).rstrip("\n")
    if not text:
        raise UserError(
            "no password: type it at a terminal, give it as a line of the standard input, or --password-file FILE"
        )
    return text
