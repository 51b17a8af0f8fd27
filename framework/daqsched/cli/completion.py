"""What TAB offers: jobs, hosts, parts and revisions, as the daemon knows them now.

A shell asks `daqsched` by click's own way (``_DAQSCHED_COMPLETE``). Whoever presses TAB is typing: nothing is printed but what can
be typed, and a daemon that does not answer soon knows no names.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from daqsched.settings import Server, Where, where_of
from daqsched_executor.contract.foreign import printable

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from daqsched.views.names import Kind

#: So long a daemon may take for its names.
PATIENCE_S = 0.7

#: What click's scripts set.
VARIABLE = "_DAQSCHED_COMPLETE"

#: A name goes into a command line as it is: one that a shell would read otherwise is not offered.
_PLAIN = re.compile(r"[A-Za-z0-9_.@][A-Za-z0-9_.@-]*")

#: The longest that is told of a name.
_MOST_ABOUT = 60

Complete = Callable[[click.Context, click.Parameter, str], "list[CompletionItem]"]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """While a shell asks, no word of ours goes to its terminal, whatever fails."""
    asked = os.environ.get(VARIABLE, "")
    if asked:
        _mend_scripts()
    if not asked.endswith("_complete"):
        yield
        return
    before = sys.stderr
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        sys.stderr = nowhere
        try:
            yield
        except Exception:  # it would be a trace between two words of a command line
            sys.exit(0)
        finally:
            sys.stderr = before


def _mend_scripts() -> None:
    """What click's scripts lack.

    In bash an @ begins a new word, so that the host of JOB@HOST would be one of its own; it does so anew at the first prompt,
    after ~/.bashrc, for as long as hosts of /etc/hosts are completed. In zsh nothing can be completed before compinit.
    """
    from click.shell_completion import BashComplete, ZshComplete, add_completion_class

    class Bash(BashComplete):
        """Click's, and that."""

        source_template = (
            "shopt -u hostcomplete\nCOMP_WORDBREAKS=${COMP_WORDBREAKS//@}\n" + BashComplete.source_template
        )

    class Zsh(ZshComplete):
        """Click's, and that."""

        source_template = ZshComplete.source_template.replace(
            "    compdef ", "    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }\n    compdef "
        )

    add_completion_class(Bash)
    add_completion_class(Zsh)


def names(kind: Kind) -> Complete:
    """What may stand for an argument or an option, as click asks for it."""

    def complete(context: click.Context, parameter: click.Parameter, begin: str) -> list[CompletionItem]:
        root = context.find_root()
        return known(root.obj if isinstance(root.obj, (Path, Server)) else where_of(root.params), kind, begin)

    return complete


def states_offered(context: click.Context, parameter: click.Parameter, begin: str) -> list[CompletionItem]:
    """The states that begin so, after those that were typed before the last comma; the worst first."""
    from click.shell_completion import CompletionItem

    from daqsched.states import ORDER

    before, comma, last = begin.rpartition(",")
    typed = before.upper().split(",")
    found = [state for state in ORDER if state.startswith(last.upper()) and state not in typed]
    return [CompletionItem(f"{before}{comma}{state}") for state in found]


def revision_or_file(context: click.Context, parameter: click.Parameter, begin: str) -> list[CompletionItem]:
    """Numbers of revisions, and what the shell knows of files where there is none."""
    from click.shell_completion import CompletionItem

    # bash offers one or the other
    return names("revision")(context, parameter, begin) or [CompletionItem(begin, type="file")]


def known(where: Where, kind: Kind, begin: str, patience_s: float = PATIENCE_S) -> list[CompletionItem]:
    """What the daemon knows, as far as it can be typed; nothing where it does not answer in time."""
    import threading

    from click.shell_completion import CompletionItem

    from daqsched.client import Client

    found: list[Any] = []

    def ask() -> None:
        with contextlib.suppress(Exception):
            found.extend(Client(where).names(kind, begin))

    # nobody waits for it: it ends with us
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(patience_s)
    return [
        CompletionItem(one.name, help=printable(one.about)[:_MOST_ABOUT] or None)
        for one in list(found)
        if one.name.startswith(begin) and _PLAIN.fullmatch(one.name)
    ]
