"""Where a line of code may belong: what is pure imports no world, and arrows point one way."""

from __future__ import annotations

import ast
import builtins
import importlib
import importlib.util
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Callable, TypeVar

import pytest

from trees import nodes, tree

Found = TypeVar("Found")

ROOT = Path(__file__).resolve().parent.parent.parent
FRAMEWORK, EXECUTOR = ROOT / "framework" / "daqsched", ROOT / "executor" / "daqsched_executor"

#: Values in, values out. A new module of the core is entered here.
PURE = {
    FRAMEWORK: "batches choices confirm control digests errors farm_parts fill foreign forwarder hosts identity saved_choices"
    " limits logbook merge nearest openapi operations plural ports preflight problems proposals redaction rollout select spec"
    " states task times",
    FRAMEWORK
    / "engine": "__init__ applying backoff causes changes choice_steps clock_shifts commands confirming control_steps"
    " credential_steps demand desired desired_spec documents durations effects endings engine events executor_rules farm farm_state"
    " hold_steps incidents instance invariants job_owners leases logbook_steps machine match namesake_steps namesakes offers"
    " operator_commands permission preflight_state preflight_steps proposal_steps reasons reconciling"
    " reconciling_state repeats resources restoring rollout_requests rollout_restoring rollout_state"
    " rollout_steps shown start_order starts stop_order superseded tasks time_format time_steps transitions"
    " unasked_ends verdict",
    FRAMEWORK
    / "jobfile": "__init__ check_rules checks caught_errors conflicts convert differences job parts rules variables",
    FRAMEWORK / "logs": "__init__ answers count grep file_tails future_lines intervals kibana lines permitted query"
    " reader_roles retention time_bisect",
    FRAMEWORK / "protocol": "__init__ accounts base board changes choices console hosts lines looks preflight"
    " proposals sandboxes selections",
    FRAMEWORK
    / "rights": "__init__ grants identity_provider login_pace marked_values principal rules sessions tokens unsaid verbs",
    FRAMEWORK / "terminal": "__init__ heat",
    FRAMEWORK
    / "views": "__init__ blocked board estimate look moves names needed placement plan rows snapshot status why",
    FRAMEWORK / "mesos": "incoming outgoing resources",
    FRAMEWORK / "store": "__init__ base coordination",
    FRAMEWORK / "store" / "zookeeper": "ownership_lease",
    FRAMEWORK / "serve": "audit_ecs board_table connection_budget peer_token scrollback trusted_proxy web_rules",
    EXECUTOR / "container": "frames spec",
    EXECUTOR
    / "contract": "__init__ checks console fingerprint foreign forwarding forwarding_rules globs job levels report stream sysctl"
    " template wire",
    EXECUTOR / "life": "check_words checks commands ending events health hooks lifecycle notify"
    " operator_commands outbox started starting state stopping survey tail words",
    EXECUTOR / "forward" / "disk": "__init__ fair_share",
    EXECUTOR / "forward" / "documents": "__init__ batch columns lines record",
    EXECUTOR / "forward" / "journal": "__init__ ledger marks position",
    EXECUTOR / "forward" / "status": "__init__ report",
    EXECUTOR
    / "forward"
    / "forms": "__init__ levels moment multiline records text times received syslog jsonlines journald",
    EXECUTOR / "forward" / "inputs": "export framing identity",
}
PURE_FILES = [folder / f"{name}.py" for folder, names in PURE.items() for name in names.split()]

#: What a pure module has no business with.
WORLD = frozenset(
    "asyncio click elasticsearch fcntl http httpx kazoo logging multiprocessing os pymesos selectors signal socket sqlite3"
    " starlette subprocess threading time urllib uvicorn".split()
)


def once_a_file(look: Callable[[Path], Iterator[Found]]) -> Callable[[Path], tuple[Found, ...]]:
    """What is found in a file, which is parsed for that once: most tests here look at all of them."""
    return cache(lambda path: tuple(look(path)))


