"""A reader who types what a page of `docs/start/` shows, word by word, and compares what is printed.

How a page marks it (all kinds of blocks: `tests/pages.py`).
A block ```` ```console ````: lines with ``$`` are typed, those after them must be printed. ``...`` stands for
anything in a line; alone in a line, for any lines. ``^C`` ends what goes on. A block ```` ```python NAME ````: a file in the folder
where the reader is. What else is in a page is read, not typed.

Numbers that differ each time may differ: times, durations, process ids, ports, digests, and all numbers in a line of a log.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
from pathlib import Path
from typing import Any, NamedTuple, Union

from pages import Block, blocks, listed
from waiting import until

#: What of a line may differ, and what stands for it.
_DIFFERS = (
    (r"\d{4}-\d\d-\d\d(T| )\d\d:\d\d:\d\d(\.\d+)?Z?", "TIME"),
    (r"\d\d:\d\d:\d\d(\.\d+)?", "TIME"),
    (r"TIME( UTC|[+-]\d\d:\d\d)", "TIME ZONE"),
    (r"\b(\d+ (d|h|min) )?\d+(\.\d+)? (ms|s|min|h|d)\b", "DURATION"),
    (r"\bpid \d+", "pid"),
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    (r"\b[0-9a-f]{12}\b", "DIGEST"),
    (r"\s+", " "),
)
#: Who only looks may look again: a task needs a moment to start, a line to come to Elasticsearch.
_LOOKS = re.compile(r"daqsched (status|why|logs|incidents|story)\b")
#: Seconds until what is looked at must be so; until a command must end.
LOOK_S, END_S = 60.0, 300.0


class Typed(NamedTuple):
    """A command, what must be printed, and where it stands."""

    command: str
    printed: list[str]
    line: int
    #: One of a list of commands, whose answers the page does not show.
    listed: bool = False


class File(NamedTuple):
    """A file that the reader writes."""

    name: str
    text: str


def steps(page: str, all_of_it: bool = True) -> list[Union[Typed, File]]:
    """What a reader of the page does, in order. Raises `ValueError` where a block is not to be typed; with ``all_of_it=False``
    such a block is only read."""
    found: list[Union[Typed, File]] = []
    for block in blocks(page):
        if (block.kind, block.what) == ("console", ""):
            found += typed(block)
        elif block.kind == "python" and block.what not in ("", "program"):
            found.append(File(block.what, block.text))
        elif (block.kind, block.what) == ("sh", "crew") and not all_of_it:
            found += [
                Typed(command, [], number, True) for number, command in enumerate(block.text.splitlines(), block.line)
            ]
        elif all_of_it:
            info = f"{block.kind} {block.what}".strip()
            raise ValueError(f"line {block.line}: a block of a tutorial is `console` or `python FILE`, not {info!r}")
    if not all_of_it:
        found += [Typed(command, [], number, True) for number, command in listed(page)]
    return found


def typed(block: Block) -> list[Typed]:
    """The commands of a block `console`, and what each of them prints."""
    found: list[Typed] = []
    for number, line in enumerate(block.text.splitlines(), block.line):
        if line.startswith("$ "):
            found.append(Typed(line[2:], [], number))
        elif not found:
            raise ValueError(f"line {number}: a block `console` begins with a line that is typed: $ ...")
        elif not found[-1].printed and _goes_on(found[-1].command):
            found[-1] = found[-1]._replace(command=f"{found[-1].command}\n{line}")
        else:
            found[-1].printed.append(line)
    return found


def _goes_on(command: str) -> bool:
    """Whether a shell would ask for more: a quote that is open, a backslash at the end."""
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return True
    return command.endswith("\\")


def plain(line: str) -> str:
    """Without what may differ."""
    for pattern, stands in _DIFFERS:
        line = re.sub(pattern, stands, line)
    line = line.strip()
    return re.sub(r"\d+", "N", line) if re.match(r"TIME hlt", line) else line


def fits(printed: list[str], said: str) -> bool:
    """Whether a page's lines describe what was said."""
    pattern = "".join(
        r"(?:.*\n)*?"
        if line.strip() == "..."
        else re.escape(plain(line)).replace(r"\ \.\.\.\ ", r"\ (?:.*?\ )?").replace(r"\.\.\.", ".*?") + r"\n"
        for line in printed
    )
    return re.fullmatch(pattern, "".join(f"{plain(line)}\n" for line in said.rstrip().splitlines())) is not None


#: Fields of an answer in JSON that are other ones each time.
_OTHER = {
    "applied",
    "at",
    "base",
    "digest",
    "gid",
    "now",
    "pid",
    "revision",
    "since",
    "time",
    "uid",
    "until",
    "user",
    "version",
}
#: Numbers that are the same each time.
_EXACT = {"count", "exit_code", "restarts"}
#: Fields that a reader copies into what is typed next.
_COPIED = {"agent_id", "framework_id", "id", "task_id"}


def answers(printed: list[str], said: str) -> Union[dict[str, str], None]:
    """Whether an answer in JSON, which a page folds as it likes, is what was said: what the reader copies out of it, shown and
    said. ``"…"`` stands for anything, as a key for any others."""
    try:
        shown, found = json.loads(" ".join(line.strip() for line in printed)), json.loads(said)
    except ValueError:
        return None
    copied: dict[str, str] = {}
    return copied if _alike(shown, found, "", copied) else None


def _is_json(printed: list[str]) -> bool:
    try:
        return bool(printed) and isinstance(json.loads(" ".join(line.strip() for line in printed)), dict)
    except ValueError:
        return False


