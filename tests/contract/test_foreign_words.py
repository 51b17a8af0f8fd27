"""No word of others acts on a terminal: every command, with hostile bytes in every field of every answer, file and document."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from daqsched import protocol
from daqsched.cli import main
from daqsched.control import ControlAnswer
from daqsched.engine.commands import Revision
from daqsched.preflight import PreflightFindings
from daqsched.protocol import ProposalAnswer, ProposalsAnswer
from daqsched.store.backup import pack
from daqsched.store.base import Contents, head_of, record_bytes
from daqsched.task import Record
from daqsched.views.plan import Plan
from daqsched_executor.forward.command import main as forward
from foreign import HARMLESS, HOSTILE, daemon, look, made, shown
from verbs import verbs

ANSWERS: dict[str, Any] = {
    "GET /info": protocol.Info,
    "GET /status": protocol.StatusAnswer,
    # of pages: no command asks for it
    "GET /board": protocol.BoardAnswer,
    "GET /progress": protocol.ProgressAnswer,
    "GET /why": protocol.WhyAnswer,
    "GET /stories": protocol.StoriesAnswer,
    "GET /incidents": protocol.IncidentsAnswer,
    "POST /preflight": protocol.PreflightBegun,
    "GET /preflight/.*": protocol.PreflightAnswer,
    "POST /(stop|hold|start)": protocol.Selected,
    "POST /order": protocol.OrderAnswer,
    "POST /(choices/)?plan": Plan,
    "POST /(apply|set|rollback|approve)": protocol.Applied,
    "GET /choices": protocol.ChoicesAnswer,
    "GET /history": protocol.HistoryAnswer,
    "GET /revisions/.*": protocol.RevisionAnswer,
    "(GET|POST) /rollout": protocol.RolloutAnswer,
    "POST /restart": protocol.RolloutAnswer,
    "GET /aside|POST /(aside|return)": protocol.AsideAnswer,
    "POST /replace": protocol.Selected,
    "POST /borrow": protocol.BorrowAnswer,
    "(GET|POST) /note": protocol.NoteAnswer,
    "GET /audit": protocol.AuditAnswer,
    "GET /rights": protocol.RightsAnswer,
    "POST /token": protocol.NewToken,
    "GET /tokens|POST /revoke": protocol.TokensAnswer,
    "GET /control|POST /(take|give)": ControlAnswer,
    "POST /propose|GET /proposals/.*": ProposalAnswer,
    "GET /proposals|POST /(reject|withdraw)": ProposalsAnswer,
    "POST /plan/hidden": protocol.HiddenAnswer,
    "POST /lines": protocol.LinesAnswer,
    "POST /lines/count": protocol.CountLinesAnswer,
    "POST /lines/context": protocol.LinesContextAnswer,
    "POST /lines/examples": protocol.LineExamplesAnswer,
    "POST /lines/new": protocol.NewLinesAnswer,
    "POST /lines/follow": protocol.FollowLinesAnswer,
    "POST /lines/dead": protocol.DeadLettersAnswer,
    "POST /(login|logout|oidc-login)": protocol.LoginAnswer,
    "GET /login": protocol.LoginWays,
    "POST /oidc": protocol.LoginBegun,
    "GET /names": protocol.NamesAnswer,
    "GET /log(/.*)?": protocol.LogAnswer,
    "POST /console": protocol.ConsoleAttached,
    "POST /consoles/.*/read": protocol.ConsoleOutput,
    "POST /consoles/.*/(keys|leave)": protocol.ConsoleTyped,
    "POST /sandboxes": protocol.SandboxesAnswer,
    "POST /sandboxes/read": protocol.ReadAnswer,
}

#: Each command with its ways; words in capitals are files of the test's folder.
ROWS: dict[str, list[str]] = {
    "status": ["", "readout", "--wide", "--at 10m", "--json"],
    "why": ["", "readout", "--json"],
    "story": ["readout", "readout --json"],
    "incidents": ["", "readout", "--json"],
    "history": ["", "1", "--json"],
    "diff": ["1 2", "1 FILE", "1 --json"],
    "plan": ["FILE", "FILE --json"],
    "apply": ["FILE --timeout 0.2", "FILE --no-wait", "FILE --preflight --timeout 0.2", "FILE --json --timeout 0.2"],
    "set": ["v=x --timeout 0.2", "v=x --no-wait", "v=x --plan", "v=x --json --timeout 0.2"],
    "variables": ["", "--json"],
    "rollback": ["1 --timeout 0.2", "1 --json --timeout 0.2"],
    "preflight": ["FILE", "FILE --json"],
    "rollout": ["", "--json"],
    "rollout pause": [""],
    "rollout resume": [""],
    "rollout abort": [""],
    "rollout rollback": [""],
    "restart": ["x", "x --json", "x --wait --timeout 0.2", "x --wait --timeout 0.2 --json"],
    "control": [""],
    "control take": ["", "--force -m x", "--json"],
    "control give": ["", "x", "--json"],
    "control who": ["", "--part x", "--json"],
    "propose": ["FILE", "FILE --json"],
    "proposals": ["", "1", "--json", "1 --json"],
    "approve": ["1 --timeout 0.2", "1 --no-wait", "1 --json --timeout 0.2"],
    "reject": ["1", "1 --json"],
    "withdraw": ["1", "1 --json"],
    "note": ["", "x", "--json", "x --json"],
    "debug": ["NEW"],
    "aside": ["", "h --for 2h", "--json"],
    "return": ["h"],
    "replace": ["h", "h agent-2"],
    "stop": ["x"],
    "hold": ["x"],
    "start": ["x"],
    "retry": ["x"],
    "snooze": ["x --for 1h"],
    "wake": ["x"],
    "act": ["x dump --timeout 0.2", "x dump --timeout 0.2 --json"],
    "borrow": ["h x"],
    "console": ["x@h --for 5"],
    "rights": ["", "--json"],
    "rights why": ["x", "x stop a@h", "- stop", "x stop a@h --json", "x set v"],
    "rights check": ["RIGHTS", "BADRIGHTS", "BAD"],
    "rights elasticsearch": ["RIGHTS", "RIGHTS --yaml", "RIGHTS --document-level", "BADRIGHTS", "BAD"],
    "audit": ["", "--json", "--refused"],
    "audit show": ["", "--user x --since 1d", "--json"],
    "audit verify": ["BAD", "BAD --json"],
    # with documents: tests/cluster/test_audit_copy.py
    "audit copy": ["BAD --elasticsearch http://127.0.0.1:1 --once"],
    "token": [],
    "token create": ["x --role viewer", "x --role viewer --json"],
    "token list": ["", "--json"],
    "token revoke": ["x", "x --json"],
    "password": ["x --file BAD --remove"],
    "login": ["x", ""],
    "logout": [""],
    "cert": ["BAD x"],
    "validate": ["FILE", "BAD", "BAD --json"],
    "show": ["FILE", "FILE readout", "FILE readout@hlt01", "FILE --json", "1", "--story x", "--story x --json"],
    "schema": [""],
    "backup": ["NEW"],
    "restore": ["BACKUP --state STATE --dry-run", "BAD --state STATE"],
    "logs": [
        *("--sandbox", "--sandbox --json", "--sandbox --id", "--sandbox --count", "--sandbox --new=1h"),
        *("x", "--json", "--id", "--count", "--new=1h", "--around 10:00", "--around line-1"),
    ],
    "logs kibana": ["--index x"],
    # its log: tests/unit/test_foreign.py
    "serve": ["--master x --state zk://nowhere/x --state-credentials BAD"],
    # with documents: tests/cluster/test_foreign_words.py
    "logs setup": ["--elasticsearch http://127.0.0.1:1"],
    "logs expire": ["--elasticsearch http://127.0.0.1:1"],
    "deadletter": [],
    "deadletter list": ["--elasticsearch http://127.0.0.1:1", ""],
    "deadletter replay": [
        "--elasticsearch http://127.0.0.1:1",
        "--elasticsearch http://127.0.0.1:1 --index x --file BAD",
    ],
}


#: Whose display is drawn again and again, on a terminal.
REDRAWN = ("apply", "set", "approve", "rollback", "preflight", "restart x --wait")


def test_every_command_is_looked_at() -> None:
    """One that is added must say how it is called here."""
    names = set()
    for name, command in verbs(main).items():
        names |= {name} | {f"{name} {verb}" for verb in getattr(command, "commands", ())}
        assert isinstance(command, click.Command)
    assert names == set(ROWS)


def test_every_answer_is_known() -> None:
    """A type of the protocol that no row answers with has no business there."""
    answers = {kind.__name__ for kind in ANSWERS.values()} | {"Problem"}
    kinds = {
        name for name in vars(protocol) if re.fullmatch(r"\w+Answer|Info|Selected|Applied|PreflightBegun|Problem", name)
    }
    assert kinds - answers == set()


class World:
    """A folder of hostile files, and a daemon whose every answer is hostile."""

    def __init__(self, folder: Path, text: str, pick: int, refuses: bool) -> None:
        folder.mkdir(parents=True)
        self.folder, self.text, self.pick, self.refuses = folder, text, pick, refuses
        self.socket = folder / "s"
        # what a job may hold: an environment has no NUL, braces are placeholders
        held = text.replace("\0", "").replace("{", "").replace("}", "")
        for name, jobs in (
            (
                "FILE",
                "Job('readout', argv=['/bin/x', x], hosts='hlt[01-02]', env={'A': x}, stop=Stop(before=['x', x]))",
            ),
            (
                "BAD",
                "Job(x, x, hosts=x), Job('a', ['x'], version=x, hosts='h', env=x), Job('b', '/x', hosts='h', **{x: 1})",
            ),
        ):
            (folder / name).write_text(f"from daqsched import *\nx = {held!r}\njobs = [{jobs}]\n")
        escaped = "".join(f"\\U{ord(letter):08x}" for letter in held)
        word, identity = f'"{escaped}"', f'"unix:{escaped}"'
        (folder / "RIGHTS").write_text(
            f"{{version: 1, people: {{a: [{identity}]}}, rules: [{{to: a, role: viewer, owner: {word}}}]}}"
        )
        (folder / "BADRIGHTS").write_text(
            f"{{version: 1, people: {{{word}: [{word}]}}, {word}: 1, "
            f"rules: [{{to: {word}, role: {word}, on: {word}}}, {{{word}: 1}}]}}"
        )
        head = msgspec.convert(made(Revision, text), Revision, strict=False)
        contents = Contents(text, [(head_of(head), b"{}")], [(text, text, record_bytes(Record()) or b"")], {text: b""})
        (folder / "BACKUP").write_bytes(pack(contents, 0.0))
        self.backup = (folder / "BACKUP").read_bytes()

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if self.refuses:
            return 403, msgspec.json.encode(made(protocol.Problem, self.text))
        path = path.replace(protocol.API, "", 1)
        if path == "/backup":
            return 200, self.backup
        printed = self.text.replace("\n", "") + "\n"  # lines of a program's are its own
        more: dict[tuple[str, str], Any] = {
            ("Sandbox", "files"): {name: [len(printed.encode()), 1.0] for name in ("stdout", "stderr", "executor")},
            ("Progress", "complete"): self.pick == 0,
            (PreflightFindings.__name__, "done"): True,
        }
        if self.words[0] == "borrow":
            more["Row", "state"] = "ASIDE"
        if path.endswith("/read") and path.startswith("/consoles/"):
            self.reads += 1
            if self.reads > 1:  # how often it is asked is a matter of time
                return 403, msgspec.json.encode(made(protocol.Problem, self.text))
            # a program at a terminal may go back within its line
            data = printed.replace("\r", "").replace("\b", "").encode()
            more["ConsoleOutput", "data"] = base64.b64encode(data).decode()
        (kind,) = [kind for route, kind in ANSWERS.items() if re.fullmatch(route, f"{method} {path}")]
        found = made(kind, printed if kind is protocol.ReadAnswer else self.text, more, self.pick)
        return 200, msgspec.json.encode(found)

    def call(self, words: list[str], terminal: bool) -> tuple[int, bytes]:
        self.words, self.reads = words, 0
        files = {"FILE", "BAD", "NEW", "BACKUP", "STATE", "RIGHTS", "BADRIGHTS"}
        told = [str(self.folder / word) if word in files else word for word in words]
        with daemon(self.socket, self.answer):
            try:
                return shown(["--socket", str(self.socket), *told], terminal)
            finally:
                self.socket.unlink()


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """So wide that nothing is folded: then the number of lines is that of a world without a hostile byte."""
    monkeypatch.setenv("COLUMNS", "30000")
    monkeypatch.setenv("TERM", "xterm-256color")


CALLS = [f"{name} {way}".strip() for name, ways in ROWS.items() for way in ways]


@pytest.mark.parametrize("words", CALLS)
def test_nothing_that_others_wrote_acts_behind_a_pipe(words: str, tmp_path: Path) -> None:
    """In answers of either kind that a type has, and in a refusal."""
    check(tmp_path / "a", words, False)
    check(tmp_path / "b", words, False, pick=1)
    check(tmp_path / "c", words, False, refuses=True)


@pytest.mark.parametrize("words", [call for call in CALLS if "--json" not in call])
def test_nothing_that_others_wrote_acts_in_a_terminal(words: str, tmp_path: Path) -> None:
    """With colours and live displays."""
    check(tmp_path, words, True)


def check(folder: Path, words: str, terminal: bool, pick: int = 0, refuses: bool = False) -> None:
    """Nothing but letters, our own colours, and as many lines as there are without a hostile byte."""
    worlds = [World(folder / name, text, pick, refuses) for name, text in (("h", HOSTILE), ("s", HARMLESS))]
    (status, output), (same, harmless) = [world.call(words.split(), terminal) for world in worlds]
    text = output.decode()
    assert look(output, terminal, tabs=words.startswith(("logs", "borrow", "console"))) == [], text
    assert "Traceback" not in text, text
    if "BAD" not in words and not (terminal and words.startswith(REDRAWN)):
        assert status == same and text.count("\n") == harmless.count(b"\n"), f"{text}\n---\n{harmless.decode()}"


@pytest.mark.parametrize("name", ["", *ROWS])
def test_a_pasted_word_is_repeated_without_what_it_would_do(name: str, tmp_path: Path) -> None:
    """As an option that there is not, as the value of one, and as an argument."""
    word = HOSTILE.replace("\0", "")
    for words in ([f"--{word}"], [word], [word, word, word], ["--timeout", word], ["--lines", word], ["-m", word, "x"]):
        status, output = shown(["--socket", str(tmp_path / "none"), *name.split(), *words], terminal=False)
        assert look(output, terminal=False) == [] and b"Traceback" not in output, output.decode()
        assert status in (0, 1, 2, 3), output.decode()


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_forwarders_status_is_read_like_all_else(
    options: list[str], tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Its troubles quote hosts, files and Elasticsearch."""
    folder = tmp_path / "forward"
    folder.mkdir(mode=0o700)
    troubles = [{"about": HOSTILE, "since": 1.0, "sentence": HOSTILE}]
    (folder / "status.json").write_text(json.dumps({"pid": 1, "time": 1.0, "read": 1, "troubles": troubles}))
    (folder / "lock").touch()
    assert forward(["--status", "--spool", str(tmp_path), *options]) == 1
    output = capsysbinary.readouterr().out
    assert look(output, terminal=False) == []
    if options:
        assert json.loads(output)["troubles"] == troubles
    else:
        assert output.count(b"Trouble since") == 1 == output.splitlines()[-1].count(b"Trouble since")