@once_a_file
def imported(path: Path) -> Iterator[str]:
    """The full names of all modules that a file imports, wherever in it."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = path.relative_to(ROOT).parts[1:-1]  # without the source root
            above = package[: len(package) - node.level + 1] if node.level else ()
            yield ".".join((*above, *filter(None, [node.module])))


@pytest.mark.parametrize("path", PURE_FILES, ids=str)
def test_a_pure_module_imports_no_world(path: Path) -> None:
    """No clock, socket, thread or Mesos: its tests need none either. A name without a file fails, too."""
    assert WORLD.isdisjoint(name.partition(".")[0] for name in imported(path))


@once_a_file
def ours(path: Path) -> Iterator[Path]:
    """The modules of our packages that a file imports, also as names out of a package (``from daqsched import api``)."""
    roots = (FRAMEWORK.parent, EXECUTOR.parent)
    for node in nodes(path):
        if isinstance(node, ast.Import):
            names = [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            package = path.relative_to(ROOT).parts[1 : -node.level]
            names = [(".".join((*package, *filter(None, [node.module]))), alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [(node.module or "", alias.name) for alias in node.names]
        else:
            continue
        for module, name in names:
            for root in roots:
                place = root.joinpath(*module.split("."))
                packages = (place / name / "__init__.py", place / "__init__.py")
                places = (place.with_suffix(".py"), place / f"{name}.py", *packages)
                yield from [file for file in places if file.is_file()][:1]


@pytest.mark.parametrize("path", PURE_FILES, ids=str)
def test_a_pure_module_imports_only_pure_ones_of_ours(path: Path) -> None:
    """Arrows go from the shell to the core: through a module of the shell the world would be back."""
    assert set(ours(path)) <= set(PURE_FILES)


def test_our_own_imports_are_found_in_every_spelling() -> None:
    """Absolute, relative and by name out of a package: else the test above would be content with nothing."""
    assert {file.name for file in ours(FRAMEWORK / "engine" / "tasks.py")} >= {
        "backoff.py",
        "commands.py",
        "farm.py",
        "__init__.py",  # the contract's
    }
    assert {file.name for file in ours(EXECUTOR / "forward" / "streams" / "reader.py")} >= {"marks.py", "record.py"}


def test_the_executor_imports_nothing_of_the_framework() -> None:
    """It is installed without it on every farm machine."""
    for path in EXECUTOR.rglob("*.py"):
        assert not [name for name in imported(path) if name.partition(".")[0] == "daqsched"], path


def test_the_framework_imports_of_the_executor_the_contract_alone() -> None:
    """What both sides share stands in one package; and the version, in the package that holds it."""
    for path in FRAMEWORK.rglob("*.py"):
        theirs = {name for name in imported(path) if name.partition(".")[0] == "daqsched_executor"}
        assert all(name.split(".")[1:2] == ["contract"] for name in theirs - {"daqsched_executor"}), path


def test_pymesos_is_known_in_one_package_of_each_side() -> None:
    """Its names and its traps stay there."""
    for folder, place in (
        (
            FRAMEWORK,
            "mesos/connection.py mesos/detection.py mesos/driver.py mesos/outgoing.py mesos/subscription.py",
        ),
        (EXECUTOR, "run/mesos.py"),
    ):
        heads = {path: {name.partition(".")[0] for name in imported(path)} for path in folder.rglob("*.py")}
        knowing = {str(path.relative_to(folder)) for path in heads if {"pymesos", "addict"} & heads[path]}
        assert knowing == set(place.split())


def test_the_package_docker_is_known_in_one_module() -> None:
    """Only the runner of a container imports it, in a process of its own."""
    files = (*FRAMEWORK.rglob("*.py"), *EXECUTOR.rglob("*.py"))
    knowing = [path for path in files if "docker" in {name.partition(".")[0] for name in imported(path)}]
    assert knowing == [EXECUTOR / "container" / "engine.py"]


def test_the_package_jwt_is_known_in_one_module() -> None:
    """It is an extra: who has no identity provider does without it."""
    knowing = [path for path in FRAMEWORK.rglob("*.py") if "jwt" in {name.partition(".")[0] for name in imported(path)}]
    assert knowing == [FRAMEWORK / "serve" / "id_token.py"]


def test_patterns_are_read_in_one_module() -> None:
    """Older Pythons stumble over some; what is there for that is not to be forgotten."""
    files = (*FRAMEWORK.rglob("*.py"), *EXECUTOR.rglob("*.py"))
    knowing = [path for path in files if "fnmatch" in {name.partition(".")[0] for name in imported(path)}]
    assert knowing == [EXECUTOR / "contract" / "globs.py"]


def test_tests_ask_by_urllib_in_one_module() -> None:
    """An error that it raises holds a socket, which each of five callers had to remember to close."""
    asking = {"urlopen", "build_opener", "urlretrieve", "install_opener", "OpenerDirector"}
    tests = ROOT / "tests"
    users = {
        path.relative_to(tests).as_posix()
        for path in sorted(tests.rglob("*.py"))
        for node in nodes(path)
        if (isinstance(node, ast.Attribute) and node.attr in asking)
        or (isinstance(node, ast.Name) and node.id in asking)
    }
    assert users == {"opened.py"}


def test_the_client_of_elasticsearch_is_known_in_two_modules_and_reads_through_one() -> None:
    """What it reads itself has no end: the module that asks with it makes no connection, and says which class does."""
    theirs = {"elasticsearch", "elastic_transport"}
    heads = {path: {name.partition(".")[0] for name in imported(path)} for path in FRAMEWORK.rglob("*.py")}
    knowing = {str(path.relative_to(FRAMEWORK)) for path in heads if theirs & heads[path]}
    assert knowing == {"logs/elastic.py", "logs/node.py"}
    asking = FRAMEWORK / "logs" / "elastic.py"
    assert "httpx" not in heads[asking] and "node_class=node.BoundedNode" in asking.read_text(encoding="utf-8")


#: Who prints: all that others wrote is escaped there.
PRINTING = {FRAMEWORK: "terminal/out.py terminal/canvas.py serve/log.py", EXECUTOR: "out.py"}

#: What would get past it: names that are called, and those that are taken out of a module.
PAST = frozenset(
    "print click.echo click.secho click.style sys.stdout.write sys.stderr.write sys.stdout.buffer sys.stderr.buffer"
    " logging.basicConfig logging.StreamHandler".split()
)
PAST_MODULES = frozenset(
    "rich.console.Console rich.text rich.text.Text rich.markup rich.print click.echo click.secho".split()
)


def _spelled(node: ast.expr) -> str:
    """``click.echo`` of such an expression."""
    if isinstance(node, ast.Attribute):
        return f"{_spelled(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def prints(path: Path) -> Iterator[str]:
    """What in a file would print by itself."""
    for node in nodes(path):
        if isinstance(node, (ast.Attribute, ast.Name)) and _spelled(node) in PAST:
            yield _spelled(node)
        elif isinstance(node, ast.ImportFrom):
            yield from sorted({f"{node.module}.{alias.name}" for alias in node.names} & PAST_MODULES)
        elif isinstance(node, ast.Import):
            yield from sorted({alias.name for alias in node.names} & PAST_MODULES)


@pytest.mark.parametrize("folder", PRINTING, ids=lambda folder: folder.name)
def test_one_module_of_each_side_prints(folder: Path) -> None:
    """So that no word of others reaches a terminal or a log as it is; `Text` and `Console` come from there, too."""
    found = {str(path.relative_to(folder)): sorted(prints(path)) for path in folder.rglob("*.py")}
    assert {name: how for name, how in found.items() if how and name not in PRINTING[folder].split()} == {}


def test_printing_is_found_in_every_spelling(tmp_path: Path) -> None:
    """Else the test above would be content with nothing."""
    text = "from rich.text import Text\nfrom click import echo\nprint(1)\nclick.echo(2)\nx = sys.stdout.write\nimport rich.text\n"
    (tmp_path / "m.py").write_text(text)
    assert sorted(prints(tmp_path / "m.py")) == [
        "click.echo",
        "click.echo",
        "print",
        "rich.text",
        "rich.text.Text",
        "sys.stdout.write",
    ]


@once_a_file
def attributes(path: Path) -> Iterator[str]:
    """``a.b.c`` of each such expression of a file."""
    for node in nodes(path):
        if isinstance(node, ast.Attribute):
            yield _spelled(node)


def using(*names: str) -> set[str]:
    """The modules of the framework in which an expression ends so."""
    files = FRAMEWORK.rglob("*.py")
    return {str(path.relative_to(FRAMEWORK)) for path in files if any(one.endswith(names) for one in attributes(path))}


def test_a_change_is_put_to_the_engine_in_one_place() -> None:
    """With what its caller may then; what takes no right is the end of a session, and the look before an apply."""
    assert using("daemon.request") == {"serve/requested.py", "serve/login_api.py", "serve/looking.py"}


def test_whoever_wants_changes_subscribes_in_one_place() -> None:
    """One module has the engine take events in and hears what that changed; all others are told by it, after the save."""
    assert using("engine.handle", "step.changes", "engine.touched", "engine.dirty") == {"serve/daemon.py"}
    assert using(".subscribers") == {"serve/daemon.py", "serve/term.py", "serve/board_api.py"}


#: Who may be a client of HTTP: what bounds answers of others in bytes and time, and what talks to nobody but our own daemons.
HTTP = {
    "bounded.py": "agents, masters, guards",
    "mesos/calls.py": "the master's answers to calls, with bounds of its own",
    "logs/node.py": "Elasticsearch, for its official client, with bounds of its own",
    "logs/elastic.py": "that client, which reaches Elasticsearch through `logs/node.py` alone",
    "exchange.py": "our daemon, through its Unix socket or its web port",
    "serve/standby.py": "our peers, who have shown their certificate",
}


def test_who_asks_others_over_http_does_it_with_bounds() -> None:
    """No module has a client of its own that would read an answer without end."""
    clients = {"httpx", "http", "urllib", "urllib3", "requests", "elasticsearch", "elastic_transport", "aiohttp"}
    harmless = {"http.HTTPStatus", "http.client.HTTPException", "urllib.parse"}
    for path in FRAMEWORK.rglob("*.py"):
        if str(path.relative_to(FRAMEWORK)) in HTTP:
            continue
        names = {name for name in named(path) if name.partition(".")[0] in clients}
        assert not {name for name in names if not any(name.startswith(one) for one in harmless)}, path


def named(path: Path) -> Iterator[str]:
    """What a file imports, with the names out of modules (``http.HTTPStatus``)."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