def _alike(shown: Any, said: Any, key: str, copied: dict[str, str]) -> bool:
    if shown == said or shown == "…" or (key in _OTHER and type(shown) is type(said)):
        return True
    if key in _COPIED and isinstance(said, str):
        copied[shown] = said
        return True
    if isinstance(shown, dict) and isinstance(said, dict):
        same = set(said) >= set(shown) - {"…"} if "…" in shown else set(said) == set(shown)
        return same and all(_alike(value, said[name], name, copied) for name, value in shown.items() if name != "…")
    if isinstance(shown, list) and isinstance(said, list):
        return len(shown) == len(said) and all(_alike(one, other, key, copied) for one, other in zip(shown, said))
    if isinstance(shown, str) and isinstance(said, str):
        return fits([shown.replace("…", "...")], said)
    if type(shown) is type(said) or {type(shown), type(said)} <= {int, float}:
        return (
            isinstance(shown, (int, float)) and not isinstance(shown, bool) and key not in _EXACT or bool(shown == said)
        )
    return False


#: Who looks only, in what a crew may type: statuses that say what was found.
_FOUND = {"plan": (0, 6), "diff": (0, 6), "why": (0, 4)}


def _heeds_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Reader:
    """Somebody at a shell, who begins in ``where`` with a home of their own and nothing else."""

    def __init__(self, where: Path, home: Path, environment: dict[str, str]) -> None:
        self._state, self._said = home / ".shell", home / ".said"
        self._state.write_text(f"cd {where}\n")
        ours = ("DAQSCHED_", "DAQCLUSTER_", "XDG_", "VIRTUAL_ENV", "PYTEST_", "MAKE", "MFLAGS")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        kept["PATH"] = ":".join(place for place in kept["PATH"].split(":") if "/.venv" not in place)
        self._environment = {**kept, "HOME": str(home), "COLUMNS": "160", **environment}
        #: What a page shows and a reader copies -> what it is here.
        self._copied: dict[str, str] = {}

    def go(self, where: Path) -> None:
        """Go to a folder, with a terminal as wide as at the beginning."""
        assert self._shell(f"cd {where}; export COLUMNS={self._environment['COLUMNS']}").wait(END_S) == 0

    def do(self, step: Union[Typed, File]) -> None:
        """Do it, and see that what is printed is what the page shows. Raises `AssertionError` with both."""
        if isinstance(step, File):
            self._shell(f"cat > {step.name} <<'END_OF_FILE'\n{step.text}END_OF_FILE").wait(END_S)
        elif step.listed:
            self._try(step)
        elif step.printed and step.printed[-1] == "^C":
            self._follow(step)
        elif _is_json(step.printed):
            self._ask(step)
        elif _LOOKS.match(step.command):
            said = ""

            def looks() -> bool:
                nonlocal said
                said = self._run(step)
                return fits(step.printed, said)

            try:
                until(looks, "the page is right", LOOK_S)
            except AssertionError:
                raise AssertionError(self._differs(step, said)) from None
        else:
            said = self._run(step)
            # what is only done (`sed`, `cd`) shows nothing
            assert fits(step.printed or ["..."], said), self._differs(step, said)

    def _run(self, step: Typed) -> str:
        status = self._shell(step.command).wait(END_S)
        said = self._said.read_text(errors="replace")
        # a file with a mistake is one that the page shows
        assert status == 0 or step.printed, f"line {step.line}: $ {step.command}\nended with {status}:\n{said}"
        return said

    def _ask(self, step: Typed) -> None:
        """What is answered in JSON. A question is asked again until the answer is the one shown."""
        said, copied = "", None

        def asks() -> bool:
            nonlocal said, copied
            said = self._run(step)
            copied = answers(step.printed, said)
            return copied is not None

        if " -d " in step.command:
            asks()
        else:
            try:
                until(asks, "the page is right", LOOK_S)
            except AssertionError:
                pass
        if copied is None:
            raise AssertionError(self._differs(step, said))
        self._copied.update(copied)

    def _try(self, step: Typed) -> None:
        """One of a list: it does what it is for. What follows is ended once it has said something."""
        if re.search(r"\s-f\b", step.command):
            self._follow(step._replace(printed=["...", "... ...", "...", "^C"]))
            return
        status = self._shell(step.command).wait(END_S)
        said = self._said.read_text(errors="replace")
        verb = step.command.split()[1]
        assert status in _FOUND.get(verb, (0,)), f"line {step.line}: $ {step.command}\nended with {status}:\n{said}"

    def _follow(self, step: Typed) -> None:
        process = self._shell(step.command)
        try:
            until(lambda: fits(step.printed[:-1], self._said.read_text(errors="replace")), self._differs(step, "?"))
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(30.0)

    def _shell(self, command: str) -> subprocess.Popen[bytes]:
        """The command in a shell that goes on where the last one ended: its folder, its variables."""
        for shown, here in self._copied.items():
            command = command.replace(shown, here)
        keep = f'{{ export -p; printf "cd %q; cd %q\\n" "$OLDPWD" "$PWD"; }} >{self._state}.new; mv {self._state}.new {self._state}'
        script = f". {self._state}\nset -a\n{command}\nstatus=$?\n{keep}\nexit $status"
        with open(self._said, "wb") as file:
            return subprocess.Popen(
                ["bash", "-c", script],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
                # these tests may run where that is ignored: in the background of a script
                preexec_fn=_heeds_interrupts,
            )

    @staticmethod
    def _differs(step: Typed, said: str) -> str:
        shown = "\n".join(step.printed)
        return f"line {step.line}: $ {step.command}\nthe page shows:\n{shown}\nprinted was:\n{said}"