#: The framework from its core outwards: a module imports of its own group and of those before it.
LAYERS = (
    "batches bounded bundle choices confirm control digests errors farm_parts fill foreign forwarder hosts identity saved_choices"
    " limits logbook merge nearest plural ports preflight proposals redaction rollout select settings spec states task times wakeup"
    " whole_file",
    "rights",
    "jobfile engine",
    "views",
    "protocol problems operations openapi authority passwords saved_logins exchange remote daemon_connection client",
    "store mesos logs zookeeper_client",
    "backends",
    "offline",
    "serve terminal",
    "cli",
)


def test_arrows_of_the_framework_point_inwards() -> None:
    """Each module and package of it has its place in `LAYERS`, and imports nothing from further out."""
    place = {name: at for at, names in enumerate(LAYERS) for name in names.split()}
    for path in FRAMEWORK.rglob("*.py"):
        mine = path.relative_to(FRAMEWORK).parts[0].partition(".")[0]
        for file in ours(path):
            if FRAMEWORK in file.parents and mine != "__init__":
                theirs = file.relative_to(FRAMEWORK).parts[0].partition(".")[0]
                assert theirs == "__init__" or place[theirs] <= place[mine], f"{path} imports {file}"


#: The executor from its core outwards, as `LAYERS`. Modules that lie beside the packages are places of their own.
EXECUTOR_LAYERS = (
    "contract answer preloaded",
    "out values",
    "life",
    "standins",
    "log lean",
    "machine",
    "container",
    "run",
    "forward",
    "__main__",
)


def test_arrows_of_the_executor_point_inwards() -> None:
    """Each module and package of it has its place, and imports nothing from further out, wherever in the file."""
    place = {name: at for at, names in enumerate(EXECUTOR_LAYERS) for name in names.split()}
    for path in EXECUTOR.rglob("*.py"):
        mine = path.relative_to(EXECUTOR).parts[0].partition(".")[0]
        for file in ours(path):
            if EXECUTOR in file.parents and mine != "__init__":
                theirs = file.relative_to(EXECUTOR).parts[0].partition(".")[0]
                assert theirs == "__init__" or place[theirs] <= place[mine], f"{path} imports {file}"


@pytest.mark.parametrize("root", [FRAMEWORK, EXECUTOR], ids=lambda root: root.name)
def test_no_modules_import_each_other(root: Path) -> None:
    """Neither two nor more in a circle, also where one of them does so in a function or for its types alone."""
    imports = {path: {file for file in ours(path) if root in file.parents} - {path} for path in root.rglob("*.py")}
    done: set[Path] = set()

    def follow(path: Path, way: tuple[Path, ...]) -> None:
        circle = way[way.index(path) :] if path in way else ()
        assert not circle, " -> ".join(str(one.relative_to(root)) for one in (*circle, path))
        if path in done:
            return
        for file in sorted(imports[path]):
            follow(file, (*way, path))
        done.add(path)

    for path in sorted(imports):
        follow(path, ())


#: What speaks with ZooKeeper for the state; the module that turns ``--state`` into what keeps it; and what ZooKeeper has to do with
#: Mesos, whose masters say there which of them leads, whatever keeps our state.
ZOOKEEPER, BACKENDS = FRAMEWORK / "store" / "zookeeper", FRAMEWORK / "backends.py"
CLIENT, DETECTION = FRAMEWORK / "zookeeper_client.py", FRAMEWORK / "mesos" / "detection.py"
SPEAKING = {*ZOOKEEPER.glob("*.py"), CLIENT}

#: Its name, its library's, and the scheme of its places; in code, strings and comments.
NAMED = re.compile(r"(?i)zoo_?keeper|kazoo|(?<![a-z])zk(?![a-z])")


def _without_contents(path: Path) -> str:
    """What is in a file; of a package's, without the docstring that names each of its modules."""
    text = path.read_text(encoding="utf-8")
    return text if path.name != "__init__.py" or path.parent == ZOOKEEPER else text.split('"""', 2)[2]


def test_zookeeper_is_named_by_what_speaks_with_it_and_in_one_other_module() -> None:
    """Who serves, opens a state or reads options knows `Store` and `Coordination`: another service changes nothing there."""
    naming = {path for path in FRAMEWORK.rglob("*.py") if NAMED.search(_without_contents(path))}
    assert naming == {*SPEAKING, BACKENDS, DETECTION}


@pytest.mark.parametrize(
    "text",
    [
        "self._by_zookeeper",
        "ZooKeeperPlace",
        "'zk://'",
        "import kazoo",
        "from_zk()",
        "ZK_PATH",
        "# ask ZooKeeper",
        "zk_place",
    ],
)
def test_a_name_of_zookeeper_is_found(text: str) -> None:
    """In every spelling: else the test above would be content with nothing."""
    assert NAMED.search(text) and not NAMED.search("tzk = zkm")


@pytest.mark.parametrize(
    ("modules", "knowing"),
    [
        pytest.param({*ZOOKEEPER.glob("*.py")}, {BACKENDS}, id="coordination"),
        pytest.param({CLIENT}, {DETECTION, *ZOOKEEPER.glob("*.py")}, id="client"),
        pytest.param({FRAMEWORK / "store" / "sqlite.py"}, {BACKENDS}, id="sqlite"),
    ],
)
def test_what_keeps_a_state_is_imported_by_one_module(modules: set[Path], knowing: set[Path]) -> None:
    """All others are given what stands behind the protocols."""
    for path in set(FRAMEWORK.rglob("*.py")) - modules - knowing:
        assert not modules & set(ours(path)), path


@pytest.mark.parametrize("name", ["mesos", "store", "logs"])
def test_an_edge_imports_no_view(name: str) -> None:
    """What people are told is made of the engine's state by who answers them; an edge needs only what the engine has."""
    for path in (FRAMEWORK / name).rglob("*.py"):
        assert not [file for file in ours(path) if FRAMEWORK / "views" in file.parents], path


def test_port_numbers_are_reckoned_with_in_one_module() -> None:
    """Ranges are cut, searched and counted in `ports`: nobody else compares a number with both ends of a range of ports."""
    found = set()
    for path in (*FRAMEWORK.glob("*.py"), *(FRAMEWORK / "engine").glob("*.py"), *(FRAMEWORK / "mesos").glob("*.py")):
        for node in nodes(path):
            names = (
                {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
                if isinstance(node, ast.BoolOp)
                else set()
            )
            if isinstance(node, ast.Compare) and len(node.ops) == 2:
                names = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
            if {"low", "high"} <= names:
                found.add(path.name)
    assert found == {"ports.py"}


#: The folders of the forwarder: each imports only those before it. What is in none puts all together.
FORWARD_LAYERS = "disk journal documents forms streams delivery status inputs".split()


def test_arrows_of_the_forwarder_point_one_way() -> None:
    """Each folder has its place in `FORWARD_LAYERS`; a folder knows nothing of `forward`'s own modules, which use all of them."""
    forward = EXECUTOR / "forward"
    assert {path.name for path in forward.iterdir() if (path / "__init__.py").is_file()} == set(FORWARD_LAYERS)
    for at, name in enumerate(FORWARD_LAYERS):
        for path in (forward / name).rglob("*.py"):
            theirs = [file.relative_to(forward).parts[0] for file in ours(path) if forward in file.parents]
            assert set(theirs) <= set(FORWARD_LAYERS[: at + 1]), f"{path} imports {theirs}"


#: All packages of both programs.
PACKAGES = sorted(path.parent for root in (FRAMEWORK, EXECUTOR) for path in root.rglob("__init__.py"))


def test_no_package_is_forgotten() -> None:
    """A folder with modules is one: else the test below would be content with less."""
    assert set(PACKAGES) == {path.parent for root in (FRAMEWORK, EXECUTOR) for path in root.rglob("*.py")}


@pytest.mark.parametrize("folder", PACKAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_package_says_what_is_in_it(folder: Path) -> None:
    """Its docstring names every module."""
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    named_there = set(re.findall(r"`(\w+)`", text))
    modules = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    assert modules - {"__init__", "__main__"} <= named_there


#: Names in backticks that are not ours: of the system, of Python, of others' programs.
THEIRS = frozenset("failoverFramework minSessionTimeout msgspec ps pymesos rm strptime tickTime".split())

_NAME = re.compile(r"(?<!`)`([A-Za-z_]\w*(?:\.\w+)*)`(?!`)")


def described(path: Path, tokens: list[tokenize.TokenInfo]) -> Iterator[tuple[int, str]]:
    """The comments and docstrings of a file."""
    for token in tokens:
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in nodes(path):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.body[0].lineno, ast.get_docstring(node) or ""


def test_what_docstrings_and_comments_name_is_there() -> None:
    """A name in backticks is one of ours, and of the module that stands before it: one that was renamed leads nowhere."""
    files = [path for root in (FRAMEWORK, EXECUTOR) for path in root.rglob("*.py")]
    known: dict[str, set[str]] = {}
    told: list[tuple[Path, int, str]] = []
    for path in files:
        text = path.read_text(encoding="utf-8")
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
        told += [(path, line, named) for line, text in described(path, tokens) for named in _NAME.findall(text)]
        words = {token.string for token in tokens if token.type == tokenize.NAME}
        words |= {
            word for token in tokens if token.type == tokenize.STRING for word in token.string.strip("\"'").split()[:1]
        }
        for name in (path.stem, path.parent.name):
            known.setdefault(name, set()).update(words, [path.stem])
        if path.stem == "__init__":
            known.setdefault(path.parent.parent.name, set()).add(path.parent.name)
    everywhere = set().union(*known.values(), known, THEIRS, dir(builtins))
    gone = []
    for path, line, found in told:
        parts = found.split(".")
        if parts[0] in THEIRS:
            continue
        wrong = [part for part in parts if part not in everywhere]
        wrong += [b for a, b in zip(parts, parts[1:]) if b not in known.get(a, everywhere)]
        # what has classes is a module, or a class
        wrong += [a for a, b in zip(parts, parts[1:]) if a.islower() and b[0].isupper() and a not in known]
        if wrong:
            gone.append(f"{path.relative_to(ROOT)}:{line}: `{found}`")
    assert not gone, "\n".join(gone)


def test_no_name_of_a_module_has_two_values() -> None:
    """The second one would be the first one's, too: linters see that of functions and imports alone."""
    twice = []
    for file in (
        file for root in (FRAMEWORK, EXECUTOR, ROOT / "vagrant" / "daqcluster") for file in root.rglob("*.py")
    ):
        names: list[str] = []
        for node in tree(file).body:
            targets = (
                node.targets
                if isinstance(node, ast.Assign)
                else [node.target]
                if isinstance(node, ast.AnnAssign)
                else []
            )
            names += [one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)]
        twice += [
            f"{file.relative_to(ROOT)}: {name}" for name in set(names) if names.count(name) > 1 and name.isupper()
        ]
    assert not twice


@pytest.mark.parametrize(
    "folder", ["tests", "tests/contract", "tests/cluster", "tests/faults", "tests/machines", "bench"]
)
def test_what_tests_and_benches_import_of_ours_is_there(folder: str) -> None:
    """Those that need servers are not run after each change: a name that is gone would be found by somebody else."""
    wrong = []
    for file in sorted((ROOT / folder).glob("*.py")):
        for node in nodes(file):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in (
                "daqsched",
                "daqsched_executor",
            ):
                module = importlib.import_module(node.module or "")
                for one in node.names:
                    if (
                        one.name != "*"
                        and not hasattr(module, one.name)
                        and not _is_module(f"{node.module}.{one.name}")
                    ):
                        wrong.append(f"{file.relative_to(ROOT)}:{node.lineno}: {node.module} has no {one.name}")
    assert not wrong, "\n".join(wrong)


def _is_module(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


#: The most lines that a module has: beyond that a reader loses his way in it, and there is a seam.
MOST_LINES = 350

#: Modules that have more, each with why a seam would make it harder to read. One that has not any more leaves the table.
LONGER = {
    FRAMEWORK / "serve" / "visibility.py": "one list: a method for each thing that is told in part",
    FRAMEWORK / "operations.py": "one table: a row for each operation of the API",
    FRAMEWORK / "client.py": "the same table from the other side: a method of some lines for each operation",
    FRAMEWORK / "engine" / "events.py": "one list: all that changes the engine, each event with its fields",
}


def test_modules_are_short_or_one_table() -> None:
    """Whoever makes a module longer than that splits it, or says here why not."""
    lines = {
        path: path.read_text(encoding="utf-8").count("\n")
        for root in (FRAMEWORK, EXECUTOR)
        for path in root.rglob("*.py")
    }
    longer = {path for path, count in lines.items() if count > MOST_LINES}
    assert longer == set(LONGER), {str(path.relative_to(ROOT)): lines.get(path) for path in longer ^ set(LONGER)}
